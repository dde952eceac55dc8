"""The paired scores of each category of prompts."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kdbench.comparing.pairing import PairedScores
from kdbench.comparing.scores import ComparedRun
from kdbench.errors import InputError
from kdbench.text import NO_CATEGORY


def check_categories(tasks: Sequence[str], base: ComparedRun, new: ComparedRun) -> None:
    """Check that a task has categories.

    Raises:
        InputError: None has.
    """
    if not any(_categories(task, base, new) for task in tasks):
        raise InputError(
            f"by=category: {new.label} has no categories of {', '.join(tasks)}; rows of prompts "
            "name theirs in the field 'category', and kdbench eval stores them"
        )


def by_category(
    pairs: Mapping[str, PairedScores], base: ComparedRun, new: ComparedRun
) -> Iterator[tuple[str, dict[str, PairedScores]]]:
    """Yield each category with the paired scores of its prompts, by task; one task at a time.

    A task without categories has only its row of all prompts.

    Args:
        pairs: Paired scores of each task.
        base: Run to compare with.
        new: Run to judge.
    """
    known = {task: _categories(task, base, new) for task in pairs}
    for task, paired in pairs.items():
        of_prompt = [known[task].get(document) or NO_CATEGORY for document in paired.ids]
        for category in sorted(set(of_prompt)) if known[task] else ():
            rows = np.array([name == category for name in of_prompt])
            yield category, {task: paired.only(rows)}


def _categories(task: str, base: ComparedRun, new: ComparedRun) -> dict[str, str | None]:
    """The category of each prompt; a gate's baseline stores none."""
    for scores in (new.tasks[task], base.tasks[task]):
        if scores.categories:
            return dict(zip(scores.ids, scores.categories, strict=True))
    return {}
