"""Samples of a backend, for the tests of several backends."""

from typing import Any

from kdbench.generate import Row, Sample


def samples(
    backend: Any, texts: list[str], until: tuple[str, ...] = ()
) -> dict[tuple[str, int], Sample]:
    """The sample of each text and seed; a repeated row fails."""
    rows = [
        Row(text, seed, backend.encode(text, text).ids)
        for text in texts
        for seed in backend.protocol.seeds
    ]
    generated: dict[tuple[str, int], Sample] = {}
    for batch in backend.batches(rows):
        for sample in backend.generate(batch, until):
            assert (sample.document, sample.seed) not in generated
            generated[sample.document, sample.seed] = sample
    assert len(generated) == len(rows)
    return generated
