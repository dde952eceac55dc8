"""Both models over the texts of a position set, stored text by text.

Each text's scores are one line of `samples/<task>.fidelity-<set>-<hash>.jsonl`, written as they are
measured. A run that was stopped resumes with the first incomplete batch.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.errors import InputError
from kdbench.fidelity.buckets import bucket_starts, bucket_sums
from kdbench.fidelity.details_writer import DetailsWriter
from kdbench.fidelity.forward import TeacherScorer, TextScores, compare_batch
from kdbench.fidelity.texts import ComparedText
from kdbench.metrics import PositionMetric, PositionSet, TokenMetric
from kdbench.system.files import LinesFile
from kdbench.system.progress import progress
from kdbench.views import ModelView, batches_by_length

if TYPE_CHECKING:
    from kdbench.store.folder import RunFolder

_LAYOUT = 2  # version of a line's layout


@dataclass(frozen=True)
class ForwardPass:
    """A forward pass of both models over the texts of a position set.

    Attributes:
        position_set: The position set.
        metrics: Metrics to measure.
        student: The student, over the shared tokens.
        teacher: The teacher, over the same tokens.
        must_cache: Whether the teacher's scores of a text are still to be cached.
        limit: Number of tokens of the longest possible response.
        byte_lengths: As for `compare_batch`.
        details: Writer of the token details; None if they are not wanted.
    """

    position_set: PositionSet
    metrics: Sequence[PositionMetric]
    student: ModelView
    teacher: TeacherScorer
    must_cache: Callable[[ComparedText], bool]
    limit: int
    byte_lengths: Sequence[int] | None = None
    details: DetailsWriter | None = None

    def lacks_details(self, text: ComparedText) -> bool:
        """Whether the token details of a text are still to be stored."""
        return self.details is not None and not self.details.has(text)


def lines_of(run: "RunFolder", task: str, forward_pass: ForwardPass, key: Any) -> LinesFile:
    """Return the file of a forward pass. Different metrics, versions or teachers have another one.

    Args:
        run: The student's run.
        task: Name of the task.
        forward_pass: The forward pass.
        key: Whatever else the numbers depend on, JSON-ready.
    """
    versions = sorted([metric.name, metric.version] for metric in forward_pass.metrics)
    content = json.dumps([_LAYOUT, versions, key], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return run.lines(f"{task}.fidelity-{forward_pass.position_set}-{digest}")


def score_set(
    file: LinesFile, title: str, texts: Sequence[ComparedText], forward_pass: ForwardPass
) -> dict[tuple[str, int], dict[str, Any]]:
    """Score the texts of a position set, except those already stored.

    Args:
        file: File with a line for each text.
        title: Title of the progress, such as the task's name.
        texts: Texts that both models can score.
        forward_pass: The forward pass.

    Returns:
        A line for each text, by document and seed.
    """
    stored, details = _read(file), forward_pass.details

    def is_stored(text: ComparedText) -> bool:
        return text.key in stored and not forward_pass.lacks_details(text)

    done = sum(map(is_stored, texts))
    doing = comparing(forward_pass.position_set)
    with (
        file.appending() as lines,
        details.writing() if details else nullcontext(),
        progress(title, len(texts), done, "texts", doing) as advance,
    ):
        for batch in batches_by_length(texts, [text.length for text in texts]):
            if all(is_stored(text) and not forward_pass.must_cache(text) for text in batch):
                continue
            # The whole batch again: in low precision, scores depend on the batch composition.
            for scores in compare_batch(
                batch,
                forward_pass.student,
                forward_pass.teacher,
                forward_pass.metrics,
                forward_pass.position_set,
                byte_lengths=forward_pass.byte_lengths,
                details=details is not None,
            ):
                advances = not is_stored(scores.text)
                if scores.text.key not in stored:
                    lines.add(_line(scores, forward_pass))
                if details is not None and scores.details is not None:
                    details.add(scores.text, scores.details)
                if advances:
                    advance()
            lines.sync()
    if details is not None:
        details.finish(texts)
    return _read(file)  # as stored, so that a resumed run gives equal numbers


def comparing(position_set: PositionSet) -> str:
    """What the progress of a comparison says, by its position set."""
    return f"comparing @{position_set}"


def _read(file: LinesFile) -> dict[tuple[str, int], dict[str, Any]]:
    lines = file.read()
    for number, line in enumerate(lines, start=1):
        if not line.keys() >= _FIELDS:
            raise InputError(
                f"{file.path}:{number}: not a line of fidelity scores; delete the file"
            )
    return {(line["id"], line["seed"]): line for line in lines}


_FIELDS = {"id", "seed", "n", "tokens", "pooled", "curves", "cut_mass", "outside"}


def _line(scores: TextScores, forward_pass: ForwardPass) -> dict[str, Any]:
    limit = forward_pass.limit
    starts = bucket_starts(limit)
    document, seed = scores.text.key
    curves = {
        metric.name: [
            bucket_sums(column, starts, limit).tolist()
            for column in _counted(scores.tokens[metric.name])
        ]
        for metric in forward_pass.metrics
        if isinstance(metric, TokenMetric) and metric.curve
    }
    return {
        "id": document,
        "seed": seed,
        "n": len(scores.text.rollout.response_ids),
        "tokens": dict(_totals(scores.tokens)),
        "pooled": {name: sums.tolist() for name, sums in scores.pooled.items()},
        "curves": curves,
        "cut_mass": list(scores.cut_mass),
        "outside": list(scores.outside),
    }


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace values that do not count by 0; return the values, and 1 for those that count."""
    count = ~np.isnan(values)
    return np.where(count, values, 0.0), count.astype(float)


def _totals(values: Mapping[str, np.ndarray]) -> Iterator[tuple[str, list[float]]]:
    """Sum and number of the values that count, by metric."""
    for name, column in values.items():
        counted = column[~np.isnan(column)]
        yield name, [float(counted.sum()), len(counted)]
