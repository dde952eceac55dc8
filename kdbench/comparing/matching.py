"""Whether two sides may be compared, and if not, which field differs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kdbench.comparing.sides import Side, TaskScores
from kdbench.comparing.verdict import EXIT_INCOMPARABLE, EXIT_INCOMPLETE, Problem

# In the order in which one explains the others: another limit also means other prompts.
_ORDER = ("task_version", "definition_sha256", "data_sha256", "protocol")
_ABSENT = "absent"


def problems_of(base: Side, new: Side, metrics: Iterable[str], partial: bool) -> list[Problem]:
    """All that forbids the comparison.

    Args:
        base: what is compared with.
        new: what is judged.
        metrics: names of those that are compared.
        partial: compare the tasks and prompts that both have.
    """
    found = [
        Problem(EXIT_INCOMPLETE, f"{side.label}: run {side.status}; repeat its command to end it")
        for side in (base, new)
        if side.status != "complete"
    ]
    if not set(base.tasks) & set(new.tasks):
        return [*found, Problem(EXIT_INCOMPARABLE, f"{base.label} and {new.label}: no common task")]
    for task in base.tasks:
        if task in new.tasks:
            found += [
                Problem(EXIT_INCOMPARABLE, f"{task}: {text}", task)
                for text in _differences(base, new, task, metrics, partial)
            ]
        elif not partial:
            text = (
                f"{task}: is in {base.label} and not in {new.label}; measure it, choose with "
                "tasks=, or pass allow_partial=true"
            )
            found.append(Problem(EXIT_INCOMPARABLE, text, task))
    return found


def _differences(
    base: Side, new: Side, task: str, metrics: Iterable[str], partial: bool
) -> Iterator[str]:
    one, other = base.tasks[task], new.tasks[task]
    fields = list(_fields(one.fingerprint, other.fingerprint))
    # A protocol's name tells its overrides, so it differs along with a field that says more.
    named = [field for field in fields if field[0] != "protocol.name"] or fields
    yield from (_said(*field) for field in named)
    if not fields:
        yield from _other_prompts(base, new, task, partial)
    for metric in metrics:
        yield from _other_metric(one, other, metric)


def _said(field: str, one: Any, other: Any) -> str:
    return f"{field} differs: {_word(one)} in the base, {_word(other)} in the new run"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    text = "none" if value is None else str(value)
    return text[:12] if len(text) == 64 else text


def _fields(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Dotted fields that differ, but for the prompts, which a limit changes too."""
    keys = [*_ORDER, *sorted({*one, *other} - {*_ORDER, "prompts_sha256", "task"})]
    for key in keys:
        a, b = one.get(key, _ABSENT), other.get(key, _ABSENT)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            for inner in sorted({*a, *b}):
                if a.get(inner, _ABSENT) != b.get(inner, _ABSENT):
                    yield f"{key}.{inner}", a.get(inner, _ABSENT), b.get(inner, _ABSENT)
        elif a != b:
            yield key, a, b


def _other_prompts(base: Side, new: Side, task: str, partial: bool) -> Iterator[str]:
    one, other = base.tasks[task], new.tasks[task]
    hashes = [side.fingerprint.get("prompts_sha256") for side in (one, other)]
    if one.ids == other.ids:
        if hashes[0] != hashes[1]:
            yield _said("prompts_sha256", *hashes)
        return
    common = len(set(one.ids) & set(other.ids))
    if not common:
        yield "the two have no prompt in common"
    elif not partial:
        what = (
            _said("limit", base.limit, new.limit)
            if base.limit != new.limit
            else f"{len(one.ids)} and {len(other.ids)} prompts"
        )
        yield f"{what}; {common} in common (allow_partial=true compares these)"


def _other_metric(one: TaskScores, other: TaskScores, metric: str) -> Iterator[str]:
    if metric in one.pooled | other.pooled:
        yield f"{metric} has no score for each prompt, so it cannot be gated; leave it out"
        return
    for side, where in ((one, "base"), (other, "new run")):
        if metric not in side.metrics:
            yield f"{metric} is missing in the {where}; measure it: metrics={metric}"
            return
    a, b = one.metrics[metric], other.metrics[metric]
    for name in ("version", "unit", "direction", "teacher", "bound"):
        if getattr(a, name) != getattr(b, name):
            yield _said(f"{name} of {metric}", getattr(a, name), getattr(b, name))
