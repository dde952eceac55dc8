"""Which fidelity metrics `metrics=` asks for, and what they need measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.errors import InputError
from kdbench.metrics import (
    ALL,
    HEADLINE,
    POSITION_SETS,
    CurveMetric,
    PositionMetric,
    PositionSet,
    PromptMetric,
    TeacherMetric,
    TokenMetric,
    make_metrics,
    make_teacher_metrics,
)

ACROSS_TOKENIZERS = ("aligned", "bits_per_byte", "teacher_bits_per_byte")
GAP = "student-ref"  # stands for a position set in the names of on-policy gaps


@dataclass(frozen=True)
class WantedMetrics:
    """The fidelity metrics to measure.

    Attributes:
        metrics: Instances, each once.
        names: Names of the results, such as `rougeL_teacher`, `top1@ref` and `top1@student-ref`.
    """

    metrics: tuple[TeacherMetric, ...]
    names: frozenset[str]

    def at(self, position_set: PositionSet) -> list[PositionMetric]:
        """The metrics wanted on a position set."""
        return [
            metric
            for metric in self.metrics
            if isinstance(metric, PositionMetric) and f"{metric.name}@{position_set}" in self.names
        ]

    def gaps(self) -> list[TokenMetric]:
        """The metrics whose on-policy gap is wanted."""
        return [
            metric
            for metric in self.metrics
            if isinstance(metric, TokenMetric) and f"{metric.name}@{GAP}" in self.names
        ]

    def curve_metrics(self) -> list[CurveMetric]:
        """The wanted metrics that are computed from two curves."""
        return [metric for metric in self.metrics if isinstance(metric, CurveMetric)]

    def token_names(self) -> list[str]:
        """Names of the results that compare distributions, sorted."""
        bases = {m.name for m in self.metrics if isinstance(m, PositionMetric | CurveMetric)}
        return sorted(name for name in self.names if name.partition("@")[0] in bases)


def with_alignment(wanted: WantedMetrics) -> WantedMetrics:
    """Add how far different tokenizers meet, and both models' bits per byte, on the wanted sets."""
    added = {metric.name: metric for metric in make_teacher_metrics(ACROSS_TOKENIZERS)}
    known = {metric.name: metric for metric in wanted.metrics}
    names = {
        f"{name}@{position_set}"
        for position_set in POSITION_SETS
        if wanted.at(position_set)
        for name in added
    }
    return WantedMetrics(tuple({**added, **known}.values()), wanted.names | names)


def wanted_metrics(names: Sequence[str], options: bool = False) -> WantedMetrics:
    """Find the fidelity metrics that `metrics=` asks for; without names, the headline set.

    A set has the metrics that its kind of task can have. On tasks that are scored by likelihood,
    which need no further forward pass, the headline set has all of them.

    Args:
        names: `all`, `headline`, or names of metrics: `top1` for all its position sets, `top1@ref`
            for one of them, `top1@student-ref` for the on-policy gap.
        options: Whether the task is scored by likelihood.

    Raises:
        InputError: A metric or position set is unknown.
    """
    asked = {name: _asked(name, options) for name in names or (HEADLINE,)}
    metrics = {metric.name: metric for found in asked.values() for metric in found}
    for metric in list(metrics.values()):
        if isinstance(metric, CurveMetric) and metric.curve not in metrics:
            (needed,) = make_teacher_metrics([metric.curve])
            metrics[metric.curve] = needed
    results: set[str] = set()
    for name, found in asked.items():
        base, at, position_set = name.partition("@")
        for metric in found:
            results |= _result_names(metric, position_set)
        own = {metric.name: metric for metric in make_metrics([name])} if at else {}
        if at and not isinstance(own.get(base) or metrics.get(base), PositionMetric | PromptMetric):
            raise InputError(f"metric '{name}': '{base}' has no position sets")
    return WantedMetrics(tuple(metrics.values()), frozenset(results))


def _asked(name: str, options: bool) -> list[TeacherMetric]:
    """The metrics that a name stands for on a kind of task."""
    if name not in (ALL, HEADLINE):
        return make_teacher_metrics([name])
    if options:
        return [m for m in make_teacher_metrics([ALL]) if m.compares != "responses"]
    return [m for m in make_teacher_metrics([name]) if m.compares != "options"]


def check_metrics(names: Sequence[str], has_teacher: bool, caches_scores: bool) -> None:
    """Check `metrics=` before anything is generated.

    Args:
        names: Names of metrics, as given.
        has_teacher: Whether `teacher=` is given.
        caches_scores: Whether `teacher_cache=` is given.

    Raises:
        InputError: A metric or position set is unknown, or a metric lacks what it needs.
    """
    wanted = wanted_metrics(names)
    if not names:
        return
    explicit = [name for name in names if name not in (ALL, HEADLINE)]
    if not has_teacher and explicit and (metrics := wanted_metrics(explicit).metrics):
        raise InputError(f"metric '{metrics[0].name}' compares with a teacher: give teacher=")
    if caches_scores and not any(wanted.at(position_set) for position_set in POSITION_SETS):
        raise InputError(
            "teacher_cache= stores the teacher's scores of tokens, but metrics= names no token "
            "metric; add one, such as top1"
        )


def _result_names(metric: TeacherMetric, position_set: str) -> set[str]:
    """Names of the results that a metric's name asks for, and of those they are made of."""
    if isinstance(metric, CurveMetric):
        return {metric.name, *(f"{metric.curve}@{needed}" for needed in metric.sets)}
    if not isinstance(metric, PositionMetric):
        return {metric.name}
    by_set: dict[str, set[str]] = {known: {f"{metric.name}@{known}"} for known in metric.sets}
    if isinstance(metric, TokenMetric) and metric.on_policy_gap:
        ends = ("student", "ref")
        by_set[GAP] = {f"{metric.name}@{GAP}", *(f"{metric.name}@{end}" for end in ends)}
    if not position_set:
        return set().union(*by_set.values())
    if position_set not in by_set:
        choices = ", ".join(f"{metric.name}@{known}" for known in by_set)
        raise InputError(f"metric '{metric.name}@{position_set}': choose from {choices}")
    return by_set[position_set]
