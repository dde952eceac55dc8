"""Samples that stay on disk: where each line is, and nothing of its text, is kept in memory."""

import json
import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple
from weakref import finalize

from kdbench.errors import InputError
from kdbench.generate import Sample
from kdbench.store.samples import read_sample
from kdbench.system.files import LinesFile, parse_line

_NONE = -1
_UNCLOSED, _CHANGED = 1, 2  # bits of a sample


class _File(NamedTuple):
    """A file of samples.

    Attributes:
        start: Index of its first byte, as if all files were one behind the other.
        descriptor: Its open descriptor, which outlives a replacement of the file.
    """

    start: int
    descriptor: int


class StoredSamples(Mapping[tuple[str, int], Sample]):
    """The samples of a task by document and seed, in document order, read when they are asked for.

    A sample takes thirteen bytes of memory. Files may be replaced or extended meanwhile: their
    content when they were read first counts.

    Args:
        documents: Ids of the documents.
        change: What becomes of a sample when it is read; None for nothing.

    Attributes:
        thinks: Whether it is known of a sample what of the output is thinking.
    """

    def __init__(self, documents: Iterable[str], change: Callable[[Sample], Sample] | None = None):
        self._rows = {document: row for row, document in enumerate(documents)}
        self._ids = list(self._rows)
        self._change = change
        self._files: list[_File] = []
        self._starts: dict[int, array[int]] = {}
        self._lengths: dict[int, array[int]] = {}
        self._bits: dict[int, bytearray] = {}
        self._size = 0
        self.thinks = False

    @property
    def unclosed(self) -> int:
        """Number of samples whose thinking never ends."""
        states = (_UNCLOSED, _UNCLOSED | _CHANGED)
        return sum(bits.count(state) for bits in self._bits.values() for state in states)

    @property
    def seeds(self) -> Sequence[int]:
        """The seeds that have a sample."""
        return sorted(self._starts)

    def add(self, file: LinesFile, seeds: Sequence[int], whole: bool = False) -> None:
        """Find the samples in a file that kdbench wrote; of two with the same key, the last counts.

        Args:
            file: The file, which may not exist.
            seeds: Seeds that count; samples of others, and of unknown documents, are left out.
            whole: Whether a last line without a newline counts.

        Raises:
            InputError: A line is no sample; the message names it.
        """
        wanted = frozenset(seeds)
        for sample, start, length, _ in self._read(file, whole):
            row = self._rows.get(sample.document)
            if row is not None and sample.seed in wanted:
                self._put(sample, row, start, length)

    def add_given(self, file: LinesFile, task: str) -> None:
        """Find the samples of a file, each of which must answer a document, and come once.

        Args:
            file: The file, whose last line may lack its newline.
            task: Name of the task, for messages.

        Raises:
            InputError: A line is no sample, or of no document, or a second one; the message names
                it.
        """
        for sample, start, length, place in self._read(file, whole=True):
            row = self._rows.get(sample.document)
            if row is None:
                raise InputError(f"{place}: task '{task}' has no document '{sample.document}'")
            if self._start(row, sample.seed) != _NONE:
                raise InputError(
                    f"{place}: document '{sample.document}' has two samples of seed {sample.seed}"
                )
            self._put(sample, row, start, length)

    def __getitem__(self, key: tuple[str, int]) -> Sample:
        document, seed = key
        row = self._rows.get(document)
        start = _NONE if row is None else self._start(row, seed)
        if row is None or start == _NONE:
            raise KeyError(key)
        file = self._files[bisect_right(self._files, start, key=lambda file: file.start) - 1]
        line = os.pread(file.descriptor, self._lengths[seed][row], start - file.start)
        sample = read_sample(json.loads(line), "")
        if self._change is None or not self._bits[seed][row] & _CHANGED:
            return sample
        return self._change(sample)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, tuple):
            return False
        row = self._rows.get(key[0])
        return row is not None and self._start(row, key[1]) != _NONE

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for row, document in enumerate(self._ids):
            for seed, starts in self._starts.items():
                if starts[row] != _NONE:
                    yield document, seed

    def __len__(self) -> int:
        return self._size

    def _start(self, row: int, seed: int) -> int:
        starts = self._starts.get(seed)
        return _NONE if starts is None else starts[row]

    def _put(self, sample: Sample, row: int, start: int, length: int) -> None:
        if sample.seed not in self._starts:
            self._starts[sample.seed] = array("q", [_NONE]) * len(self._ids)
            self._lengths[sample.seed] = array("I", [0]) * len(self._ids)
            self._bits[sample.seed] = bytearray(len(self._ids))
        self._size += self._starts[sample.seed][row] == _NONE
        self._starts[sample.seed][row] = start
        self._lengths[sample.seed][row] = length
        changed = sample if self._change is None else self._change(sample)
        self.thinks = self.thinks or changed.knows_thinking
        self._bits[sample.seed][row] = changed.unclosed * _UNCLOSED + (changed != sample) * _CHANGED

    def _read(self, file: LinesFile, whole: bool) -> Iterator[tuple[Sample, int, int, str]]:
        """Yield each sample of a file with where its line is, for the index and for messages."""
        if not file.path.exists():
            return
        descriptor = os.open(file.path, os.O_RDONLY)
        finalize(self, os.close, descriptor)
        known = self._files[-1] if self._files else None
        start = 0 if known is None else known.start + os.fstat(known.descriptor).st_size
        self._files.append(_File(start, descriptor))
        with open(descriptor, "rb", closefd=False) as stream:
            for number in count(1):
                line = stream.readline()
                is_whole = line.endswith(b"\n")
                if not line or not (is_whole or whole):
                    return
                place = f"{file.path}:{number}"
                text = line.removesuffix(b"\n")
                if whole and not text.strip() and not stream.read().strip():
                    return  # blank lines at the end of a user's file
                yield read_sample(parse_line(text, place), place), start, len(text), place
                start += len(line)
