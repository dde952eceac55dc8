"""Where the scores of each text are: sorted hashes in one file, of which a look-up reads few pages.

    DIR/index.safetensors    rows: uint64 (6, texts), a row each for the first and second 8 bytes of
                             the hash, the file's number, start, size and tokens; files: in the
                             metadata, with their sizes

The files of scores are what counts: an index that does not fit to them is not used, and made again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kdbench.scores.shards import SUFFIX, read_header, read_texts
from kdbench.system.files import put_bytes

if TYPE_CHECKING:
    import numpy as np

_FILE, _ROWS, _FILES = f"index{SUFFIX}", "rows", "files"
_COLUMNS = 6
_HALF = 8  # bytes of a hash in a column


class Place(NamedTuple):
    """Where the scores of a text are.

    Attributes:
        file: Name of the file.
        start: Byte at which they start, or the first position in an old file.
        size: Number of bytes; 0 in an old file.
        tokens: Number of tokens of the response.
    """

    file: str
    start: int
    size: int
    tokens: int


@dataclass(frozen=True)
class ScoreIndex:
    """The places of the texts of some files.

    Attributes:
        files: The names of the files and their sizes in bytes.
        rows: A column for each text, in the order of the hashes, uint64 (6, texts).
    """

    files: Mapping[str, int]
    rows: "np.ndarray"

    def find(self, digest: bytes) -> Place | None:
        """The place of a text, by the hash of its tokens."""
        import numpy as np

        upper = int.from_bytes(digest[:_HALF], "big")
        lower = int.from_bytes(digest[_HALF : 2 * _HALF], "big")
        at = int(np.searchsorted(self.rows[0], np.uint64(upper)))
        while at < self.rows.shape[1] and int(self.rows[0, at]) == upper:
            if int(self.rows[1, at]) == lower:
                number, *place = (int(value) for value in self.rows[2:, at])
                return Place(self._names[number], *place)
            at += 1
        return None

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.files)

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether its files are still there, and as large as they were."""
        return all(sizes.get(name) == size for name, size in self.files.items())

    def unneeded(self) -> list[str]:
        """The files of which every text is in another file."""
        import numpy as np

        used = set(np.unique(self.rows[2]).tolist())
        return [name for number, name in enumerate(self.files) if number not in used]


def sizes_of_files(folder: Path) -> dict[str, int]:
    """The files of scores in a folder and their sizes in bytes, by name."""
    sizes = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            sizes[path.name] = path.stat().st_size
        except FileNotFoundError:
            continue  # another process has merged it into a larger one
    return sizes


def read_index(folder: Path, sizes: Mapping[str, int]) -> ScoreIndex | None:
    """The stored index of a cache; None if there is none that fits to its files.

    Args:
        folder: The folder of the cache.
        sizes: The files of its scores and their sizes; the index may lack some of them.
    """
    import numpy as np

    path = folder / _FILE
    try:
        header, start = read_header(path)
        files = json.loads(header["__metadata__"][_FILES])
        shape = tuple(header[_ROWS]["shape"])
        if shape[1] * _COLUMNS * _HALF + start != path.stat().st_size or shape[0] != _COLUMNS:
            return None
        index = ScoreIndex(files, np.memmap(path, "<u8", "r", start, shape))
        return index if index.fits(sizes) else None
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None


def write_index(folder: Path, index: ScoreIndex) -> None:
    """Store the index of a cache."""
    import numpy as np
    from safetensors.numpy import save

    rows = np.ascontiguousarray(index.rows)
    put_bytes(folder / _FILE, save({_ROWS: rows}, {_FILES: json.dumps(dict(index.files))}))


def index_files(folder: Path, sizes: Mapping[str, int]) -> ScoreIndex:
    """Make the index of files; a text that several have is found in that with the most texts.

    Args:
        folder: The folder of the files.
        sizes: Their names and sizes.

    Raises:
        InputError: One of them is no file of a teacher cache.
    """
    import numpy as np

    tables = {}
    for name in sizes:
        try:
            tables[name] = read_texts(folder / name)
        except FileNotFoundError:
            continue  # another process has merged it into a larger one
    largest_first = sorted(tables, key=lambda n: (-len(tables[n].tokens), tables[n].is_old, n))
    parts = [np.zeros((_COLUMNS, 0), "<u8")]
    for number, name in enumerate(largest_first):
        table = tables[name]
        part = np.empty((_COLUMNS, len(table.tokens)), "<u8")
        part[:2] = np.ascontiguousarray(table.digests[:, : 2 * _HALF]).view(">u8").T
        part[2], part[3], part[4], part[5] = number, table.starts, table.sizes, table.tokens
        parts.append(part)
    return _sorted({name: sizes[name] for name in largest_first}, parts)


def joined(indices: Sequence[ScoreIndex]) -> ScoreIndex:
    """Several indices as one; a text that several have is found where the first has it."""
    import numpy as np

    files: dict[str, int] = {}
    parts = []
    for index in indices:
        part = np.array(index.rows)
        part[2] += len(files)
        parts.append(part)
        files |= index.files
    return _sorted(files, parts)


def digests_in(folder: Path, names: Iterable[str]) -> set[bytes]:
    """The hashes of the texts of some files."""
    return {bytes(row) for name in names for row in read_texts(folder / name).digests}


def _sorted(files: Mapping[str, int], parts: "Sequence[np.ndarray]") -> ScoreIndex:
    import numpy as np

    rows = np.concatenate(parts, 1)
    rows = rows[:, np.lexsort((rows[2], rows[1], rows[0]))]
    again = (rows[0, 1:] == rows[0, :-1]) & (rows[1, 1:] == rows[1, :-1])
    return ScoreIndex(files, np.ascontiguousarray(rows[:, np.r_[True, ~again][: rows.shape[1]]]))
