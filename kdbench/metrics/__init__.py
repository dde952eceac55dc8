"""What is measured. One metric, one file; a file here, or an entry point, is all it takes.

Three kinds, by what they look at: a `SampleMetric` one response, a `CorpusMetric` all responses of
one seed, a `ForwardMetric` the model itself. Text overlap is in points (0 to 100), rates are
0 to 1, losses in nats.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from kdbench.errors import InputError
from kdbench.registry import Registry


@dataclass(frozen=True)
class Answer:
    """One response as a metric sees it.

    Attributes:
        text: post-processed.
        references: right answers, one or more.
        n_tokens: generated tokens, None if not known.
        finish: `stop`, `length`, None if not known.
    """

    text: str
    references: tuple[str, ...]
    n_tokens: int | None = None
    finish: Literal["stop", "length"] | None = None


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
        unit: points, rate, tokens or nats.
        direction: which way is better; `none` describes without judging.
        version: raised when the same text would score otherwise.
    """

    name: ClassVar[str]
    unit: ClassVar[Literal["points", "rate", "tokens", "nats"]]
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


metrics: Registry[type[Metric]] = Registry("metric", "kdbench.metrics", "kdbench.metrics")


def make_metrics(names: Sequence[str] = ()) -> list[Metric]:
    """Instances of the named metrics, of all where none is named.

    Raises:
        InputError: an unknown name, or a metric registered under another than its own.
    """
    made = [(name, metrics.get(name)()) for name in (names or metrics.names())]
    for name, metric in made:
        if metric.name != name:
            raise InputError(f"metric '{name}' calls itself '{metric.name}': both must be one name")
    return [metric for _, metric in made]


def with_stored(wanted: Sequence[Metric], stored: Iterable[str]) -> list[Metric]:
    """The wanted metrics and, so that none is lost, those that a stored result has."""
    known = set(metrics.names())
    names = dict.fromkeys([metric.name for metric in wanted] + [n for n in stored if n in known])
    return make_metrics(list(names))
