# ruff: noqa: ARG002 - this backend does not need all of its arguments
"""A backend without a model, whose response is the prompt's last words."""

from collections.abc import Iterator, Sequence

from kdbench.checkpoint import Checkpoint
from kdbench.generate import Backend, Options, Prompt, Row, Sample
from kdbench.protocol import Protocol


class Echo(Backend):
    """Returns the end of the prompt as the response."""

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        self.batch_size = options.batch_size or 2

    def encode(self, prompt: str, message: str) -> Prompt:
        """Encode a prompt as one token per character."""
        return Prompt(tuple(map(ord, prompt)), False)

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Batches of rows, in order."""
        for start in range(0, len(rows), self.batch_size):
            yield list(rows[start : start + self.batch_size])

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """One sample for each row."""
        for row in rows:
            text = "".join(map(chr, row.prompt_ids[-20:]))
            yield Sample(row.document, row.seed, text, len(text), "stop")
