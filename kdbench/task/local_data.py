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

_READERS = {".jsonl": "json", ".jsonl.gz": "json", ".json": "json", ".parquet": "parquet"}


def local_data(data: Path, config: Any, place: str) -> Mapping[str, Any]:
    """Return the splits of a task's data set.

    Args:
        data: The folder.
        config: lm-eval's `TaskConfig`.
        place: Name of the task, for messages.

    Raises:
        InputError: The folder does not have the data set, lacks a split of it, or it is broken.
    """
    folders = list(_folders(data, config))
    for folder in folders:
        if folder.is_dir():
            return _with_splits(_read(folder, config, place), config, place, folder)
    test = config.test_split or config.validation_split or "test"
    other = folders[-1] if len(folders) > 1 else None
    raise InputError(
        f"{place}: data={data} has no data of this task: put them into "
        f"{folders[0]}/{test}.jsonl{f', or {other}' if other else ''}"
    )


def _folders(data: Path, config: Any) -> Iterator[Path]:
    yield data / str(config.task)
    if not config.dataset_path:
        return
    for name in (str(config.dataset_path), str(config.dataset_path).replace("/", "__")):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            continue
        if config.dataset_name:
            yield data / name / str(config.dataset_name)
        yield data / name


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
    empty = splits[answered].select([])
    return {**dict.fromkeys(named, empty), **splits}
