"""Stored responses with their scores, as a comparison reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
        output: Response, without the thinking; the likeliest option where options are scored.
        scores: Scores by metric; None where undefined.
        choices: Option that each way of choosing takes, such as `acc_norm`; empty for a response.
    """

    document: str
    seed: int
    output: str
    scores: Mapping[str, float | None]
    choices: Mapping[str, str] = field(default_factory=dict)

    def text(self, metric: str) -> str:
        """The response, or the option that a metric's way of choosing takes.

        Args:
            metric: Name of the metric, such as `acc_norm,none`.
        """
        return self.choices.get(metric.partition(",")[0], self.output)


def samples_file(folder: Path, task: str) -> Path:
    """The file of a task's samples.

    Args:
        folder: Folder of the run.
        task: Name of the task.
    """
    return RunFolder(folder).lines(task).path


def read_samples(folder: Path, task: str) -> Iterator[ScoredSample]:
    """Yield the stored samples of a task; nothing without samples.

    Args:
        folder: Folder of the run.
        task: Name of the task.

    Raises:
        InputError: A line of the samples is malformed.
    """
    path = samples_file(folder, task)
    for number, line in enumerate(RunFolder(folder).lines(task).stream(), start=1):
        yield _scored_sample(line, f"{path}:{number}")


def read_choices(folder: Path, task: str) -> list[ScoredSample]:
    """The options that a model chose, of a task whose options are scored; empty for other tasks.

    Args:
        folder: Folder of the run.
        task: Name of the task.

    Raises:
        InputError: A line of the options is malformed.
    """
    from kdbench.measuring.likelihood.answers import read_answer
    from kdbench.measuring.likelihood.measuring import options_name

    file = RunFolder(folder).lines(options_name(task))
    samples = []
    for number, line in enumerate(file.read(), start=1):
        place = f"{file.path}:{number}"
        answer = read_answer(line, place)
        texts = [option.text for option in answer.options]
        choices = {
            way: text.strip()
            for way, option in answer.chosen().items()
            if (text := texts[option]) is not None
        }
        if len(texts) > 1 and choices:
            scores = _read_scores(line, place)
            samples.append(ScoredSample(answer.document, 0, choices["acc"], scores, choices))
    return samples


def _scored_sample(line: Mapping[str, Any], place: str) -> ScoredSample:
    sample = read_sample(line, place)
    return ScoredSample(sample.document, sample.seed, sample.answer, _read_scores(line, place))


def _read_scores(line: Mapping[str, Any], place: str) -> dict[str, float | None]:
    scores = line.get("scores", {})
    if not isinstance(scores, Mapping):
        raise InputError(f"{place}: 'scores' must be an object")
    for metric, score in scores.items():
        if score is not None and not is_score(score):
            raise InputError(f"{place}: the score of '{metric}' must be a number or null")
    return dict(scores)


def is_score(value: object) -> bool:
    """Whether a value of a file is a number that can be a score."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= LARGEST_SCORE  # false for NaN
    )
