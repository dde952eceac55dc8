"""A file of a teacher cache: the scores of many texts, with a table of where each is.

    blocks     uint8    the scores of each text, as `kdbench.scores.packing` writes them
    digests    uint8    the hash of each text, (texts, 32), rising
    starts     int64    where its block starts, and where the last one ends
    tokens     int32    the tokens of its response
    tail       float64  the probability beyond the top k, summed over its tokens

It is a safetensors file, whose bytes follow from the texts and their scores alone. An old file has
the columns of a batch as they are, and in its metadata the first position of each text and the one
after its last.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kdbench.errors import InputError
from kdbench.scores.packing import COLUMNS

if TYPE_CHECKING:
    import numpy as np

SUFFIX = ".safetensors"
_TEXTS, _CHECKSUM = "texts", "sha256"  # the metadata of an old file, and the key of its checksum
_FORMAT, _SCHEMA = "cache", 2
_TABLE = ("digests", "starts", "tokens", "tail")


class Block(NamedTuple):
    """The scores of a text, as they are written.

    Attributes:
        digest: The text's hash, 32 bytes.
        tokens: Number of tokens of its response.
        tail: The probability beyond the top k, summed over its tokens.
        content: The compressed scores.
    """

    digest: bytes
    tokens: int
    tail: float
    content: bytes


@dataclass(frozen=True)
class ShardTexts:
    """The texts of a file.

    Attributes:
        digests: Their hashes, uint8 (texts, 32).
        starts: Where each one's scores start in the file: a byte, or a position in an old file.
        sizes: Their number of bytes; 0 in an old file.
        tokens: Their numbers of tokens.
        tail: Their probability beyond the top k, summed over tokens; None in an old file.
    """

    digests: "np.ndarray"
    starts: "np.ndarray"
    sizes: "np.ndarray"
    tokens: "np.ndarray"
    tail: "np.ndarray | None"

    @property
    def is_old(self) -> bool:
        """Whether the file was written before scores were compressed."""
        return self.tail is None


def shard_name(digests: Sequence[bytes]) -> str:
    """The name of the file that holds these texts, by their hashes."""
    texts = "".join(sorted(digest.hex() for digest in digests))
    # An old file of the same texts has another name, as a reader may still know its places.
    return hashlib.sha256(f"{_SCHEMA} {texts}".encode()).hexdigest()[:16] + SUFFIX


def shard_content(blocks: Sequence[Block]) -> bytes:
    """The bytes of a file, which do not depend on the order of the texts."""
    import numpy as np
    from safetensors.numpy import save

    ordered = sorted(blocks)
    sizes = [len(block.content) for block in ordered]
    table = {
        "blocks": np.frombuffer(b"".join(block.content for block in ordered), "u1"),
        "digests": np.frombuffer(b"".join(block.digest for block in ordered), "u1").reshape(-1, 32),
        "starts": np.cumsum([0, *sizes], dtype="i8"),
        "tokens": np.array([block.tokens for block in ordered], "i4"),
        "tail": np.array([block.tail for block in ordered], "f8"),
    }
    # One entry of metadata: safetensors writes several in an order that changes by chance.
    about = {"schema": _SCHEMA, "table": _table_checksum(table)}
    content: bytes = save(table, {_FORMAT: json.dumps(about)})
    return content


def read_texts(path: Path) -> ShardTexts:
    """Which texts a file has, and where.

    Raises:
        InputError: It is no file of a teacher cache, or its table is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata()
            if _FORMAT not in metadata:
                return _old_texts(json.loads(metadata[_TEXTS]))
            about = json.loads(metadata[_FORMAT])
            table = {name: file.get_tensor(name) for name in _TABLE}
            starts = table["starts"] + _start_of_blocks(path)
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: not a file of a teacher cache: {error}; delete it, and run the command that "
            "made the cache"
        ) from None
    if about.get("schema") != _SCHEMA:
        raise InputError(f"{path}: schema {about.get('schema')}; this kdbench reads {_SCHEMA}")
    if about.get("table") != _table_checksum(table):
        raise InputError(
            f"{path}: damaged: its table is not what was written; delete it, and run the command "
            "that made the cache"
        )
    sizes = starts[1:] - starts[:-1]
    return ShardTexts(table["digests"], starts[:-1], sizes, table["tokens"], table["tail"])


def read_old(path: Path, start: int, tokens: int, check: bool) -> "dict[str, np.ndarray]":
    """The columns of a text in an old file.

    Args:
        path: The file.
        start: The first position of the text.
        tokens: Its number of tokens.
        check: Whether to compare the whole file with its checksum; the oldest have none.

    Raises:
        InputError: The file is damaged.
    """
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        stored = json.loads(file.metadata()[_TEXTS]).get(_CHECKSUM) if check else None
        if stored and _old_checksum(file) != stored:
            raise InputError(f"{path}: damaged: its content is not what was written; delete it")
        return {name: file.get_slice(name)[start : start + tokens] for name in COLUMNS}


def _old_texts(places: dict[str, Any]) -> ShardTexts:
    import numpy as np

    places.pop(_CHECKSUM, None)
    digests = np.frombuffer(b"".join(bytes.fromhex(digest) for digest in places), "u1")
    ends = np.array([(start, stop) for start, stop in places.values()], "i8").reshape(-1, 2)
    sizes = np.zeros(len(places), "i8")
    return ShardTexts(digests.reshape(-1, 32), ends[:, 0], sizes, ends[:, 1] - ends[:, 0], None)


def _table_checksum(table: "Mapping[str, np.ndarray]") -> int:
    value = 0
    for name in _TABLE:
        value = zlib.crc32(table[name].tobytes(), value)
    return value


def _old_checksum(file: Any) -> str:
    digest = hashlib.sha256()
    for name in COLUMNS:
        digest.update(file.get_tensor(name).tobytes())
    return digest.hexdigest()


def _start_of_blocks(path: Path) -> int:
    """The place of the first block in a file, in bytes."""
    header, after = read_header(path)
    return after + int(header["blocks"]["data_offsets"][0])


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and the number of bytes before its data.

    Raises:
        ValueError: It is no such file.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("no safetensors file")
        header: dict[str, Any] = json.loads(file.read(length))
    return header, 8 + length
