"""A task from prompts of one's own: a file of rows, or a data set of the `datasets` library."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.system.names import is_file_name
from kdbench.task.given_rows import given_rows, is_given
from kdbench.task.model import Task, sha256_of
from kdbench.task.prompt_documents import documents_of
from kdbench.task.prompt_rows import PlacedRow, limited, placed, read_rows, suffix_of

PREFIX = "hf:"
"""The prefix of `tasks=` that names a data set."""

_VERSION = "1"  # of how a row is asked; raise it when the same row would give another prompt
_SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` writes


@dataclass(frozen=True)
class DataSetName:
    """A data set as `hf:NAME`, `hf:NAME:SPLIT` or `hf:NAME:CONFIG:SPLIT`.

    Attributes:
        path: Name on the hub, or a local folder.
        config: Configuration; None for the default one.
        split: Split; None for the only one, or `test`.
    """

    path: str
    config: str | None = None
    split: str | None = None

    @property
    def place(self) -> str:
        """The data set as it is written in `tasks=`."""
        given = [part for part in (self.config, self.split) if part]
        return PREFIX + ":".join([self.path, *given])


def is_prompts(word: str) -> bool:
    """Whether a word of `tasks=` names prompts, and not a task or a YAML file."""
    if is_given(word) or word.startswith(PREFIX) or suffix_of(Path(word)):
        return True
    return any((Path(word) / name).is_file() for name in _SAVED)


def prompts_name(word: str) -> str:
    """Return the name of the task that a word of `tasks=` gives.

    It is the name of the file without its ending, or that of the data set followed by the
    configuration and split that are named.

    Args:
        word: Word that `is_prompts` knows.

    Raises:
        InputError: The name cannot be that of a file of results.
    """
    if is_given(word):
        return word
    if is_file := bool(suffix_of(Path(word))) and not word.startswith(PREFIX):
        path = Path(word)
        name = path.name[: path.name.lower().rindex(suffix_of(path))]
    else:
        source = _data_set(word)
        parts = [Path(source.path).name, source.config, source.split]
        name = "-".join(part for part in parts if part)
    if not is_file_name(name) or name == "run":
        what = "rename the file" if is_file else "save the data set as a file of another name"
        raise InputError(
            f"tasks={word}: '{name}' cannot name a file of results, which has only letters, "
            f"digits and ._+-; {what}"
        )
    return name


def load_prompts(word: str, limit: int | None = None) -> Task:
    """Load prompts as a task.

    Args:
        word: Word that `is_prompts` knows.
        limit: Number of documents to use; None for all.

    Raises:
        InputError: The data are missing or malformed; the message names the row and the field.
    """
    name = prompts_name(word)
    documents = tuple(documents_of(name, _rows(word)))
    categories = [document.category for document in documents]
    used = documents[:limit]
    return Task(
        name=name,
        version=_VERSION,
        documents=used,
        until=(),
        data={
            "rows": len(documents),
            "used": len(used),
            "sha256": sha256_of([[d.id, d.message, d.prompt, d.references] for d in documents]),
            "published": None,
        },
        lm_eval=None,
        bundled=False,
        # Categories decide no score: if only they change, stored samples are scored again.
        definition_sha256=sha256_of(categories) if any(categories) else None,
    )


def prompts_definition(word: str) -> str:
    """Return the SHA-256 of the prompts with everything in their rows that counts.

    Raises:
        InputError: As for `load_prompts`.
    """
    task = load_prompts(word)
    return sha256_of([task.name, task.version, task.data["sha256"], task.definition_sha256])


def _rows(word: str) -> list[PlacedRow]:
    if is_given(word):
        return given_rows(word)
    if word.startswith(PREFIX) or not suffix_of(Path(word)):
        return _rows_of_data_set(_data_set(word))
    return read_rows(Path(word))


def _data_set(word: str) -> DataSetName:
    """Read the name of a data set.

    Raises:
        InputError: It has no name, or too many parts.
    """
    if not word.startswith(PREFIX):
        return DataSetName(word)
    path, *parts = word.removeprefix(PREFIX).split(":")
    if not path or len(parts) > 2:
        raise InputError(f"tasks={word}: write hf:NAME, hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT")
    config, split = parts if len(parts) == 2 else (None, *parts) if parts else (None, None)
    return DataSetName(path, config or None, split or None)


def _rows_of_data_set(source: DataSetName) -> list[PlacedRow]:
    from datasets import Dataset, DatasetDict

    try:
        data = _loaded(source)
    except InputError:
        raise
    except Exception as error:  # of the hub, of scripts, of any reader of files
        reason = reason_of(error, 200)
        way = "" if Path(source.path).exists() else "; a saved file works too: tasks=FILE.jsonl"
        raise InputError(f"tasks={source.place}: {reason}{way}") from error
    if isinstance(data, DatasetDict):
        data = data[_split(source, data)]
    elif source.split is not None:
        raise InputError(f"tasks={source.place}: a data set without splits; leave ':' out")
    if not isinstance(data, Dataset):
        raise InputError(f"tasks={source.place}: not a data set with rows")
    # Images and sounds need other packages to be read, and are never part of a prompt.
    plain = [name for name, kind in data.features.items() if not hasattr(kind, "decode_example")]
    return limited(source.place, placed(source.place, data.select_columns(plain)))


def _loaded(source: DataSetName) -> Any:
    from datasets import disable_progress_bars, load_dataset, load_from_disk

    disable_progress_bars()
    folder = Path(source.path)
    if any((folder / name).is_file() for name in _SAVED):
        if source.config:
            raise InputError(f"tasks={source.place}: a saved data set has no configurations")
        return load_from_disk(source.path)
    return load_dataset(source.path, source.config)


def _split(source: DataSetName, splits: Mapping[str, Any]) -> str:
    """Return the split to use: the one that is named, the only one, or `test`.

    Raises:
        InputError: There is no such split, or several and none is named.
    """
    names = ", ".join(splits)
    if source.split is not None:
        if source.split not in splits:
            raise InputError(f"tasks={source.place}: no split '{source.split}'; it has {names}")
        return source.split
    if len(splits) == 1:
        return next(iter(splits))
    if "test" in splits:
        return "test"
    raise InputError(
        f"tasks={source.place}: name one of its splits ({names}), as in "
        f"{source.place}:{next(iter(splits))}"
    )
