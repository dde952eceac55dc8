"""The rows to choose from, and the choice of those with the best scores.

Of each row only id, group and score are in memory.
"""

import json
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from kdbench.builders.workshop.card import CARD, read_card
from kdbench.builders.workshop.source import CHUNK, SourceRows
from kdbench.config import is_file_of_rows
from kdbench.distillation.data import SetFile, stream_rows
from kdbench.distillation.rows import TrainingRow
from kdbench.errors import InputError
from kdbench.text import counted

_ROUNDING = 1e-9  # of a share times a number of rows


@dataclass(frozen=True)
class Pool:
    """The rows to choose from.

    Attributes:
        source: The rows with those that cannot be chosen.
        groups: The group of each row by its id: the value of the column of `within=`, as JSON;
            empty without that key.
        counts: How many rows of each group are kept.
        labelled: The sets of `without=`, whose rows are not in the pool.
    """

    source: SourceRows
    groups: Mapping[str, str]
    counts: Mapping[str, int]
    labelled: Sequence[SetFile] = ()

    def __contains__(self, name: object) -> bool:
        return name in self.groups

    def __len__(self) -> int:
        return len(self.groups)

    def chunks(self) -> Iterator[list[TrainingRow]]:
        """Yield the rows of the pool in lists, few in memory at once."""
        for rows in self.source.chunks():
            if chosen_from := [row for row in rows if row.id in self.groups]:
                yield chosen_from

    def labelled_rows(self) -> Iterator[TrainingRow]:
        """Yield the rows of the sets of `without=`."""
        for file in self.labelled:
            yield from stream_rows(file)


@dataclass(frozen=True)
class Chosen:
    """What a rule has chosen.

    Attributes:
        ids: The rows that are kept.
        scores: The scores by id of the row, kept or not; None if it has none that is a number.
        no_score: Why a row is not among the scores.
        figures: What the card says about the choice.
    """

    ids: frozenset[str]
    scores: Mapping[str, float | None]
    no_score: str = "does not fit"
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SelectionSize:
    """How many rows are kept.

    Attributes:
        share: Share of the rows, above 0 and up to 1; the number is rounded up.
        rows: Number of rows, which takes precedence.
    """

    share: float = 1.0
    rows: int | None = None

    def of(self, count: int) -> int:
        """The number that is kept of a number of rows.

        Raises:
            InputError: There are fewer than `rows`.
        """
        if self.rows is None:
            return math.ceil(self.share * count - _ROUNDING)
        if self.rows > count:
            left = counted(count, "row")
            raise InputError(f"rows={self.rows}: there are only {left} to choose from")
        return self.rows


def read_pool(
    source: SourceRows,
    amount: SelectionSize,
    within: str | None = None,
    without: Sequence[Path] = (),
) -> Pool:
    """The rows to choose from.

    Args:
        source: The rows that are read.
        amount: How many are kept.
        within: The column of whose values each keeps its share.
        without: Sets whose rows are not chosen again.

    Raises:
        InputError: A row lacks the column, a set does not exist, or there are too few rows.
    """
    labelled = [_set_of(path, "without") for path in without]
    known = {row.id for file in labelled for row in stream_rows(file)}
    groups: dict[str, str] = {}
    for row in source:
        if row.id not in known:
            groups[row.id] = "" if within is None else _group(row, within)
    if not groups:
        raise InputError(f"without=: all {source.count} rows of {source.title} are in these sets")
    return Pool(source, groups, shares(Counter(groups.values()), amount.of(len(groups))), labelled)


def shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """A number of places, divided among groups in proportion to their sizes (Sainte-Laguë).

    A larger total never takes a place from a group.

    Args:
        sizes: The size of each group; none gets more places.
        total: The number of places.
    """
    places = [
        ((2 * place + 1) / (2 * size), group)
        for group, size in sizes.items()
        for place in range(size)
    ]
    given = Counter(group for _, group in sorted(places)[:total])
    return {group: given[group] for group in sorted(sizes)}


def best(pool: Pool, scores: Mapping[str, float], no_score: str = "does not fit") -> Chosen:
    """The rows with the largest scores in each group; of equal scores, those with the first ids.

    Args:
        pool: The rows to choose from.
        scores: Their scores by id; rows without one are not chosen.
        no_score: Why a row has none.
    """
    left, chosen = dict(pool.counts), set[str]()
    for name in sorted(scores, key=lambda name: (-scores[name], name)):
        group = pool.groups[name]
        if left[group]:
            left[group] -= 1
            chosen.add(name)
    return Chosen(frozenset(chosen), scores, no_score, mean_of("score", scores, chosen))


def mean_of(name: str, values: Mapping[str, float], chosen: Collection[str]) -> dict[str, float]:
    """The mean of a number over the rows that are kept, and over the others, as figures.

    Args:
        name: What the number is called.
        values: The number by id of the row.
        chosen: The ids of those that are kept.
    """
    kept = [value for row, value in values.items() if row in chosen]
    others = [value for row, value in values.items() if row not in chosen]
    means = {f"mean {name}, kept": kept, f"mean {name}, not chosen": others}
    return {title: math.fsum(of) / len(of) for title, of in means.items() if of}


def _group(row: TrainingRow, column: str) -> str:
    if column not in row.fields:
        has = ", ".join(row.fields) or "no other column"
        raise InputError(f"within={column}: row '{row.id}' has no such column; it has {has}")
    return json.dumps(row.fields[column], ensure_ascii=False, sort_keys=True)


def in_chunks(rows: Iterator[TrainingRow]) -> Iterator[list[TrainingRow]]:
    """Yield rows in lists of a fixed length, few in memory at once."""
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def rows_of(path: Path, key: str) -> Iterator[TrainingRow]:
    """Yield the rows of a set that a key names, as a folder that was built or a file.

    Raises:
        InputError: There is no such set, or it is malformed.
    """
    return stream_rows(_set_of(path, key))


def _set_of(path: Path, key: str) -> SetFile:
    if path.is_dir() and (path / CARD).is_file():
        return SetFile(path, read_card(path).set, "train", None)
    if path.is_file() and is_file_of_rows(str(path)):
        return SetFile(None, str(path), "train", None)
    raise InputError(
        f"{key}={path}: neither a .jsonl file nor a folder that kdbench build has made"
    )
