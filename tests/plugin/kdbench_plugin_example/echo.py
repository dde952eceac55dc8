# ruff: noqa: ARG002 - a backend is given more than this one needs
"""A backend without a model: it answers with the prompt, louder for even seeds."""

from collections.abc import Iterator, Sequence
from typing import Any

from kdbench.checkpoint import Checkpoint
from kdbench.generate import Options, Prompt, Row, Sample
from kdbench.protocol import Protocol


class Echo:
    """Answers with the prompt."""

    model: Any = None
    tokenizer: Any = None

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        self.batch_size = options.batch_size or 2

    def encode(self, prompt: str, message: str) -> Prompt:
        """A token for each character."""
        return Prompt(tuple(map(ord, prompt)), False)

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """In order, a few at once."""
        for start in range(0, len(rows), self.batch_size):
            yield list(rows[start : start + self.batch_size])

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """The prompt itself."""
        for row in rows:
            text = "".join(map(chr, row.prompt_ids))
            text = text.upper() if row.seed % 2 == 0 else text.lower()
            yield Sample(row.document, row.seed, text, len(text), "stop")
