"""Checking that two runs are comparable, and naming the field that differs if they are not."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kdbench.comparing.scores import ComparedRun, TaskScores, can_be_measured
from kdbench.comparing.verdict import EXIT_INCOMPARABLE, EXIT_INCOMPLETE, Problem
from kdbench.metrics import judged_metric

# Earlier fields explain later ones.
_FIRST = ("harness", "task_version", "definition_sha256", "data_sha256", "protocol")
# A limit also changes the prompts, so they are compared last, by id.
_COMPARED_LAST = ("prompts_sha256", "task")
_ABSENT = "absent"


def comparison_problems(
    base: ComparedRun, new: ComparedRun, metrics: Collection[str], partial: bool
) -> list[Problem]:
    """Every reason why two runs cannot be compared.

    Args:
        base: Run to compare with.
        new: Run to judge.
        metrics: Names of the metrics to compare.
        partial: Whether only the tasks and prompts that both runs have are compared.
    """
    problems = [
        Problem(
            EXIT_INCOMPLETE,
            f"{run.label}: the run's status is '{run.status}'; rerun its command to complete it",
        )
        for run in (base, new)
        if run.status != "complete"
    ]
    if not set(base.tasks) & set(new.tasks):
        text = f"{base.label} and {new.label} have no task in common"
        return [*problems, Problem(EXIT_INCOMPARABLE, text)]
    for task in base.tasks:
        if task in new.tasks:
            problems += [
                Problem(EXIT_INCOMPARABLE, f"{task}: {text}", task)
                for text in _task_problems(base, new, task, metrics, partial)
            ]
        elif not partial:
            text = (
                f"{task}: {base.label} has results for this task and {new.label} does not; measure "
                "it, select tasks with tasks=, or set allow_partial=true"
            )
            problems.append(Problem(EXIT_INCOMPARABLE, text, task))
    return problems


def _task_problems(
    base: ComparedRun, new: ComparedRun, task: str, metrics: Collection[str], partial: bool
) -> Iterator[str]:
    old_scores, new_scores = base.tasks[task], new.tasks[task]
    fields = list(_differing_fields(old_scores.fingerprint, new_scores.fingerprint))
    # Overrides are part of a protocol's name, so another field explains a differing name better.
    explaining = [field for field in fields if field[0] != "protocol.name"] or fields
    yield from (_difference(*field) for field in explaining)
    if not fields:
        yield from _prompt_problems(base, new, task, partial)
    gated = [metric for metric in metrics if applies(metric, old_scores, new_scores)]
    if metrics and not gated:
        known = ", ".join(sorted({*old_scores.metrics, *new_scores.metrics}))
        yield f"tolerance= names no metric of this task, which has {known}"
    for metric in gated:
        yield from _metric_problems(old_scores, new_scores, metric)


def applies(metric: str, base: TaskScores, new: TaskScores) -> bool:
    """Whether a metric of the gate concerns a task: a run has it, or should have measured it.

    Args:
        metric: Name of the metric.
        base: The task in the base.
        new: The task in the new run.
    """
    return any(
        metric in scores.metrics
        or metric in scores.pooled
        or can_be_measured(metric, scores.fingerprint)
        for scores in (base, new)
    )


def _difference(field: str, base: Any, new: Any) -> str:
    return f"{field} differs: {_shown(base)} in the base, {_shown(new)} in the new run"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    text = "none" if value is None else str(value)
    is_hash = len(text) == 64
    return text[:12] if is_hash else text


def _differing_fields(
    base: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """The dotted name and both values of each field of two fingerprints that differs."""
    for key in [*_FIRST, *sorted({*base, *new} - {*_FIRST, *_COMPARED_LAST})]:
        old_value, new_value = base.get(key, _ABSENT), new.get(key, _ABSENT)
        if isinstance(old_value, Mapping) and isinstance(new_value, Mapping):
            for inner in sorted({*old_value, *new_value}):
                pair = old_value.get(inner, _ABSENT), new_value.get(inner, _ABSENT)
                if pair[0] != pair[1]:
                    yield f"{key}.{inner}", *pair
        elif old_value != new_value:
            yield key, old_value, new_value


def _prompt_problems(
    base: ComparedRun, new: ComparedRun, task: str, partial: bool
) -> Iterator[str]:
    old_scores, new_scores = base.tasks[task], new.tasks[task]
    if old_scores.ids == new_scores.ids:
        hashes = [s.fingerprint.get("prompts_sha256") for s in (old_scores, new_scores)]
        if hashes[0] != hashes[1]:
            yield _difference("prompts_sha256", *hashes)
        return
    common = len(set(old_scores.ids) & set(new_scores.ids))
    if not common:
        yield "the two runs have no prompt in common"
    elif not partial:
        difference = (
            _difference("limit", base.limit, new.limit)
            if base.limit != new.limit
            else f"the base has {len(old_scores.ids)} prompts and the new run {len(new_scores.ids)}"
        )
        yield f"{difference}; set allow_partial=true to compare the {common} in common"


def _metric_problems(base: TaskScores, new: TaskScores, metric: str) -> Iterator[str]:
    if metric in base.pooled | new.pooled:
        yield (
            f"{metric} has no score per prompt, so it cannot be gated; name other tasks with "
            "tasks=, or other metrics with tolerance="
        )
        return
    for scores, place in ((base, "base"), (new, "new run")):
        if metric not in scores.metrics and "output_type" in scores.fingerprint:
            known = ", ".join(scores.metrics)
            yield f"{metric} is missing in the {place}, which has {known}; name one in tolerance="
            return
        if metric not in scores.metrics:
            way = "judge=" if judged_metric(metric) else f"metrics={metric}"
            yield f"{metric} is missing in the {place}; measure it with {way}"
            return
    old_scores, new_scores = base.metrics[metric], new.metrics[metric]
    for field in ("version", "unit", "direction", "teacher", "bound"):
        old_value, new_value = getattr(old_scores, field), getattr(new_scores, field)
        if old_value != new_value:
            yield _difference(f"{field} of {metric}", old_value, new_value)
