"""The scores of one text as compressed bytes, and back.

    4 bytes     CRC-32 of the text's hash and of all that follows
    4 bytes     k
    8 bytes     the step of the stored numbers in nats; 0 if they are the float32 themselves
    the rest    zstd over the bytes of all columns, those of equal weight side by side

A log-probability is stored as its distance from the likelier one before it, in units of float32's
last place or of the step: neighbours differ little, so the upper bytes are nearly all 0.
"""

import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ("log_p", "ids", "tail", "entropy", "target")
_HEAD = struct.Struct("<IId")
_LEVEL = 3  # 9 is a fifth of the speed and saves 0.5 %
_WORD = 4  # bytes
_ROUNDING = 0.95  # leaves room for the rounding to float32, 4e-6 nats near -100
_LARGEST = 2**30  # steps; what is farther away has no probability
_NOT_FINITE = (float("nan"), float("-inf"), float("inf"))


def pack(columns: "Mapping[str, np.ndarray]", digest: bytes, max_error: float = 0.0) -> bytes:
    """Compress the scores of a text.

    Args:
        columns: `log_p` float32 (n, k) and `ids` int32 (n, k), the likeliest first; `tail`,
            `entropy` and `target`, float32 (n,).
        digest: The hash under which they are stored.
        max_error: Largest error of a stored number in nats; 0 keeps each bit.
    """
    import numpy as np

    step = 2 * _ROUNDING * max_error
    words = {
        name: np.ascontiguousarray(columns[name], "<i4").view("<u4")
        if name == "ids"
        else _words(columns[name], step)
        for name in COLUMNS
    }
    falling = words["log_p"]
    gaps = falling.copy()
    gaps[:, 1:] = falling[:, :-1] - falling[:, 1:] if step else falling[:, 1:] - falling[:, :-1]
    ordered = (gaps.T, words["ids"].T, *(words[name] for name in COLUMNS[2:]))
    planes = b"".join(
        np.ascontiguousarray(column).view("u1").reshape(-1, _WORD).T.tobytes() for column in ordered
    )
    packed: bytes = _zstd().compress(planes, asbytes=True)
    rest = _HEAD.pack(0, falling.shape[1], step)[_WORD:] + packed
    checksum: bytes = struct.pack("<I", zlib.crc32(rest, zlib.crc32(digest)))
    return checksum + rest


def unpack(content: bytes, digest: bytes, tokens: int) -> "dict[str, np.ndarray]":
    """The columns of a text from what `pack` returned.

    Args:
        content: The bytes.
        digest: The hash under which they are stored.
        tokens: Number of tokens n of the text.

    Raises:
        ValueError: The bytes are damaged, or those of another text.
    """
    import numpy as np

    if not is_whole(content, digest):
        raise ValueError("its content is not what was written")
    _, k, step = _HEAD.unpack_from(content)
    size = (2 * k + 3) * tokens * _WORD
    planes = np.frombuffer(_zstd().decompress(content[_HEAD.size :], size, asbytes=True), "u1")
    words, start = {}, 0
    for name in COLUMNS:
        shape = (k, tokens) if name in ("log_p", "ids") else (tokens,)
        count = int(np.prod(shape)) * _WORD
        part = planes[start : start + count].reshape(_WORD, -1)
        words[name] = np.array(part.T, order="C").view("<u4").reshape(shape).T
        start += count
    gaps = words["log_p"]
    if step:
        gaps = gaps.copy()
        gaps[:, 1:] = 0 - gaps[:, 1:]
    words["log_p"] = gaps.cumsum(1, dtype="<u4")
    return {
        name: np.ascontiguousarray(column).view("<i4") if name == "ids" else _floats(column, step)
        for name, column in words.items()
    }


class PackingLoss(NamedTuple):
    """What was lost by storing numbers inexactly.

    Attributes:
        error: Largest error of a log-probability in nats.
        kl: KL of the stored probabilities from the exact ones, over the top k and all others as
            one, summed over tokens.
        tokens: Number of tokens.
    """

    error: float = 0.0
    kl: float = 0.0
    tokens: int = 0

    def plus(self, other: "PackingLoss") -> "PackingLoss":
        """That of both."""
        kl, tokens = self.kl + other.kl, self.tokens + other.tokens
        return PackingLoss(max(self.error, other.error), kl, tokens)


def loss_of(exact: "Mapping[str, np.ndarray]", stored: "Mapping[str, np.ndarray]") -> PackingLoss:
    """What was lost of the scores of a text.

    Args:
        exact: Its columns.
        stored: Its columns as they are read again.
    """
    import numpy as np

    p, q = (
        np.concatenate([columns["log_p"], columns["tail"][:, None]], 1).astype("f8")
        for columns in (exact, stored)
    )
    gaps = np.subtract(p, q, out=np.zeros_like(p), where=np.isfinite(p))
    sums = [np.exp(side).sum(1) for side in (p, q)]  # neither is exactly 1
    kl = (np.exp(p) * gaps).sum(1) / sums[0] + np.log(sums[1] / sums[0])
    return PackingLoss(float(np.abs(gaps).max(initial=0)), float(kl.sum()), len(p))


def is_whole(content: bytes, digest: bytes) -> bool:
    """Whether the bytes are those that were written for a text."""
    if len(content) <= _HEAD.size:
        return False
    checksum: int = _HEAD.unpack_from(content)[0]
    return zlib.crc32(content[_WORD:], zlib.crc32(digest)) == checksum


def _words(numbers: "np.ndarray", step: float) -> "np.ndarray":
    """Float32 numbers as 32 bits each: their own, or the number of steps.

    What is not finite has a number of steps that nothing else has.
    """
    import numpy as np

    if not step:
        return np.ascontiguousarray(numbers, "<f4").view("<u4")
    steps = np.rint(np.asarray(numbers, "f8") / step)
    with np.errstate(invalid="ignore"):
        steps[steps >= _LARGEST] = np.inf
        steps[steps <= -_LARGEST] = -np.inf
    finite = np.isfinite(steps)
    words = np.where(finite, steps, 0).astype("<i4")
    for code, value in enumerate(_NOT_FINITE):
        same = np.isnan(steps) if np.isnan(value) else steps == value
        words[same & ~finite] = np.iinfo("i4").min + code
    return words.view("<u4")


def _floats(words: "np.ndarray", step: float) -> "np.ndarray":
    import numpy as np

    words = np.ascontiguousarray(words)
    if not step:
        return words.view("<f4")
    steps = words.view("<i4")
    numbers = (steps * step).astype("<f4")
    for code, value in enumerate(_NOT_FINITE):
        numbers[steps == np.iinfo("i4").min + code] = value
    return numbers


@cache
def _zstd() -> Any:
    import pyarrow

    return pyarrow.Codec("zstd", _LEVEL)
