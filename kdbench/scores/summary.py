"""What a teacher cache holds, and whether its files are whole."""

from collections.abc import Iterator
from dataclasses import dataclass

from kdbench.errors import InputError
from kdbench.scores.cache import CachedIdentity, TopKCache
from kdbench.scores.index import sizes_of_files
from kdbench.scores.packing import is_whole
from kdbench.scores.shards import read_old, read_texts


@dataclass(frozen=True)
class CacheSummary:
    """What a teacher cache holds.

    Attributes:
        identity: Whose scores they are.
        texts: Number of texts; one that two files have counts twice.
        tokens: Number of their response tokens.
        files: Number of files of scores.
        old_files: How many of them are of an earlier version, which did not compress.
        size: Their bytes.
        tail: The mean probability beyond the top k; None for old files.
    """

    identity: CachedIdentity
    texts: int
    tokens: int
    files: int
    old_files: int
    size: int
    tail: float | None

    @property
    def bytes_per_token(self) -> float | None:
        """The bytes of a token; None if there is none."""
        return self.size / self.tokens if self.tokens else None


def summarise(cache: TopKCache) -> CacheSummary:
    """Count what a cache holds.

    Raises:
        InputError: The folder is no cache, or a file is damaged.
    """
    identity = cache.identity()
    if identity is None:
        raise InputError(
            f"{cache.folder}: no teacher.json, so this is not a cache; make one with "
            f"kdbench cache teacher=CHECKPOINT out={cache.folder}"
        )
    texts = tokens = old = new_tokens = 0
    tail = 0.0
    sizes = sizes_of_files(cache.scores)
    for name in sizes:
        table = read_texts(cache.scores / name)
        texts += len(table.tokens)
        tokens += int(table.tokens.sum())
        if table.tail is None:
            old += 1
        else:
            new_tokens += int(table.tokens.sum())
            tail += float(table.tail.sum())
    mean = tail / new_tokens if new_tokens and not old else None
    return CacheSummary(identity, texts, tokens, len(sizes), old, sum(sizes.values()), mean)


def damaged(cache: TopKCache) -> Iterator[str]:
    """Read each byte of a cache, and yield a line for each file that is damaged."""
    for name in sizes_of_files(cache.scores):
        path = cache.scores / name
        try:
            table = read_texts(path)
            if table.is_old:
                read_old(path, 0, 0, check=True)
                continue
        except InputError as error:
            yield str(error)
            continue
        with path.open("rb") as file:
            rows = zip(table.digests, table.starts, table.sizes, strict=True)
            bad = 0
            for digest, start, size in rows:
                file.seek(int(start))
                bad += not is_whole(file.read(int(size)), bytes(digest))
        if bad:
            yield f"{path}: damaged: the scores of {bad} of its {len(table.tokens)} texts"
