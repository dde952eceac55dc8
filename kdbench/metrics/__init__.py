"""The metrics: one file each, here or named by an entry point.

One model: a `SampleMetric` scores a response, a `CorpusMetric` all responses of a seed, a
`ForwardMetric` the model itself. A student and its teacher: a `TokenMetric` or `PooledTokenMetric`
compares their next-token distributions; a `PairMetric`, `PooledPairMetric`, `PromptPairMetric` or
`CorpusPairMetric` compares their texts. Text overlap is in points (0 to 100), rates are 0 to 1,
losses and divergences are in nats.
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
    OptionMetric,
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
from kdbench.metrics._positions import (
    POSITION_SETS,
    AlignedPositions,
    Positions,
    PositionSet,
    TopPositions,
    top,
)
from kdbench.registry import Registry

__all__ = [
    "ALL",
    "HEADLINE",
    "POSITION_SETS",
    "AlignedPositions",
    "Answer",
    "CorpusMetric",
    "CorpusPairMetric",
    "CurveMetric",
    "ForwardMetric",
    "Metric",
    "OptionMetric",
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
    "in_headline_set",
    "is_known",
    "make_metrics",
    "make_option_metrics",
    "make_teacher_metrics",
    "metrics",
    "result_name",
    "top",
    "with_stored",
]

metrics: Registry[type[Metric]] = Registry("metric", "kdbench.metrics", "kdbench.metrics")

ALL, HEADLINE = "all", "headline"  # names of sets of metrics, accepted wherever a metric's name is

# Metrics of earlier results that equal another one, or 1 minus another one. They are not measured
# any more, and go when the comparison with the teacher is measured again.
_RETIRED = {"answer_churn", "negative_flips", "positive_flips", "tvd"}


def make_metrics(names: Sequence[str] = ()) -> list[Metric]:
    """Make the named metrics that need no teacher; without names, all of them.

    Args:
        names: Names of metrics of every kind, `all` or `headline`.

    Raises:
        InputError: A name is unknown, or a metric is registered under a name other than its own.
    """
    kinds = _kinds_of(names)
    return [k() for k in kinds.values() if not issubclass(k, TeacherMetric | OptionMetric)]


def make_option_metrics() -> list[OptionMetric]:
    """Make the metrics of one model on the options of multiple-choice tasks."""
    return [kind() for kind in _kinds_of([ALL]).values() if issubclass(kind, OptionMetric)]


def make_teacher_metrics(names: Sequence[str] = ()) -> list[TeacherMetric]:
    """Make the named metrics that compare with a teacher; without names, the headline set.

    Args:
        names: Names of metrics of every kind, `all` or `headline`. A name may have a position set,
            as in `top1@student`.

    Raises:
        InputError: As for `make_metrics`.
    """
    kinds = _kinds_of(names)
    return [kind() for kind in kinds.values() if issubclass(kind, TeacherMetric)]


def compares_with_teacher(name: str) -> bool:
    """Whether a result of this name, such as `top1@ref`, is that of a known teacher metric."""
    base = name.partition("@")[0]
    if base in _RETIRED:
        return True
    return base in metrics.names() and issubclass(metrics.get(base), TeacherMetric)


def is_known(name: str) -> bool:
    """Whether a result of this name, such as `top1@ref`, is that of an installed metric."""
    return name.partition("@")[0] in metrics.names()


def result_name(name: str, known: Mapping[str, object]) -> str | None:
    """Find the result that a name stands for.

    It is its own, a bare metric's headline position set, or the metric of a task without its
    filter, as `acc` for `acc,none`.

    Args:
        name: Name of a result or metric, such as `top1@ref` or `acceptance`.
        known: Results by name.

    Returns:
        The result's name; None if the name is that of no metric.
    """
    if name in known:
        return name
    of_task = [known_name for known_name in known if known_name.startswith(f"{name},")]
    if of_task:  # of several filters, the one that only takes the response
        return f"{name},none" if f"{name},none" in of_task else of_task[0]
    base, at, position_set = name.partition("@")
    if base not in metrics.names():
        return None
    kind = metrics.get(base)
    if not issubclass(kind, PositionMetric):
        return None if at else name
    if not at:
        return f"{base}@{kind.headline}"
    return name if position_set in kind.sets else None


def _kinds_of(names: Sequence[str]) -> dict[str, type[Metric]]:
    """Classes of the named metrics, by name; without names, those of the headline set."""
    kinds: dict[str, type[Metric]] = {}
    for name in names or (HEADLINE,):
        kinds |= {base: _kind_of(base) for base in _bases(name)}
    return kinds


def _bases(name: str) -> list[str]:
    """Names of the metrics that a name of `metrics=` stands for, without position sets."""
    if name == ALL:  # variants such as rougeL[characters] are chosen by a key of their own
        return [base for base in metrics.names() if "[" not in base]
    if name == HEADLINE:
        return [base for base in _bases(ALL) if in_headline_set(metrics.get(base))]
    return [name.partition("@")[0]]


def in_headline_set(kind: type[Metric]) -> bool:
    """Whether a metric is measured without `metrics=`: if it needs no teacher, always."""
    return not issubclass(kind, TeacherMetric) or kind.by_default


def _kind_of(base: str) -> type[Metric]:
    kind = metrics.get(base)
    if kind.name != base:
        raise InputError(f"metric '{base}' calls itself '{kind.name}': the two names must be equal")
    return kind


def with_stored(wanted: Sequence[Metric], stored: Iterable[str]) -> list[Metric]:
    """Return the wanted metrics and those of a stored result, so that none is lost.

    Args:
        wanted: Metrics to measure.
        stored: Names of stored results.
    """
    installed = set(metrics.names())
    names = dict.fromkeys([metric.name for metric in wanted])
    names |= dict.fromkeys(name for name in stored if name in installed)
    return make_metrics(list(names)) if names else []
