"""The contract between kdbench and a model that judges."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdbench.judging.reply import Reply


class Judge(ABC):
    """A model that replies to questions, the same way every time as far as it can.

    Attributes:
        name: Name of the model.
        identity: Everything that decides its replies: the model, and its settings.
        address: Address of its server, for records; None for a checkpoint.
        faults: Number of failed tries that a later try made good, by kind.
    """

    def __init__(self, name: str, identity: Mapping[str, Any], address: str | None = None):
        self.name, self.identity, self.address = name, identity, address
        self.faults: Counter[str] = Counter()

    @abstractmethod
    def ask(self, questions: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Reply]]:
        """Yield the key of each question and its reply, as replies come, in any order.

        Args:
            questions: Keys and texts.

        Raises:
            InputError: A question has no reply; all others that have one were yielded before.
        """

    def check(self) -> None:  # noqa: B027 - most judges need no server
        """Check early that the judge can be asked.

        Raises:
            InputError: It cannot.
        """

    def release(self) -> None:  # noqa: B027 - a server's memory is not ours
        """Free the judge's memory; it loads again when it is asked."""


def digest(value: object) -> str:
    """Return the SHA-256 of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
