"""Records that kdbench wrote, read through a schema: a file may be torn, edited or foreign."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from kdbench.errors import InputError, first_fault
from kdbench.system.files import sha256_of_file

R = TypeVar("R", bound=BaseModel)


def read_record(path: Path, kind: type[R], way_out: str = "") -> R:
    """Read a JSON file of ours.

    Args:
        path: The file.
        kind: Its schema.
        way_out: What to do about a file with a fault, for messages.

    Raises:
        InputError: the file cannot be read, or does not have the schema; the line names both.
    """
    end = f"; {way_out}" if way_out else ""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}{end}") from None
    except ValidationError as error:
        place, reason = first_fault(error)
        where = f"'{place}': " if place else ""
        raise InputError(f"{path}: damaged: {where}{reason[:200]}{end}") from None


def hashes_of(folders: Iterable[Path], root: Path) -> dict[str, str]:
    """The SHA-256 of every file in folders, by its path relative to a root."""
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(root)): sha256_of_file(file) for file in files}


def damaged(hashes: Mapping[str, str], root: Path) -> Path | None:
    """The first file that is missing or has another content; None if all are whole.

    Args:
        hashes: The SHA-256 of each file, by its path relative to the root.
        root: The folder.
    """
    for name, sha256 in hashes.items():
        if not (root / name).is_file() or sha256_of_file(root / name) != sha256:
            return root / name
    return None
