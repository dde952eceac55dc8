# ruff: noqa: ARG002 - this backend does not need all of its arguments
"""A backend for tests of builders: it counts what it is asked, and fails where it is told to.

Its response is the prompt's last two words, the seed, and the temperature of the protocol. Without
a tokenizer the prompt's ids are those of its bytes, as a server's are.
"""

from collections.abc import Iterator, Sequence

from kdbench.checkpoint import Checkpoint
from kdbench.generate import Backend, Options, Prompt, Row, Sample
from kdbench.protocol import Protocol
from kdbench.views.chat import ChatMessage


class Told(Backend):
    """The backend of `backend=told`; a subclass has an engine of its own.

    Attributes:
        asked: Ids and seeds in the order in which they were asked.
        fails_at: Number of responses after which it raises; None never fails.
        made: Number of backends that were made.
        stopped: How often one was stopped.
        empty: Ids of questions whose response is empty.
    """

    asked: list[tuple[str, int]]
    fails_at: int | None
    made: int
    stopped: int
    empty: set[str]

    @classmethod
    def reset(cls) -> None:
        """Forget what was asked."""
        cls.asked, cls.fails_at, cls.made, cls.stopped, cls.empty = [], None, 0, 0, set()

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        type(self).made += 1
        self._protocol = protocol
        self.batch_size = options.batch_size or 2

    def encode(self, prompt: str, message: ChatMessage) -> Prompt:
        """Encode a prompt as its bytes; of a conversation, the last turn."""
        text = prompt or message[-1].content  # type: ignore[union-attr]
        return Prompt(tuple(text.encode()), cut=False)

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Batches of rows, in order."""
        for start in range(0, len(rows), self.batch_size):
            yield list(rows[start : start + self.batch_size])

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """One sample for each row."""
        for row in rows:
            if self.fails_at is not None and len(self.asked) >= self.fails_at:
                raise ConnectionError("the script says so")
            self.asked.append((row.document, row.seed))
            words = bytes(row.prompt_ids).decode().split()[-2:]
            text = " ".join([*words, str(row.seed), str(self._protocol.temperature)])
            yield Sample(row.document, row.seed, "" if row.document in self.empty else text)

    def stop(self) -> None:
        """Count."""
        type(self).stopped += 1


class OwnEngine(Told):
    """The same, which chooses its batches itself."""

    own_engine = True
