"""The kinds of metrics, by what they look at."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from kdbench.metrics._positions import POSITION_SETS, Positions, PositionSet

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Answer:
    """One response, as a metric sees it.

    Attributes:
        text: The answer's text, without the thinking and post-processed.
        references: The document's references; empty if it has none.
        n_tokens: Number of generated tokens; None if it is not known.
        finish: How the response ended, `stop` or `length`; None if it is not known.
        tokens: The generated token ids, including the end token; None if they are not known.
        final: The final answer, in a task with closed answers; None if there is none.
        right: Whether the final answer is right; None if the task has no closed answers.
        options: Log-probabilities of the options of a multiple-choice task, normalised so that
            their probabilities sum to 1, in nats; None in other tasks.
        n_thinking_tokens: Number of tokens of the thinking, which is not part of the text; None if
            the model has none or the number is not known.
        unclosed: Whether the thinking never ended, so that there is no answer; None if the model
            has none.
    """

    text: str
    references: tuple[str, ...]
    n_tokens: int | None = None
    finish: Literal["stop", "length"] | None = None
    tokens: tuple[int, ...] | None = None
    final: str | None = None
    right: bool | None = None
    options: tuple[float, ...] | None = None
    n_thinking_tokens: int | None = None
    unclosed: bool | None = None


@dataclass(frozen=True)
class Reference:
    """A prompt and its first reference: what a model is measured on without generating.

    Attributes:
        document: The document's id.
        prompt_ids: Token ids of the encoded prompt.
        text: The document's first reference.
    """

    document: str
    prompt_ids: tuple[int, ...]
    text: str


class Metric(ABC):
    """A metric of any kind: its name, unit, direction and version.

    Attributes:
        name: The metric's name in results and tables.
        unit: Unit of the number: points (0 to 100), rate and p-value (0 to 1), tokens, nats, bits,
            ratio (1 means equal), correlation or percent.
        direction: Whether higher or lower is better; `none` describes without judging.
        version: Version of the definition, to be raised whenever the same text would score
            differently. Stored scores of an older version are measured again.
        by_default: Whether the metric is measured without `metrics=`. If not, its name or
            `metrics=all` asks for it.
        needs_reference: Whether the metric compares with references. Documents without one do not
            count, and the metric never sees them.
        by_name_only: Whether `metrics=all` leaves it out, so that only its name asks for it.
    """

    name: ClassVar[str]
    unit: ClassVar[
        Literal[
            "points", "rate", "p-value", "tokens", "nats", "bits", "ratio", "correlation", "percent"
        ]
    ]
    direction: ClassVar[Literal["higher", "lower", "none"]]
    version: ClassVar[int | str] = 1
    by_default: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = False
    by_name_only: ClassVar[bool] = False

    def is_current(self, stored: Mapping[str, Any]) -> bool:
        """Whether stored results contain this metric in this version."""
        return self.name in stored and stored[self.name].version == str(self.version)

    def counts(self, answer: Answer) -> bool:
        """Whether the references of a response's document are enough for this metric."""
        return bool(answer.references) or not self.needs_reference


class SampleMetric(Metric):
    """A number for each response.

    Attributes:
        of_thinking: Whether the metric is about the thinking. It is measured without `metrics=` for
            models that have one, and left out for others.
        undefined: Reason to give when there is no number.
    """

    of_thinking: ClassVar[bool] = False
    undefined: ClassVar[str] = "not known for these samples"

    @abstractmethod
    def score(self, answer: Answer) -> float | None:
        """Score a response; return None if the metric is not defined on it."""


class CorpusMetric(Metric):
    """One number for all responses of a seed; it has no interval over prompts."""

    @abstractmethod
    def value(self, answers: Sequence[Answer]) -> float | None:
        """Score all responses of a seed; return None if the metric is not defined on them."""

    def tally(self) -> "CorpusTally | None":
        """Return what computes the same from one response at a time; None if nothing does.

        Without one, all responses of a seed are in memory at once.
        """
        return None


class CorpusTally(Protocol):
    """A corpus metric's number from one response at a time, in memory that grows slowly."""

    def add(self, answer: Answer) -> None:
        """Count a response."""

    def value(self) -> float | None:
        """What the metric's `value` gives for the responses so far."""


class PromptMetric(Metric):
    """A number for each document from all of its n responses: what k of them give on average.

    Its results are named `name@k`, such as `pass@8`. The number is to be unbiased: the mean over
    all ways to choose k of the n responses.

    Args:
        ks: The k to measure; empty means those of `usual`.

    Attributes:
        ks: The k to measure.
        undefined: Reason to give when there is no number.
    """

    by_default = False
    undefined: ClassVar[str] = "not defined on these responses"

    def __init__(self, ks: Sequence[int] = ()):
        self.ks = tuple(ks)

    @property
    def result_names(self) -> list[str]:
        """Names of the results, `name@k`."""
        return [f"{self.name}@{k}" for k in self.ks]

    def usual(self, responses: int) -> tuple[int, ...]:
        """Return the k to measure if none is named: the powers of two up to n, and n."""
        powers = [2**power for power in range(responses.bit_length())]
        return tuple(dict.fromkeys([*powers, responses]))

    @abstractmethod
    def score(self, answers: Sequence[Answer], k: int) -> float | None:
        """Score the n responses to a prompt; return None if the metric is not defined on them.

        Args:
            answers: All responses to the prompt, k or more.
            k: Number of responses whose outcome the number describes.
        """

    def is_current(self, stored: Mapping[str, Any]) -> bool:
        """Whether stored results contain every `name@k` in this version."""
        names = self.result_names
        return all(n in stored and stored[n].version == str(self.version) for n in names)


class ModelMetric(Metric):
    """A number for each document, from the model's own probabilities."""


class ForwardMetric(ModelMetric):
    """A number for each document, from the model's probabilities of its first reference.

    The batches depend on the references alone, so that a resumed run computes with the same batch
    composition.
    """

    needs_reference = True

    @abstractmethod
    def batches(
        self, tokenizer: Any, references: Sequence[Reference], limit: int
    ) -> list[list[Reference]]:
        """Group the references into the batches in which they are measured.

        Args:
            tokenizer: Tokenizer of the model.
            references: References to measure on.
            limit: Number of tokens of a reference that count.
        """

    @abstractmethod
    def measure(
        self, model: Any, tokenizer: Any, batch: Sequence[Reference], limit: int
    ) -> list[float]:
        """Return the values of one batch. The model is in evaluation mode."""


class SamplingMetric(ModelMetric):
    """A number for each document, from the distributions that its responses were sampled from.

    These are the model's, with the protocol's temperature, top-k, top-p and n-gram rule. The number
    is the mean over a response's tokens, the end token included, and then over the responses.
    """

    by_default = False
    by_name_only = True

    @abstractmethod
    def values(self, log_p: "torch.Tensor") -> "torch.Tensor":
        """Return one value for each token of a response, (n, V) to (n,).

        Args:
            log_p: Log-probabilities from which the token was drawn, float32, -inf for tokens that
                could not be drawn; under greedy decoding all but one.
        """


class OptionMetric(Metric):
    """A number from sums over the documents of a multiple-choice task, measured on each of them."""

    @abstractmethod
    def sums(self, answer: Answer) -> Sequence[float]:
        """Return the K numbers that a document adds to the sums."""

    @abstractmethod
    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the number from the sums, shape (..., K) to (...); NaN if it is not defined."""


class TeacherMetric(Metric):
    """A comparison of a student with its teacher, measured when `teacher=` is given.

    Attributes:
        compares: What of the two is compared: generated `responses`, the `options` of a
            multiple-choice task, or final `answers`, which responses and options both give.
        perfect: The value of a student that equals its teacher, if it is known beforehand. It
            serves as the ceiling. The ceiling of other metrics is measured, by comparing the
            teacher with its own next seed.
        undefined: Reason to give when there is no number.
    """

    compares: ClassVar[Literal["responses", "answers", "options"]] = "responses"
    perfect: ClassVar[float | None] = None
    undefined: ClassVar[str] = "not defined on these responses"


class PositionMetric(TeacherMetric):
    """A comparison of the two next-token distributions at response positions.

    Its results are named `name@set`: `@ref` on the first reference, `@teacher` on the teacher's
    responses, `@student` on the student's responses.

    Attributes:
        sets: Position sets on which the metric is measured.
        headline: Position set that the bare name stands for.
        from_top_k: What the number is when only the teacher's top k are known and all other tokens
            form one class: `exact`, a `lower` or an `upper` bound, or `undefined`.
        needs_entropy: Whether the metric uses the teacher's entropy. A cache stores it; the top k
            of an engine do not determine it.
        across_tokenizers: Whether the metric is defined where student and teacher have different
            tokenizers; it is then measured where both begin a token.
        everywhere: Whether it counts at all positions even then.
        needs_bytes: Whether the metric uses `Positions.target_bytes`.
    """

    sets: ClassVar[tuple[PositionSet, ...]] = POSITION_SETS
    headline: ClassVar[PositionSet] = "student"
    from_top_k: ClassVar[Literal["exact", "lower", "upper", "undefined"]] = "undefined"
    needs_entropy: ClassVar[bool] = False
    across_tokenizers: ClassVar[bool] = False
    everywhere: ClassVar[bool] = False
    needs_bytes: ClassVar[bool] = False


class TokenMetric(PositionMetric):
    """A number for each position, averaged over each response and then over prompts.

    Attributes:
        curve: Whether means by token index are stored too.
        on_policy_gap: Whether `name@student-ref` is reported too.
        of_plain_samples: Whether the metric is only meaningful on plain samples: temperature 1,
            whole vocabulary.
    """

    curve: ClassVar[bool] = False
    on_policy_gap: ClassVar[bool] = False
    of_plain_samples: ClassVar[bool] = False

    @abstractmethod
    def values(self, at: Positions) -> "torch.Tensor":
        """Return one value for each position, shape (n,); NaN for positions that do not count."""


class PooledTokenMetric(PositionMetric):
    """A number from sums over all positions, such as a ratio or a calibration error."""

    @abstractmethod
    def sums(self, at: Positions) -> "torch.Tensor":
        """Return what each position adds to the sums, shape (n, K)."""

    @abstractmethod
    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the number from the sums, shape (..., K) to (...); NaN if it is not defined."""


class CurveMetric(TeacherMetric):
    """A number from the curves of a token metric by token index, on two position sets.

    Attributes:
        curve: Name of the token metric.
        sets: The two position sets.
        length: Number of token indices that count.
        from_top_k: As for a position metric.
    """

    curve: ClassVar[str]
    sets: ClassVar[tuple[PositionSet, PositionSet]]
    length: ClassVar[int]
    from_top_k: ClassVar[Literal["exact", "lower", "upper", "undefined"]] = "undefined"

    @abstractmethod
    def value(self, first: "np.ndarray", second: "np.ndarray") -> "np.ndarray":
        """Compute the number from the two mean curves, shape (..., length) each to (...)."""


class PairMetric(TeacherMetric):
    """A number for each response of the student and a response of the teacher to the same prompt.

    Attributes:
        same_noise: Whether the two responses have the same seed and are therefore drawn with the
            same noise. Otherwise the teacher's response has the next seed, so that the two are
            independent draws. Greedy responses have one seed.
        survival: Whether the scores are token indices, and the share of pairs that reach each
            index is stored as a curve.
    """

    same_noise: ClassVar[bool] = False
    survival: ClassVar[bool] = False

    @abstractmethod
    def score(self, student: Answer, teacher: Answer) -> float | None:
        """Score a pair of responses; return None if the metric is not defined on it."""


class PooledPairMetric(TeacherMetric):
    """A number from sums over all pairs of responses."""

    @abstractmethod
    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Return the K numbers that a pair adds to the sums."""

    @abstractmethod
    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the number from the sums, shape (..., K) to (...); NaN if it is not defined."""


class PromptPairMetric(TeacherMetric):
    """A number for each prompt, from all responses of both models."""

    @abstractmethod
    def score(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """Score the responses to a prompt; return None if the metric is not defined on them."""


class CorpusPairMetric(TeacherMetric):
    """One number for all pairs of responses of a seed; it has no interval over prompts."""

    @abstractmethod
    def value(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """Score all pairs of a seed; return None if the metric is not defined on them."""
