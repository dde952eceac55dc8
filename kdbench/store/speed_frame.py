"""Measured speeds as a data frame, and in a cell of a notebook."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kdbench.store.speeds import SpeedRecord
from kdbench.system.frames import COUNT, DAY, NUMBER, TEXT, frame
from kdbench.system.notebook import html_table

if TYPE_CHECKING:
    import pandas as pd

_SPREADS = ("tokens_per_second", "latency_p50", "latency_p95")
_COLUMNS = {
    "model": TEXT,
    "parameters": COUNT,
    "backend": TEXT,
    "hardware": TEXT,
    **dict.fromkeys(("prompt_tokens", "new_tokens", "concurrency", "requests", "repeats"), COUNT),
    "measured_new_tokens": NUMBER,
    **{f"{name}{end}": NUMBER for name in _SPREADS for end in ("", "_low", "_high")},
    "day": DAY,
}


def speeds_frame(records: Iterable[SpeedRecord]) -> "pd.DataFrame":
    """Return a row for each record; `_low` and `_high` are the lowest and highest repeat."""
    return frame(map(_row, records), _COLUMNS)


def _row(record: SpeedRecord) -> dict[str, Any]:
    return {
        "model": record.model.name,
        "parameters": record.model.parameters,
        "backend": record.backend.get("name"),
        "hardware": record.hardware,
        **record.load.model_dump(),
        "measured_new_tokens": record.new_tokens,
        **dict(_spreads(record)),
        "day": record.created[:10],
    }


def _spreads(record: SpeedRecord) -> Iterator[tuple[str, float]]:
    for name in _SPREADS:
        spread = getattr(record, name)
        yield from (
            (name, spread.value),
            (f"{name}_low", spread.low),
            (f"{name}_high", spread.high),
        )


def speeds_html(records: Iterable[SpeedRecord]) -> str:
    """Return the speeds as a table."""
    titles = ("model", "concurrency", "prompt", "response", "tokens/s", "p50 (s)", "p95 (s)")
    rows = [
        [
            record.model.name,
            str(record.load.concurrency),
            str(record.load.prompt_tokens),
            str(record.load.new_tokens),
            f"{record.tokens_per_second.value:.1f}",
            f"{record.latency_p50.value:.3f}",
            f"{record.latency_p95.value:.3f}",
        ]
        for record in records
    ]
    return html_table(titles, rows)
