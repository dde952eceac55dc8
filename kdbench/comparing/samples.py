"""Stored responses with their scores, as a comparison reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.samples import read_sample

LARGEST_SCORE = 1e9
"""The largest absolute score; anything beyond it is a damaged file."""


@dataclass(frozen=True)
class ScoredSample:
    """A stored response with its scores.

    Attributes:
        document: Document id.
        seed: Seed of the sampling.
        output: Response, without the thinking.
        scores: Scores by metric; None where undefined.
    """

    document: str
    seed: int
    output: str
    scores: Mapping[str, float | None]


def samples_file(folder: Path, task: str) -> Path:
    """The file of a task's samples.

    Args:
        folder: Folder of the run.
        task: Name of the task.
    """
    return RunFolder(folder).lines(task).path


def read_samples(folder: Path, task: str) -> list[ScoredSample]:
    """The stored samples of a task; empty without samples.

    Args:
        folder: Folder of the run.
        task: Name of the task.

    Raises:
        InputError: A line of the samples is malformed.
    """
    path = samples_file(folder, task)
    return [
        _scored_sample(line, f"{path}:{number}")
        for number, line in enumerate(RunFolder(folder).lines(task).read(), start=1)
    ]


def _scored_sample(line: Mapping[str, Any], place: str) -> ScoredSample:
    sample, scores = read_sample(line, place), line.get("scores", {})
    if not isinstance(scores, Mapping):
        raise InputError(f"{place}: 'scores' must be an object")
    for metric, score in scores.items():
        if score is not None and not is_score(score):
            raise InputError(f"{place}: the score of '{metric}' must be a number or null")
    return ScoredSample(sample.document, sample.seed, sample.answer, scores)


def is_score(value: object) -> bool:
    """Whether a value of a file is a number that can be a score."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= LARGEST_SCORE  # false for NaN
    )
