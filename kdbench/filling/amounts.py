"""How much work a training or an evaluation is, counted in the data files."""

import gzip
from functools import lru_cache
from pathlib import Path

from kdbench.config import EvalSettings, TrainSettings, is_file_of_rows
from kdbench.config.build_keys import BuildSettings
from kdbench.protocol import get_protocol


def training_examples(settings: TrainSettings, prompts_per_step: float) -> int | None:
    """Count the examples that a training processes, an example of two epochs twice.

    Args:
        settings: The settings of the training.
        prompts_per_step: How many new prompts a step of its method uses.

    Returns:
        The number of examples, or None if the data set is not on this disk.
    """
    if settings.steps is not None:
        return settings.steps * settings.batch_size
    if settings.data is None:
        return None
    examples = _count_lines(settings.data / settings.train_set, "train.jsonl")
    if examples is None:
        return None
    times = (settings.epochs or 1) * settings.batch_size / prompts_per_step
    return max(1, int(times * min(examples, settings.limit or examples)))


def responses(settings: EvalSettings) -> int | None:
    """Count the responses that an evaluation measures, over all tasks and seeds.

    Returns:
        The number of responses, or None if a task's data set is not on this disk.
    """
    if settings.data is None:
        return None
    seeds = get_protocol(settings.protocol, settings.protocol_overrides()).seeds
    documents = 0
    for task in settings.tasks:
        count = _count_lines(settings.data / task, "test.jsonl")
        if count is None:
            return None
        documents += min(count, settings.limit or count)
    return len(seeds) * documents


def source_rows(settings: BuildSettings) -> int | None:
    """Count the rows that a builder reads.

    Args:
        settings: The settings of the build.

    Returns:
        The number of rows, or None if the data set is not on this disk.
    """
    if is_file_of_rows(settings.train_set):
        file = Path(settings.train_set)
        count = _lines_of(file) if file.exists() else None
    elif settings.data is None:
        count = None
    else:
        count = _count_lines(settings.data / settings.train_set, "train.jsonl")
    return None if count is None else min(count, settings.limit or count)


def _count_lines(folder: Path, name: str) -> int | None:
    """The lines of a set's file; None while it does not exist, as it may still be built."""
    files = (folder / name, folder / f"{name}.gz")
    return next((_lines_of(file) for file in files if file.exists()), None)


@lru_cache
def _lines_of(file: Path) -> int:
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
