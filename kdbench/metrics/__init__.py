"""The metrics: one file each, here or named by an entry point.

One model: a `SampleMetric` scores a response, a `CorpusMetric` all responses of a seed, a
`PromptMetric` all responses to a prompt, a `ForwardMetric` the model itself, a `SamplingMetric` the
distributions that it sampled its responses from. A student and its teacher: a `TokenMetric` or
`PooledTokenMetric` compares their next-token distributions; a `PairMetric`, `PooledPairMetric`,
`PromptPairMetric` or `CorpusPairMetric` compares their texts. Text overlap is in points (0 to 100),
rates are 0 to 1, losses and divergences are in nats.
"""

from collections.abc import Iterable, Mapping, Sequence

from kdbench.errors import InputError
from kdbench.metrics._judged import GRADES, PREFERENCES, WITHOUT_SCORE, JudgedMetric, judged_metric
from kdbench.metrics._kinds import (
    Answer,
    CorpusMetric,
    CorpusPairMetric,
    CurveMetric,
    ForwardMetric,
    Metric,
    ModelMetric,
    OptionMetric,
    PairMetric,
    PooledPairMetric,
    PooledTokenMetric,
    PositionMetric,
    PromptMetric,
    PromptPairMetric,
    Reference,
    SampleMetric,
    SamplingMetric,
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
from kdbench.registry.plugins import stamp_of

__all__ = [
    "ALL",
    "GRADES",
    "HEADLINE",
    "POSITION_SETS",
    "PREFERENCES",
    "WITHOUT_SCORE",
    "AlignedPositions",
    "Answer",
    "CorpusMetric",
    "CorpusPairMetric",
    "CurveMetric",
    "ForwardMetric",
    "JudgedMetric",
    "Metric",
    "ModelMetric",
    "OptionMetric",
    "PairMetric",
    "PooledPairMetric",
    "PooledTokenMetric",
    "PositionMetric",
    "PositionSet",
    "Positions",
    "PromptMetric",
    "PromptPairMetric",
    "Reference",
    "SampleMetric",
    "SamplingMetric",
    "TeacherMetric",
    "TokenMetric",
    "TopPositions",
    "base_of",
    "compares_with_teacher",
    "in_headline_set",
    "is_known",
    "judged_metric",
    "make_metrics",
    "make_option_metrics",
    "make_teacher_metrics",
    "metrics",
    "of_repeated",
    "result_name",
    "thinking_metrics",
    "top",
    "with_stored",
]


def _with_code_in_version(kind: type[Metric]) -> None:
    """Make the code of a user's own metric part of its version, so that a change counts."""
    if stamp := stamp_of(kind):
        kind.version = f"{kind.version}+{stamp}"


metrics: Registry[type[Metric]] = Registry(
    "metric", "kdbench.metrics", "kdbench.metrics", _with_code_in_version
)

ALL, HEADLINE = "all", "headline"  # names of sets of metrics, accepted wherever a metric's name is

# Metrics of earlier results that equal another one, or 1 minus another one. They are not measured
# any more, and go when the comparison with the teacher is measured again.
_RETIRED = {"answer_churn", "negative_flips", "positive_flips", "tvd"}


def make_metrics(names: Sequence[str] = (), responses: int | None = None) -> list[Metric]:
    """Make the named metrics that need no teacher; without names, all of them.

    Args:
        names: Names of metrics of every kind, `all` or `headline`.
        responses: Number of responses to each prompt, which decides the k of metrics such as
            `pass`; None if the metrics only name what is to be measured.

    Raises:
        InputError: A name is unknown, a metric is registered under a name other than its own, or a
            metric needs more responses than there are.
    """
    others = TeacherMetric | OptionMetric
    own = [kind for kind in _kinds_of(names).values() if not issubclass(kind, others)]
    return [
        kind(_ks_of(kind, names, responses)) if issubclass(kind, PromptMetric) else kind()
        for kind in own
    ]


def make_option_metrics() -> list[OptionMetric]:
    """Make the metrics of one model on the options of multiple-choice tasks."""
    return [kind() for kind in _kinds_of([ALL]).values() if issubclass(kind, OptionMetric)]


def _ks_of(kind: type[PromptMetric], names: Sequence[str], responses: int | None) -> Sequence[int]:
    """The k in names such as `pass@8`, and the usual ones if a name has none."""
    ks: set[int] = set()
    for name in names or (HEADLINE,):
        text = name.partition("@")[2]
        if name in (ALL, HEADLINE, kind.name):
            ks |= set(kind().usual(responses) if responses else ())
        elif base_of(name) != kind.name:
            continue
        elif text.isascii() and text.isdecimal() and int(text[:10]) > 0:
            ks.add(int(text[:10]))
        else:
            raise InputError(
                f"metric '{name}': a whole number of 1 or more must follow the @, as in "
                f"{kind.name}@8"
            )
    if responses and max(ks, default=0) > responses:
        raise InputError(
            f"metric '{kind.name}@{max(ks)}': needs {max(ks)} responses to each prompt, and there "
            f"are {responses}; give more seeds, as in seeds=1-{max(ks)}"
        )
    return sorted(ks)


def base_of(name: str) -> str:
    """The metric's name in a result's name, such as `top1@ref` or `pass@8`.

    A name of lm-eval, `metric,filter`, may have an @ of its own.
    """
    base, _, rest = name.partition("@")
    return name if "," in rest else base


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


def thinking_metrics() -> list[Metric]:
    """Make the metrics that are measured for a model with a thinking."""
    kinds = map(metrics.get, metrics.names())
    return [kind() for kind in kinds if issubclass(kind, SampleMetric) and kind.of_thinking]


def compares_with_teacher(name: str) -> bool:
    """Whether a result of this name, such as `top1@ref`, is that of a known teacher metric."""
    base = base_of(name)
    if base in _RETIRED:
        return True
    return base in metrics.names() and issubclass(metrics.get(base), TeacherMetric)


def is_known(name: str) -> bool:
    """Whether a result of this name, such as `top1@ref`, is that of an installed metric."""
    return base_of(name) in metrics.names()


def of_repeated(name: str) -> bool:
    """Whether a result of this name, such as `pass@8`, is that of a known metric of k responses."""
    base = base_of(name)
    return base in metrics.names() and issubclass(metrics.get(base), PromptMetric)


def result_name(name: str, known: Mapping[str, object]) -> str | None:
    """Find the result that a name stands for.

    It is its own, a bare metric's headline position set or largest known k, or the metric of a
    task without its filter, as `acc` for `acc,none`.

    Args:
        name: Name of a result or metric, such as `top1@ref` or `acceptance`.
        known: Results by name.

    Returns:
        The result's name; None if the name is that of no metric.
    """
    if own := _name_of_task(name, known):
        return own
    base = base_of(name)
    if base not in metrics.names():
        return None
    kind = metrics.get(base)
    _, at, position_set = name.partition("@")
    if issubclass(kind, PromptMetric):
        numbers = [k.partition("@")[2] for k in (known if not at else [name]) if base_of(k) == base]
        ks = [int(number) for number in numbers if number.isdecimal()]
        return f"{base}@{max(ks)}" if ks else None if at else name
    if not issubclass(kind, PositionMetric):
        return None if at else name
    if not at:
        return f"{base}@{kind.headline}"
    return name if position_set in kind.sets else None


def _name_of_task(name: str, known: Mapping[str, object]) -> str | None:
    """A known result of this name, or of a task's metric of this name and any filter."""
    if name in known:
        return name
    filtered = [known_name for known_name in known if known_name.startswith(f"{name},")]
    # Of several filters, the one that only takes the response.
    return next(iter([f"{name},none"] if f"{name},none" in filtered else filtered), None)


def _kinds_of(names: Sequence[str]) -> dict[str, type[Metric]]:
    """Classes of the named metrics, by name; without names, those of the headline set."""
    kinds: dict[str, type[Metric]] = {}
    for name in names or (HEADLINE,):
        kinds |= {base: _kind_of(base) for base in _bases(name)}
    return kinds


def _bases(name: str) -> list[str]:
    """Names of the metrics that a name of `metrics=` stands for, without position sets."""
    if name == ALL:  # variants such as rougeL[characters] are chosen by a key of their own
        known = [base for base in metrics.names() if "[" not in base]
        return [base for base in known if not metrics.get(base).by_name_only]
    if name == HEADLINE:
        return [base for base in _bases(ALL) if in_headline_set(metrics.get(base))]
    return [base_of(name)]


def in_headline_set(kind: type[Metric]) -> bool:
    """Whether a metric is measured without `metrics=`, whatever the model."""
    return kind.by_default and not (issubclass(kind, SampleMetric) and kind.of_thinking)


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
    names: dict[str, None] = {}
    for metric in wanted:
        wanted_names = metric.result_names if isinstance(metric, PromptMetric) else []
        names |= dict.fromkeys(wanted_names or [metric.name])
    own = [name for name in stored if is_known(name) and not compares_with_teacher(name)]
    names |= dict.fromkeys(own)
    return make_metrics(list(names)) if names else []
