"""The kinds of metrics, by what they look at."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kdbench.metrics._positions import Positions, PositionSet

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Answer:
    """One response as a metric sees it.

    Attributes:
        text: post-processed.
        references: right answers, one or more.
        n_tokens: generated tokens, None if not known.
        finish: `stop`, `length`, None if not known.
        tokens: the generated ids, the end token included; None if not known.
        final: the final answer of a closed-answer task; None where there is none.
        right: whether the final answer is right; None where the task has no closed answers.
    """

    text: str
    references: tuple[str, ...]
    n_tokens: int | None = None
    finish: Literal["stop", "length"] | None = None
    tokens: tuple[int, ...] | None = None
    final: str | None = None
    right: bool | None = None


@dataclass(frozen=True)
class Reference:
    """What a model is shown to be measured without generating.

    Attributes:
        document: id.
        prompt_ids: encoded prompt.
        text: the document's first reference.
    """

    document: str
    prompt_ids: tuple[int, ...]
    text: str


class Metric(ABC):
    """Name, unit, direction and version; a new version makes old scores stale.

    Attributes:
        name: in results and tables.
        unit: points (0 to 100), rate (0 to 1), tokens, nats, ratio (1 is equal), correlation or
            percent.
        direction: which way is better; `none` describes without judging.
        version: raised when the same text would score otherwise.
    """

    name: ClassVar[str]
    unit: ClassVar[Literal["points", "rate", "tokens", "nats", "ratio", "correlation", "percent"]]
    direction: ClassVar[Literal["higher", "lower", "none"]]
    version: ClassVar[int] = 1

    def is_current(self, stored: Mapping[str, Any]) -> bool:
        """Whether the results have this metric in this version."""
        return self.name in stored and stored[self.name].version == str(self.version)


class SampleMetric(Metric):
    """A number for each response."""

    @abstractmethod
    def score(self, answer: Answer) -> float | None:
        """The response's score, None where it is not defined."""


class CorpusMetric(Metric):
    """One number for all responses of a seed; it has no interval over prompts."""

    @abstractmethod
    def value(self, answers: Sequence[Answer]) -> float | None:
        """The number, None where it is not defined."""


class ForwardMetric(Metric):
    """A number for each document from the model's own probabilities.

    The batches depend on the references alone, so that a resume computes in the same company.
    """

    @abstractmethod
    def batches(
        self, tokenizer: Any, references: Sequence[Reference], limit: int
    ) -> list[list[Reference]]:
        """The references in the company in which they are measured.

        Args:
            tokenizer: of the model.
            references: what to measure on.
            limit: tokens of a reference that count.
        """

    @abstractmethod
    def measure(
        self, model: Any, tokenizer: Any, batch: Sequence[Reference], limit: int
    ) -> list[float]:
        """The values of one batch; the model is in evaluation mode."""


class TeacherMetric(Metric):
    """Compares a student with its teacher; measured where `teacher=` is given.

    Attributes:
        perfect: the value of a student that is its teacher, where that is known beforehand. It is
            the ceiling; of other metrics the ceiling is the teacher against its own next seed.
        undefined: what to say where it has no number.
    """

    perfect: ClassVar[float | None] = None
    undefined: ClassVar[str] = "not defined on these responses"


class PositionMetric(TeacherMetric):
    """Looks at the two next-token distributions at response positions.

    Its results are named `name@set`: `@ref` on the first reference, `@teacher` on the teacher's own
    responses, `@student` on the student's own.

    Attributes:
        sets: where it is measured.
        headline: the set that its bare name means.
        from_top_k: what it is on a teacher's cached top-k, whose other tokens are one class:
            `exact`, a `lower` or `upper` bound, or `undefined`.
        needs_entropy: it looks at the teacher's entropy, which a cache keeps, and an engine's top k
            do not tell.
    """

    sets: ClassVar[tuple[PositionSet, ...]] = ("ref", "teacher", "student")
    headline: ClassVar[PositionSet] = "student"
    from_top_k: ClassVar[Literal["exact", "lower", "upper", "undefined"]] = "undefined"
    needs_entropy: ClassVar[bool] = False


class TokenMetric(PositionMetric):
    """A number for each position, averaged over a response, then over prompts.

    Attributes:
        curve: also kept by token index.
        on_policy_gap: also reported as `name@student-ref`.
        of_plain_samples: it means something on plain samples alone, of temperature 1 and the whole
            vocabulary.
    """

    curve: ClassVar[bool] = False
    on_policy_gap: ClassVar[bool] = False
    of_plain_samples: ClassVar[bool] = False

    @abstractmethod
    def values(self, at: Positions) -> "torch.Tensor":
        """One value a position, shape (n,); NaN where it is not defined and does not count."""


class PooledTokenMetric(PositionMetric):
    """A number that is a function of sums over all positions, such as a ratio or a bin's error."""

    @abstractmethod
    def sums(self, at: Positions) -> "torch.Tensor":
        """What each position adds, shape (n, K)."""

    @abstractmethod
    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """The number from sums, shape (..., K) to (...); NaN where it is not defined."""


class CurveMetric(TeacherMetric):
    """A number from how a token metric goes over the token index, on two position sets.

    Attributes:
        curve: name of the token metric.
        sets: the two position sets.
        length: tokens that it looks at.
        from_top_k: as for a position metric.
    """

    curve: ClassVar[str]
    sets: ClassVar[tuple[PositionSet, PositionSet]]
    length: ClassVar[int]
    from_top_k: ClassVar[Literal["exact", "lower", "upper", "undefined"]] = "undefined"

    @abstractmethod
    def value(self, first: "np.ndarray", second: "np.ndarray") -> "np.ndarray":
        """The number from the two sets' mean curves, (..., length) each to (...)."""


class PairMetric(TeacherMetric):
    """A number for each response beside one of the teacher's to the same prompt.

    Attributes:
        same_noise: whether the two are of one seed, and so drawn with the same noise. Else the
            teacher's is of the next seed: independent, as two users would see them. Greedy
            responses have one seed.
        survival: the scores are token indices; the share of pairs beyond each is kept as a curve.
    """

    same_noise: ClassVar[bool] = False
    survival: ClassVar[bool] = False

    @abstractmethod
    def score(self, student: Answer, teacher: Answer) -> float | None:
        """The response's score, None where it is not defined."""


class PooledPairMetric(TeacherMetric):
    """A number that is a function of sums over all pairs of responses."""

    @abstractmethod
    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """What a pair adds: K numbers."""

    @abstractmethod
    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """The number from sums, shape (..., K) to (...); NaN where it is not defined."""


class PromptPairMetric(TeacherMetric):
    """A number for each prompt, from all responses of both."""

    @abstractmethod
    def score(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """The prompt's score, None where it is not defined."""


class CorpusPairMetric(TeacherMetric):
    """One number for all pairs of responses of a seed; it has no interval over prompts."""

    @abstractmethod
    def value(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """The number, None where it is not defined."""
