"""What all nodes of a table have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.config import is_file_of_rows
from kdbench.distillation.recipe import Recipe
from kdbench.errors import InputError, nearest_path
from kdbench.filling.fingerprints import Contents, file_hashes
from kdbench.filling.spec import TableSpec
from kdbench.registry.plugins import KEY as PLUGINS
from kdbench.registry.plugins import stamp_of
from kdbench.system.files import sha256_of_file

DIGITS = 8  # of a fingerprint in a path


@dataclass(frozen=True)
class Places:
    """The folders of a table.

    Attributes:
        models: Folder of checkpoints, built data sets, logs and recorded times.
        results: Folder of results and marks.
        data: Folder of the data sets; None for those of the hub.
    """

    models: Path
    results: Path
    data: Path | None


@dataclass(frozen=True)
class Basis:
    """What all nodes of a table have in common.

    Attributes:
        spec: Specification of the table.
        places: Folders of the table.
        execution: Keys of every node that do not affect results, such as `device`.
        contents: What files and models hold.
        recipes: Recipes by `id` of the entry, which all seeds of a row share.
    """

    spec: TableSpec
    places: Places
    execution: Mapping[str, Any]
    contents: Contents = field(default_factory=Contents)
    recipes: dict[int, Recipe] = field(default_factory=dict)

    @property
    def setting(self) -> str:
        """The setting of the table's rows."""
        return self.spec.setting or self.spec.title

    def files_of_set(self, train_set: str, validation: Path | None) -> object:
        """Hashes of the files of a training set that no node makes.

        Args:
            train_set: Its name, or a file.
            validation: The validation file, if it is a file; None if there is none.

        Raises:
            InputError: A file does not exist.
        """
        if not is_file_of_rows(train_set):
            pattern = f"{train_set}/[tv][ra]*.jsonl*"
            return self.contents.of(file_hashes, self.places.data, pattern)
        files = [Path(train_set), *([validation] if validation else [])]
        for file in files:
            if not file.is_file():
                raise InputError(f"train_set={file}: no such file{nearest_path(file)}")
        return [self.contents.of(sha256_of_file, file) for file in files]


def code_of(part: object) -> list[str]:
    """The hash of a user's own part; nothing for an installed one."""
    stamp = stamp_of(part if isinstance(part, type) else type(part))
    return [stamp] if stamp else []


def refuse_of_session(part: object) -> None:
    """Refuse a part that worker processes do not know."""
    kind = part if isinstance(part, type) else type(part)
    if kind.__module__ == "__main__":
        raise InputError(
            f"{kind.__name__} was registered in this session, which the worker processes of fill "
            f"do not see; put it into a file, and give {PLUGINS}=FILE.py"
        )
