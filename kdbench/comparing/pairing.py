"""Pairing the scores of two runs by prompt."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from kdbench.comparing.scores import ComparedRun, PromptScores
from kdbench.errors import InputError


@dataclass(frozen=True)
class PairedScores:
    """The scores of both runs for one task and metric.

    Attributes:
        ids: Document ids of the prompts that have a score in both runs.
        base: Scores of the base, shape (n,).
        new: Scores of the new run, shape (n,).
        undefined: Number of common prompts without a score in at least one of the runs.
        by_seed: new - base of each prompt and seed, shape (n, k), for the hierarchical bootstrap;
            None unless it was requested.
        by_training: new - base of each pair of trainings, shape (trainings, n); None unless both
            sides are recipes.
        sd_sampling: Standard deviation between sampling seeds of the difference of two students'
            means, root mean square over trainings; None if it is unknown.
    """

    ids: tuple[str, ...]
    base: np.ndarray
    new: np.ndarray
    undefined: int
    by_seed: np.ndarray | None = None
    by_training: np.ndarray | None = None
    sd_sampling: float | None = None

    def only(self, rows: np.ndarray) -> "PairedScores":
        """The scores of some prompts.

        Args:
            rows: Which prompts to keep, shape (n,), true or false.
        """
        return replace(
            self,
            ids=tuple(id_ for id_, keep in zip(self.ids, rows, strict=True) if keep),
            base=self.base[rows],
            new=self.new[rows],
            by_seed=None if self.by_seed is None else self.by_seed[rows],
            by_training=None if self.by_training is None else self.by_training[:, rows],
            sd_sampling=self.sd_sampling if rows.all() else None,
        )


def pair_scores(
    base: ComparedRun, new: ComparedRun, task: str, metric: str, by_seed: bool = False
) -> PairedScores:
    """Pair the scores of two runs by document id.

    Args:
        base: Run to compare with.
        new: Run to judge.
        task: Name of a task of both runs.
        metric: Name of a metric of both runs.
        by_seed: Whether differences of single seeds are also kept.

    Raises:
        InputError: Single seeds are requested, and a run has no samples with their scores.
    """
    old_scores, new_scores = base.tasks[task], new.tasks[task]
    new_row_of = {document: row for row, document in enumerate(new_scores.ids)}
    row_pairs = [
        (old_row, new_row_of[document])
        for old_row, document in enumerate(old_scores.ids)
        if document in new_row_of
    ]
    old_rows, new_rows = np.array(row_pairs, dtype=np.intp).reshape(-1, 2).T
    old, own = old_scores.metrics[metric], new_scores.metrics[metric]
    old_means, new_means = old.means[old_rows], own.means[new_rows]
    defined = ~(np.isnan(old_means) | np.isnan(new_means))
    differences = None
    if by_seed:
        new_by_seed = _whole_scores(new, task, metric)[new_rows]
        differences = (new_by_seed - _whole_scores(base, task, metric)[old_rows])[defined]
    by_training = None
    if old.by_training is not None and own.by_training is not None:
        by_training = own.by_training[:, new_rows[defined]] - old.by_training[:, old_rows[defined]]
    is_whole = defined.all() and len(defined) == len(old_scores.ids) == len(new_scores.ids)
    return PairedScores(
        ids=tuple(old_scores.ids[row] for row in old_rows[defined]),
        base=old_means[defined],
        new=new_means[defined],
        undefined=int((~defined).sum()),
        by_seed=differences,
        by_training=by_training,
        sd_sampling=_sd_sampling(old, own) if is_whole else None,
    )


def _sd_sampling(base: PromptScores, new: PromptScores) -> float | None:
    """The deviation between sampling seeds, which pair because they share their noise."""
    if len(base.per_seed) != len(new.per_seed):
        return None
    squares = []
    for old, own in zip(base.per_seed, new.per_seed, strict=True):
        gaps = [None if a is None or b is None else b - a for a, b in _common(old, own)]
        if None in gaps or len(gaps) < 2 or old.keys() != own.keys():
            return None
        squares.append(np.var(np.array(gaps, dtype=float), ddof=1))
    return float(np.sqrt(np.mean(squares))) if squares else None


def _common(
    base: Mapping[str, float | None], new: Mapping[str, float | None]
) -> Iterator[tuple[float | None, float | None]]:
    return ((score, new[seed]) for seed, score in base.items() if seed in new)


def _whole_scores(run: ComparedRun, task: str, metric: str) -> np.ndarray:
    if run.trainings:
        raise InputError(
            f"interval=hierarchical: {run.label} is a recipe of {len(run.trainings)} training "
            "seeds; use interval=flip, which counts them, or give one run's folder"
        )
    scores = run.scores_by_seed(task, metric)
    if scores is None or np.isnan(scores).any():
        raise InputError(
            f"interval=hierarchical: {run.label} has no samples with {metric} of '{task}' for "
            "every seed; use interval=bootstrap"
        )
    return scores


def left_out(
    base: ComparedRun, new: ComparedRun, pairs: Mapping[str, PairedScores], metric: str
) -> Iterator[str]:
    """Notes on the prompts that are not compared.

    Args:
        base: Run to compare with.
        new: Run to judge.
        pairs: Paired scores of each task.
        metric: Name of the metric.
    """
    for task, paired in pairs.items():
        if paired.undefined:
            text = f"{task}: left out prompts without {metric} in one of the runs"
            yield f"{text}: {paired.undefined}"
        old_ids, new_ids = set(base.tasks[task].ids), set(new.tasks[task].ids)
        for run, ids, other_ids in ((base, old_ids, new_ids), (new, new_ids, old_ids)):
            if only := len(ids - other_ids):
                yield f"{task}: left out prompts that only {run.label} has: {only} of {len(ids)}"
