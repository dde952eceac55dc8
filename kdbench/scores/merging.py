"""Many small files of a teacher cache become few large ones.

Each batch of scores is a file of its own at first, so that a killed process loses no more than a
batch. The larger file is there before the small ones go, and what a kill leaves is removed later.
"""

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kdbench.errors import InputError
from kdbench.scores.cache import TopKCache
from kdbench.scores.index import (
    digests_in,
    index_files,
    read_index,
    sizes_of_files,
    write_index,
)
from kdbench.scores.shards import read_texts, shard_name
from kdbench.system.locks import only_here

_CLAIMS = ".claims"
_SMALL = 2**20  # bytes
_LARGE = 2**26


@contextmanager
def claimed(cache: TopKCache, work: str, wait: bool = False) -> Iterator[bool]:
    """Whether this process has a piece of work on a cache for itself while the block runs.

    Args:
        cache: The cache.
        work: Name of the work.
        wait: Whether to wait for another process that has it.
    """
    with ExitStack() as stack:
        yield _claim(stack, cache.folder / _CLAIMS / work, wait)


def _claim(stack: ExitStack, lock: Path, wait: bool) -> bool:
    """Hold a lock until the stack is closed; False if another process has it."""
    while True:
        try:
            stack.enter_context(only_here(lock, busy="", wait=wait))
        except FileNotFoundError:  # another process has just removed the folder
            continue
        except InputError:  # another process has it
            return False
        return True


def forget_claims(cache: TopKCache) -> None:
    """Remove the files of claims; a process that still waits for one finds its work done."""
    shutil.rmtree(cache.folder / _CLAIMS, ignore_errors=True)


def merge(cache: TopKCache, digests: Collection[str]) -> None:
    """Put some texts into one file, those that are in files of these texts alone."""
    wanted = {bytes.fromhex(digest) for digest in digests}
    names = {place.file for digest in digests if (place := cache.place(digest))}
    _put_together(cache, [n for n in names if digests_in(cache.scores, [n]) <= wanted])


def merge_small(cache: TopKCache) -> None:
    """Merge the small files of a cache, and write its index; old files become new ones.

    Nothing is done while another process does so.
    """
    with claimed(cache, "merge") as is_ours:
        if not is_ours:
            return
        cache.refresh()
        for names in _groups(cache.scores):
            _put_together(cache, names)
        tidy(cache)
    (cache.folder / _CLAIMS / "merge").unlink(missing_ok=True)
    with suppress(OSError):  # others have claims
        (cache.folder / _CLAIMS).rmdir()


def tidy(cache: TopKCache) -> None:
    """Remove the files whose texts are all in others, and write the index."""
    cache.refresh()
    if is_tidy(cache):
        return
    index = index_files(cache.scores, sizes_of_files(cache.scores))
    if unneeded := index.unneeded():
        for name in unneeded:
            (cache.scores / name).unlink(missing_ok=True)
        index = index_files(cache.scores, sizes_of_files(cache.scores))
    write_index(cache.folder, index)
    cache.refresh()


def is_tidy(cache: TopKCache) -> bool:
    """Whether the index, which is written last, is of the files that there are."""
    sizes = sizes_of_files(cache.scores)
    stored = read_index(cache.folder, sizes)
    return not sizes or (stored is not None and stored.files == sizes)


def _put_together(cache: TopKCache, names: Collection[str]) -> None:
    """Put the texts of some files into one; a single file stays, unless it is an old one."""
    is_old = any(read_texts(cache.scores / name).is_old for name in names)
    if len(names) < 2 and not is_old:
        return
    digests = digests_in(cache.scores, names)
    cache.put([cache.block(digest.hex()) for digest in sorted(digests)])
    for name in set(names) - {shard_name(list(digests))}:
        (cache.scores / name).unlink(missing_ok=True)
    cache.refresh()


def _groups(folder: Path) -> Iterable[list[str]]:
    """The files that are to be merged, those of one new file together."""
    group: list[str] = []
    total = 0
    for name, size in sizes_of_files(folder).items():
        if size >= _SMALL and not read_texts(folder / name).is_old:
            continue
        if group and total + size > _LARGE:
            yield group
            group, total = [], 0
        group.append(name)
        total += size
    if group:
        yield group
