"""The data sets of lm-eval's own tasks, taken from a folder instead of the hub.

    DIR/<task>/<split>.jsonl              rows of one task, also .jsonl.gz, .json, .parquet
    DIR/<dataset_path>/<dataset_name>/    as saved by `datasets` (save_to_disk), files as above, or
                                          a copy of the hub's repository
    DIR/<dataset_path>/                   the same for a data set without a name

A `/` in `dataset_path` may be `__` instead.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.task.names import PREFIX

_READERS = {".jsonl": "json", ".jsonl.gz": "json", ".json": "json", ".parquet": "parquet"}


def local_data(data: Path, task: Any, name: str) -> Mapping[str, Any]:
    """Return the splits of a task's data set.

    Args:
        data: The folder.
        task: lm-eval's task, which may still lack its data.
        name: Name of the task in lm-eval.

    Raises:
        InputError: The folder does not have the data set, lacks a split of it, or it is broken.
    """
    place = f"{PREFIX}{name}"
    config = task.config
    folders = [data / name, *_folders(data, task)]
    for folder in folders:
        if folder.is_dir():
            return _with_splits(_read(folder, config, place), config, place, folder)
    test = config.test_split or config.validation_split or "test"
    other = folders[1] if len(folders) > 1 else None
    raise InputError(
        f"{place}: data={data} has no data of this task: put them into "
        f"{folders[0]}/{test}.jsonl{f', or {other}' if other else ''}"
    )


def _folders(data: Path, task: Any) -> Iterator[Path]:
    if not task.DATASET_PATH:
        return
    for path in (str(task.DATASET_PATH), str(task.DATASET_PATH).replace("/", "__")):
        if Path(path).is_absolute() or ".." in Path(path).parts:
            continue
        if task.DATASET_NAME:
            yield data / path / str(task.DATASET_NAME)
        yield data / path


def _read(folder: Path, config: Any, place: str) -> dict[str, Any]:
    import datasets

    files = {
        file.name.removesuffix(ending): (ending, str(file))
        for ending in _READERS
        for file in sorted(folder.glob(f"*{ending}"))
        if file.name != "dataset_dict.json"
    }
    try:
        if (folder / "dataset_dict.json").is_file():
            return dict(datasets.load_from_disk(str(folder)))
        if files:
            return {
                split: datasets.load_dataset(_READERS[ending], data_files=file, split="train")
                for split, (ending, file) in files.items()
            }
        name = config.dataset_name if folder.name != config.dataset_name else None
        return dict(datasets.load_dataset(str(folder), name))
    except Exception as error:
        raise InputError(f"{place}: {folder}: {reason_of(error)}") from error


def _with_splits(
    splits: dict[str, Any], config: Any, place: str, folder: Path
) -> Mapping[str, Any]:
    """Return the splits, with empty ones where lm-eval looks for examples that it does not need.

    Raises:
        InputError: A split is missing that the task needs.
    """
    answered = config.test_split or config.validation_split
    examples = config.fewshot_split or config.training_split if config.num_fewshot else None
    for split in filter(None, (answered, examples)):
        if split not in splits:
            raise InputError(
                f"{place}: {folder} lacks the split '{split}'; it has {', '.join(sorted(splits))}"
            )
    named = {config.training_split, config.validation_split, config.fewshot_split} - {None}
    if answered is None:  # a Python class knows its splits by itself
        return splits
    empty = splits[answered].select([])
    return {**dict.fromkeys(named, empty), **splits}
