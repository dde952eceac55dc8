"""Recipes in a comparison: the runs of several training seeds, as one side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kdbench.comparing.scores import ComparedRun, PromptScores, TaskScores
from kdbench.store.recipes import paired_trainings

_SHARED = ("unit", "direction", "version", "teacher", "bound")


@dataclass(frozen=True)
class Scope:
    """What the verdicts of a comparison generalise to.

    Attributes:
        base_seeds: Training seeds of the base; empty unless it is a recipe.
        new_seeds: Training seeds of the new run; empty unless it is a recipe.
    """

    base_seeds: tuple[int, ...] = ()
    new_seeds: tuple[int, ...] = ()

    @property
    def is_recipes(self) -> bool:
        """Whether both sides are recipes, so that verdicts hold for other trainings too."""
        return bool(self.base_seeds) and bool(self.new_seeds)

    def __str__(self) -> str:
        if not self.is_recipes:
            return "these checkpoints"
        count, seeds = len(self.new_seeds), _listed(self.new_seeds)
        if self.base_seeds != self.new_seeds:
            seeds = f"{_listed(self.base_seeds)} against {seeds}"
        return f"these recipes ({count} training seeds: {seeds})"

    @property
    def sentence(self) -> str:
        """What the verdicts generalise to, and what not."""
        if self.is_recipes:
            return f"generalises to: {self}, other prompts and other trainings"
        return f"generalises to: {self} and other prompts, not to other trainings of their recipes"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def recipe_run(label: str, trainings: Sequence[ComparedRun]) -> ComparedRun:
    """The mean of a recipe's runs, by prompt.

    A prompt without a score in one of the runs has none, and a metric counts if all runs have it.

    Args:
        label: Label of the recipe.
        trainings: Runs with different training seeds, on the same prompts, by seed.
    """
    first = trainings[0]
    seeds = _seeds(trainings)
    unfinished = [run.status for run in trainings if run.status != "complete"]
    return ComparedRun(
        label=label,
        title=f"{label} ({len(seeds)} training seeds: {_listed(seeds)})",
        sha256=None,
        status=next(iter(unfinished), "complete"),
        limit=first.limit,
        tasks={task: _mean_task([run.tasks[task] for run in trainings]) for task in first.tasks},
        trainings=tuple(trainings),
    )


def paired_recipes(base: ComparedRun, new: ComparedRun) -> tuple[ComparedRun, ComparedRun, Scope]:
    """Both sides with their trainings in pairs, and what a comparison of them generalises to.

    Of two recipes, only the trainings that have a partner count. A recipe compared with a single
    checkpoint stays the mean of its trainings.

    Args:
        base: Run or recipe to compare with.
        new: Run or recipe to judge.
    """
    if base.trainings and new.trainings:
        pairs = paired_trainings(base.trainings, new.trainings)
        base, new = (
            _only(recipe, [pair[side] for pair in pairs]) for side, recipe in enumerate((base, new))
        )
    return base, new, Scope(_seeds(base.trainings), _seeds(new.trainings))


def pairing_notes(base: ComparedRun, new: ComparedRun, scope: Scope) -> list[str]:
    """What to know about how the training seeds of two runs were paired.

    Args:
        base: Base as it was given.
        new: New run as it was given.
        scope: Training seeds that were compared.
    """
    if not scope.is_recipes:
        return [
            f"{run.label}: the mean of {len(run.trainings)} training seeds counts as one checkpoint"
            for run in (base, new)
            if run.trainings
        ]
    notes = [
        f"{run.label}: only {len(scope.new_seeds)} of {len(run.trainings)} training seeds have a "
        "partner and are compared"
        for run in (base, new)
        if len(run.trainings) > len(scope.new_seeds)
    ]
    if scope.base_seeds != scope.new_seeds:
        notes.append("the training seeds differ, so they are paired in their order")
    return notes


def _seeds(trainings: Sequence[ComparedRun]) -> tuple[int, ...]:
    return tuple(run.training_seed for run in trainings if run.training_seed is not None)


def _only(recipe: ComparedRun, trainings: Sequence[ComparedRun]) -> ComparedRun:
    """A recipe of some of its trainings, on the tasks that it has."""
    if len(trainings) == len(recipe.trainings):
        return recipe
    kept = [replace(run, tasks={t: run.tasks[t] for t in recipe.tasks}) for run in trainings]
    return recipe_run(recipe.label, kept)


def _mean_task(tasks: Sequence[TaskScores]) -> TaskScores:
    first = tasks[0]
    names = [name for name in first.metrics if all(name in task.metrics for task in tasks)]
    metrics = {name: [task.metrics[name] for task in tasks] for name in names}
    return replace(
        first,
        metrics={name: _mean_scores(of) for name, of in metrics.items() if _are_alike(of)},
        pooled=frozenset.intersection(*(task.pooled for task in tasks)),
    )


def _are_alike(scores: Sequence[PromptScores]) -> bool:
    """Whether scores are of one kind; those against different teachers are not."""
    return len({tuple(getattr(s, field) for field in _SHARED) for s in scores}) == 1


def _mean_scores(scores: Sequence[PromptScores]) -> PromptScores:
    by_training = np.array([of_training.means for of_training in scores])
    return replace(
        scores[0],
        means=by_training.mean(axis=0),
        by_training=by_training,
        per_seed=tuple(by_seed for of_training in scores for by_seed in of_training.per_seed),
    )
