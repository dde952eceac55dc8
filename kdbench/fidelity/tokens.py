"""Token metrics of a task: both models over the position sets, then numbers with error bars.

A line for each text is kept as it is measured, `samples/<task>.fidelity-<set>-<hash>.jsonl`; a run
that was stopped goes on with the first batch that is not whole.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kdbench.fidelity.buckets import bucket_starts, bucket_sums
from kdbench.fidelity.forward import Outcome, See, look
from kdbench.fidelity.texts import Text
from kdbench.metrics import PooledTokenMetric, PositionMetric, PositionSet, TokenMetric
from kdbench.system.files import LinesFile
from kdbench.system.progress import progress
from kdbench.views import ModelView, batches_by_length

if TYPE_CHECKING:
    from kdbench.store.folder import RunFolder

Key = tuple[str, int]

_LAYOUT = 2  # of a line


@dataclass(frozen=True)
class SetScores:
    """What the texts of one position set gave.

    Attributes:
        where: the position set.
        documents: ids, in order.
        seeds: of the texts.
        limit: tokens of the longest response.
        lines: by document and seed; a text that was left out is absent.
    """

    where: PositionSet
    documents: Sequence[str]
    seeds: Sequence[int]
    limit: int
    lines: Mapping[Key, Mapping[str, Any]]

    def means(self, metric: TokenMetric) -> dict[int, list[float | None]]:
        """Each response's mean by seed, in document order; infinite where a position is."""
        return {
            seed: [self._mean(self.lines.get((one, seed)), metric) for one in self.documents]
            for seed in self.seeds
        }

    def micro(self, metric: TokenMetric) -> float | None:
        """The mean over all positions."""
        pairs = [self._sum(line, metric) for line in self.lines.values()]
        count = sum(count for _, count in pairs)
        return sum(total for total, _ in pairs) / count if count else None

    def sums(self, metric: PooledTokenMetric) -> dict[int, np.ndarray]:
        """What each document adds by seed, (documents, K)."""
        width = max(len(line["pooled"][metric.name]) for line in self.lines.values())
        return {
            seed: np.array(
                [
                    line["pooled"][metric.name] if line else [0.0] * width
                    for one in self.documents
                    for line in [self.lines.get((one, seed))]
                ],
                dtype=float,  # and None, which stands for what is not finite, is NaN
            )
            for seed in self.seeds
        }

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Sums and counts by bucket of token indices, all seeds, two of (documents, buckets)."""
        starts = bucket_starts(self.limit)
        sums = np.zeros((len(self.documents), len(starts)))
        counts = np.zeros_like(sums)
        for row, one in enumerate(self.documents):
            for seed in self.seeds:
                if line := self.lines.get((one, seed)):
                    totals, counted = line["curves"][name]
                    sums[row] += [math.inf if value is None else value for value in totals]
                    counts[row] += counted
        return sums, counts

    def mass(self, of: Literal["cut_mass", "outside"]) -> dict[str, float]:
        """Mean probability that the metrics do not see, of student and teacher.

        Args:
            of: `cut_mass` beyond the shared tokens, `outside` of a cached teacher's top k.
        """
        pairs = [line[of] for line in self.lines.values()]
        student, teacher = np.mean(pairs, axis=0) if pairs else (0.0, 0.0)
        return {"student": float(student), "teacher": float(teacher)}

    def _mean(self, line: Mapping[str, Any] | None, metric: TokenMetric) -> float | None:
        if line is None:
            return None
        total, count = self._sum(line, metric)
        return total / count if count else None

    def _sum(self, line: Mapping[str, Any], metric: TokenMetric) -> tuple[float, int]:
        total, count = line["tokens"][metric.name]
        return (math.inf if total is None else total), count


@dataclass(frozen=True)
class Pass:
    """Both models over the texts of a position set.

    Attributes:
        where: the position set.
        metrics: what to measure.
        student: over the shared tokens.
        see: the teacher, over the same.
        has_kept: whether a text need not be shown to the teacher for its cache.
        limit: tokens of the longest response.
    """

    where: PositionSet
    metrics: Sequence[PositionMetric]
    student: ModelView
    see: See
    has_kept: Callable[[Text], bool]
    limit: int


def lines_of(run: "RunFolder", task: str, both: Pass, key: Any) -> LinesFile:
    """The file of a pass; another metric, version or teacher is another file.

    Args:
        run: the student's.
        task: its name.
        both: the pass.
        key: what else the numbers rest on, JSON-ready.
    """
    versions = sorted([metric.name, metric.version] for metric in both.metrics)
    content = json.dumps([_LAYOUT, versions, key], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return run.lines(f"{task}.fidelity-{both.where}-{digest}")


def score_set(
    file: LinesFile, title: str, texts: Sequence[Text], both: Pass
) -> dict[Key, dict[str, Any]]:
    """Score the texts of a position set, but for those that are on disk.

    Args:
        file: keeps a line for each text.
        title: of the progress.
        texts: those that both models can score.
        both: how.

    Returns:
        A line for each text, by document and seed.
    """
    there = _read(file)
    lengths = [len(one.rollout.prompt_ids) + len(one.rollout.response_ids) for one in texts]
    done = sum(text.key in there for text in texts)
    with file.appending() as lines, progress(title, len(texts), done, "texts") as advance:
        for batch in batches_by_length(texts, lengths):
            if all(text.key in there and both.has_kept(text) for text in batch):
                continue
            # The whole batch again: in low precision a text can feel its company.
            for outcome in look(batch, both.student, both.see, both.metrics, both.where):
                if outcome.text.key not in there:
                    lines.add(_line(outcome, both))
                    advance()
            lines.sync()
    return _read(file)  # as stored, so that a resume gives equal numbers


def _read(file: LinesFile) -> dict[Key, dict[str, Any]]:
    return {(line["id"], line["seed"]): line for line in file.read()}


def _line(outcome: Outcome, both: Pass) -> dict[str, Any]:
    starts = bucket_starts(both.limit)
    document, seed = outcome.text.key
    curves = {
        metric.name: [bucket_sums(part, starts, both.limit).tolist() for part in _counted(values)]
        for metric in both.metrics
        if isinstance(metric, TokenMetric) and metric.curve
        for values in [outcome.tokens[metric.name]]
    }
    return {
        "id": document,
        "seed": seed,
        "n": len(outcome.text.rollout.response_ids),
        "tokens": dict(_totals(outcome.tokens)),
        "pooled": {name: sums.tolist() for name, sums in outcome.pooled.items()},
        "curves": curves,
        "cut_mass": list(outcome.cut_mass),
        "outside": list(outcome.outside),
    }


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values that count, 0 elsewhere, and which do."""
    count = ~np.isnan(values)
    return np.where(count, values, 0.0), count.astype(float)


def _totals(values: Mapping[str, np.ndarray]) -> Iterator[tuple[str, list[float]]]:
    for name, column in values.items():
        counted = column[~np.isnan(column)]
        yield name, [float(counted.sum()), len(counted)]
