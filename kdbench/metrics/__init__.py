"""What is measured. One metric, one file; a file here, or an entry point, is all it takes.

Of one model: a `SampleMetric` looks at one response, a `CorpusMetric` at all responses of one seed,
a `ForwardMetric` at the model itself. Of a student beside its teacher: a `TokenMetric` or
`PooledTokenMetric` looks at their next-token distributions; a `PairMetric`, `PooledPairMetric`,
`PromptPairMetric` or `CorpusPairMetric` at their texts. Text overlap is in points (0 to 100), rates
are 0 to 1, losses and divergences in nats.
"""

from collections.abc import Iterable, Mapping, Sequence

from kdbench.errors import InputError
from kdbench.metrics._kinds import (
    Answer,
    CorpusMetric,
    CorpusPairMetric,
    CurveMetric,
    ForwardMetric,
    Metric,
    PairMetric,
    PooledPairMetric,
    PooledTokenMetric,
    PositionMetric,
    PromptPairMetric,
    Reference,
    SampleMetric,
    TeacherMetric,
    TokenMetric,
)
from kdbench.metrics._positions import Positions, PositionSet, TopPositions, top
from kdbench.registry import Registry

__all__ = [
    "Answer",
    "CorpusMetric",
    "CorpusPairMetric",
    "CurveMetric",
    "ForwardMetric",
    "Metric",
    "PairMetric",
    "PooledPairMetric",
    "PooledTokenMetric",
    "PositionMetric",
    "PositionSet",
    "Positions",
    "PromptPairMetric",
    "Reference",
    "SampleMetric",
    "TeacherMetric",
    "TokenMetric",
    "TopPositions",
    "compares_with_teacher",
    "make_metrics",
    "make_teacher_metrics",
    "metrics",
    "result_name",
    "top",
    "with_stored",
]

metrics: Registry[type[Metric]] = Registry("metric", "kdbench.metrics", "kdbench.metrics")


def make_metrics(names: Sequence[str] = ()) -> list[Metric]:
    """Instances of the named metrics that need no teacher, of all such where none is named.

    Raises:
        InputError: an unknown name, or a metric registered under another than its own.
    """
    kinds = _kinds_of(names)
    return [kind() for kind in kinds.values() if not issubclass(kind, TeacherMetric)]


def make_teacher_metrics(names: Sequence[str] = ()) -> list[TeacherMetric]:
    """Instances of the named metrics that compare with a teacher, of all where none is named.

    Args:
        names: of metrics of every kind, perhaps with a position set, as in `top1@student`.

    Raises:
        InputError: as for `make_metrics`.
    """
    kinds = _kinds_of(names)
    return [kind() for kind in kinds.values() if issubclass(kind, TeacherMetric)]


def compares_with_teacher(name: str) -> bool:
    """Whether a result of this name, such as `top1@ref`, is that of a known teacher metric."""
    name = name.partition("@")[0]
    return name in metrics.names() and issubclass(metrics.get(name), TeacherMetric)


def result_name(word: str, known: Mapping[str, object]) -> str | None:
    """The result that a word means: itself, or the headline of a bare fidelity metric.

    Args:
        word: such as `acceptance` or `top1@ref`.
        known: names that results have.

    Returns:
        None for a word that is no metric.
    """
    if word in known:
        return word
    base, at, where = word.partition("@")
    if base not in metrics.names():
        return None
    kind = metrics.get(base)
    if not issubclass(kind, PositionMetric):
        return None if at else word
    if not at:
        return f"{base}@{kind.headline}"
    return word if where in kind.sets else None


def _kinds_of(names: Sequence[str]) -> dict[str, type[Metric]]:
    found = {}
    for word in names or metrics.names():
        name = word.partition("@")[0]
        kind = found[name] = metrics.get(name)
        if kind.name != name:
            raise InputError(f"metric '{name}' calls itself '{kind.name}': both must be one name")
    return found


def with_stored(wanted: Sequence[Metric], stored: Iterable[str]) -> list[Metric]:
    """The wanted metrics and, so that none is lost, those that a stored result has."""
    known = set(metrics.names())
    own = [name for name in stored if name in known]
    names = dict.fromkeys([metric.name for metric in wanted] + own)
    return make_metrics(list(names)) if names else []
