"""What a comparison needs of a teacher."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.fidelity.forward import See
from kdbench.fidelity.texts import Text
from kdbench.generate import Prompt, Sample
from kdbench.task import Task

Samples = dict[tuple[str, int], Sample]


class Teacher(ABC):
    """What a comparison needs of a teacher.

    Attributes:
        identity: name, hash and precision: what makes a comparison stale.
        seeds: of its own responses; they may be more than the student's.
        top_k: of a cached one; None for a teacher whose every probability is known.
        knows_entropy: whether that of its whole distributions is known.
    """

    identity: Mapping[str, Any]
    seeds: tuple[int, ...]
    top_k: int | None
    knows_entropy: bool = True

    @property
    @abstractmethod
    def generated(self) -> int:
        """Samples made by this call."""

    @abstractmethod
    def answer(self) -> None:
        """Make its own responses where they are missing.

        Raises:
            InputError: whatever is wrong with it that the user can mend.
        """

    @property
    @abstractmethod
    def tokenizer(self) -> Any:
        """The teacher's."""

    @property
    @abstractmethod
    def ends(self) -> frozenset[int]:
        """Its end tokens."""

    @abstractmethod
    def is_ready(self, task: Task) -> bool:
        """Whether its own responses are all there; those of other shards may be to come."""

    @abstractmethod
    def samples(self, task: Task) -> Samples:
        """Its own responses."""

    @abstractmethod
    def prompts(self, task: Task) -> dict[str, Prompt]:
        """The prompts as it sees them."""

    @abstractmethod
    def why_not(self, texts: Sequence[Text], prompts: Mapping[str, Prompt]) -> str | None:
        """Why it cannot score some texts, None if it can."""

    def has_kept(self, text: Text, prompts: Mapping[str, Prompt]) -> bool:  # noqa: ARG002
        """Whether nothing of its scores of a text is left to keep."""
        return True

    def release(self) -> None:  # noqa: B027 - one on disk holds nothing
        """Free its memory."""

    @abstractmethod
    def look(self, prompts: Mapping[str, Prompt], vocabulary: int) -> See:
        """Its scores over the first `vocabulary` tokens."""
