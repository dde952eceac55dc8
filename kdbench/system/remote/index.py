"""What a mirror knows of its files: the content that mirror and store had in common last."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from kdbench.errors import InputError

_WAY_OUT = "delete it, which loses only what was not yet published"


@dataclass(frozen=True)
class Known:
    """A file as it was when mirror and store agreed on it.

    Attributes:
        mark: Mark of the object.
        sha256: Of the content; empty before the first agreement.
        size: Bytes of the file in the mirror.
        mtime_ns: Time of its last change.
        sent: SHA-256 of a content that was being uploaded; None after it.
    """

    mark: str | None
    sha256: str
    size: int
    mtime_ns: int
    sent: str | None = None


class MirrorIndex:
    """The index of a mirror, which its processes and threads share.

    Args:
        file: File of the index.

    Each method raises an InputError if the file is damaged or cannot be written.
    """

    def __init__(self, file: Path):
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._lock = file, RLock()
        with self._access():
            self._data = sqlite3.connect(
                file, timeout=60, check_same_thread=False, isolation_level=None
            )
            self._data.execute(
                "create table if not exists files (path text primary key, mark text, sha256 text, "
                "size integer, mtime_ns integer, sent text)"
            )

    @contextmanager
    def _access(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.DatabaseError as error:
                mirror = self._file.parent.parent
                is_full = isinstance(error, sqlite3.OperationalError)  # or read only
                raise InputError(
                    # In two parts, because a mirror's path is shown as the URL of its store.
                    f"the local copy '{mirror.name}' in {mirror.parent}: {error}"
                    + ("" if is_full else f"; {_WAY_OUT}")
                ) from None

    def get(self, path: str) -> Known | None:
        """What is known of a file."""
        with self._access():
            row = self._data.execute(
                "select mark, sha256, size, mtime_ns, sent from files where path = ?", (path,)
            ).fetchone()
        return None if row is None else Known(*row)

    def below(self, folder: str) -> dict[str, Known]:
        """What is known of the files below a folder, by path."""
        query = "select path, mark, sha256, size, mtime_ns, sent from files"
        with self._access():
            rows = self._data.execute(query).fetchall()
        start = f"{folder}/" if folder else ""
        return {path: Known(*rest) for path, *rest in rows if path.startswith(start)}

    def put(self, path: str, known: Known) -> None:
        """Replace what is known of a file."""
        row = (path, known.mark, known.sha256, known.size, known.mtime_ns, known.sent)
        with self._access():
            self._data.execute("insert or replace into files values (?, ?, ?, ?, ?, ?)", row)

    def remove(self, path: str) -> None:
        """Forget a file."""
        with self._access():
            self._data.execute("delete from files where path = ?", (path,))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all changes of the block at once."""
        with self._access():
            self._data.execute("begin immediate")
            try:
                yield
            finally:
                self._data.execute("commit")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._data.close()
