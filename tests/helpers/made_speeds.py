"""Made-up speeds, for the tests of what is done with them."""

from typing import Any

from kdbench.store.speeds import SpeedLoad, SpeedModel, SpeedRecord, Spread


def record(model: str, rate: float = 100.0, concurrency: int = 8, **changes: Any) -> SpeedRecord:
    """The speed of a model; the latency is 1 and 2 s."""
    lengths = {"prompt_tokens": 256, "new_tokens": 128, "requests": 8, "repeats": 3}
    fields: dict[str, Any] = {
        "backend": {"name": "hf"},
        "hardware": "GPU",
        "created": "2026-01-01",
        "new_tokens": 128.0,
        **changes,
    }
    return SpeedRecord(
        model=SpeedModel(
            name=model,
            sha256=f"sha of {model}",
            revision=None,
            parameters=2_500_000,
            dtype="bfloat16",
            disk_bytes=5_100_000,
        ),
        load=SpeedLoad(concurrency=concurrency, **lengths),
        tokens_per_second=Spread(value=rate, low=0.9 * rate, high=1.1 * rate),
        latency_p50=Spread(value=1.0, low=1.0, high=1.0),
        latency_p95=Spread(value=2.0, low=2.0, high=2.0),
        environment=None,
        git=None,
        kdbench_version="0",
        **fields,
    )
