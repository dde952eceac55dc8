"""Which metrics of fidelity are asked for, and what they need measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.errors import InputError
from kdbench.metrics import (
    CurveMetric,
    PositionMetric,
    PositionSet,
    TeacherMetric,
    TokenMetric,
    make_teacher_metrics,
)

SETS: tuple[PositionSet, ...] = ("ref", "teacher", "student")
GAP = "student-ref"


@dataclass(frozen=True)
class Wanted:
    """What is to be measured.

    Attributes:
        metrics: instances, each once.
        names: of the results: `rougeL_teacher`, `top1@ref`, `top1@student-ref`.
    """

    metrics: tuple[TeacherMetric, ...]
    names: frozenset[str]

    def at(self, where: PositionSet) -> list[PositionMetric]:
        """The metrics of a position set."""
        return [
            metric
            for metric in self.metrics
            if isinstance(metric, PositionMetric) and f"{metric.name}@{where}" in self.names
        ]

    def gaps(self) -> list[TokenMetric]:
        """The metrics whose on-policy gap is asked for."""
        return [
            metric
            for metric in self.metrics
            if isinstance(metric, TokenMetric) and f"{metric.name}@{GAP}" in self.names
        ]

    def curve_metrics(self) -> list[CurveMetric]:
        """Those made of two curves."""
        return [metric for metric in self.metrics if isinstance(metric, CurveMetric)]


def wanted(words: Sequence[str]) -> Wanted:
    """What the words of `metrics=` ask for, all where there is none.

    Args:
        words: `top1` for all its sets, `top1@ref` for one, `top1@student-ref` for the gap.

    Raises:
        InputError: an unknown metric or position set.
    """
    metrics = {metric.name: metric for metric in make_teacher_metrics(words)}
    for one in list(metrics.values()):
        if isinstance(one, CurveMetric) and one.curve not in metrics:
            (needed,) = make_teacher_metrics([one.curve])
            metrics[one.curve] = needed
    names: set[str] = set()
    for word in words or metrics:
        name, at, where = word.partition("@")
        if name in metrics:
            names |= _names(metrics[name], where)
        if at and not isinstance(metrics.get(name), PositionMetric):
            raise InputError(f"metric '{word}': '{name}' has no position sets")
    return Wanted(tuple(metrics.values()), frozenset(names))


def check_words(words: Sequence[str], teacher: bool, keeps_scores: bool) -> None:
    """Check `metrics=` before anything is generated.

    Args:
        words: as given.
        teacher: whether there is one.
        keeps_scores: whether its scores of tokens are to be kept.

    Raises:
        InputError: an unknown metric or position set, or one that lacks what it needs.
    """
    asked = wanted(words)
    if not words:
        return
    if not teacher and asked.metrics:
        raise InputError(f"metric '{asked.metrics[0].name}' compares with a teacher: give teacher=")
    if keeps_scores and not any(asked.at(where) for where in SETS):
        raise InputError("teacher_cache= keeps scores of tokens, and metrics= names none of tokens")


def _names(metric: TeacherMetric, where: str) -> set[str]:
    """The results that a word asks for, and those that they are made of."""
    if isinstance(metric, CurveMetric):
        return {metric.name, *(f"{metric.curve}@{one}" for one in metric.sets)}
    if not isinstance(metric, PositionMetric):
        return {metric.name}
    known: dict[str, set[str]] = {one: {f"{metric.name}@{one}"} for one in metric.sets}
    if isinstance(metric, TokenMetric) and metric.on_policy_gap:
        ends = ("student", "ref")
        known[GAP] = {f"{metric.name}@{GAP}", *(f"{metric.name}@{one}" for one in ends)}
    if where and where not in known:
        listed = ", ".join(f"{metric.name}@{one}" for one in known)
        raise InputError(f"metric '{metric.name}@{where}': there is {listed}")
    return set().union(*known.values()) if not where else known[where]
