"""Texts that are equal or nearly equal between two sets, found in one pass over each.

Two texts are near if their sets of three words in a row have a Jaccard index of at least 0.7, the
measure that MinHash estimates (Broder 1997; 0.7 to 0.8 are usual for removing duplicates, as in Lee
et al. 2022). An index from each such triple to the few texts of the smaller set makes the exact
value cheap, so nothing is estimated. Templates ("Sort these numbers: …") would make many prompts
near; so at least half of the triples that are rare in both sets must be shared, too.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.builders.overlap.words import normalised, words_of

NEAR = 0.7
RARE = 3
"""Texts of a set in which a triple that is not a template's occurs."""
_LEAST_WORDS = 8  # a change of one word leaves too little of a shorter text to judge
_RARE_SHARE, _LEAST_RARE = 0.5, 5

WordTriple = tuple[str, ...]


@dataclass(frozen=True)
class Twins:
    """Two texts that are equal or near.

    Attributes:
        first: Index in the first set.
        second: Index in the second set.
        similarity: Jaccard index of their triples; 1 if they are equal.
    """

    first: int
    second: int
    similarity: float


class NearTexts:
    """Finds the texts of a stream that are near one of a few.

    What it remembers of the stream does not grow with it: no more than `rare` texts for each triple
    of the few.

    Args:
        texts: The few, as words.
        near: Least Jaccard index of two texts that are near.
        rare: Texts of a set in which a triple that is not a template's occurs.
    """

    def __init__(
        self, texts: Sequence[Sequence[str]], near: float = NEAR, rare: int = RARE
    ) -> None:
        self._near, self._rare = near, rare
        self._sets = [_triples(words) for words in texts]
        self._holders: dict[WordTriple, list[int]] = defaultdict(list)
        for index, triples in enumerate(self._sets):
            for triple in triples:
                self._holders[triple].append(index)
        self._seen: dict[WordTriple, list[int]] = defaultdict(list)  # different texts that hold it
        self._candidates: list[tuple[Twins, list[WordTriple]]] = []

    def see(self, place: int, words: Sequence[str], name: int | None = None) -> None:
        """Take a text of the stream.

        Args:
            place: Its index.
            words: Its words.
            name: A number by which equal texts count once as holders of a triple.
        """
        triples = _triples(words)
        common = [triple for triple in triples if triple in self._holders]
        if not common:
            return
        note_holder(self._seen, common, place if name is None else name, self._rare)
        if len(common) < self._near * len(triples):  # too few even if one text held them all
            return
        rare = [triple for triple in common if self._is_rare(triple)]
        for other, number in Counter(o for t in rare for o in self._holders[t]).items():
            both = len(self._sets[other].intersection(common))
            similarity = both / (len(triples) + len(self._sets[other]) - both)
            if number >= _LEAST_RARE and similarity >= self._near:
                shared = [triple for triple in rare if triple in self._sets[other]]
                self._candidates.append((Twins(place, other, similarity), shared))

    def pairs(self) -> Iterator[Twins]:
        """Yield the near pairs of what was seen, in its order; equal texts count as near."""
        for twins, shared in self._candidates:
            wanted = sum(map(self._is_rare, self._sets[twins.second]))
            number = sum(map(self._is_rare, shared))
            if number >= max(_LEAST_RARE, _RARE_SHARE * wanted):
                yield twins

    def _is_rare(self, triple: WordTriple) -> bool:
        return max(len(self._holders[triple]), len(self._seen[triple])) <= self._rare


def note_holder(
    seen: dict[WordTriple, list[int]], runs: Iterable[WordTriple], name: int, most: int
) -> None:
    """Note that a text holds runs of words.

    Args:
        seen: Names of the texts that hold a run; no more than tell that it is common.
        runs: The runs.
        name: Name of the text.
        most: Texts that may hold a run before it is common.
    """
    for run in runs:
        names = seen[run]
        if len(names) <= most and name not in names:
            names.append(name)


def equal_pairs(first: Sequence[str], second: Sequence[str]) -> list[Twins]:
    """The texts of the second set that are also in the first, each with one place there.

    Args:
        first: Texts.
        second: Texts.
    """
    places: dict[str, int] = {}
    for index, text in enumerate(first):
        places.setdefault(normalised(text), index)
    found = ((places.get(normalised(text)), index) for index, text in enumerate(second))
    return [Twins(place, index, 1.0) for place, index in found if place is not None]


def near_pairs(first: Sequence[str], second: Sequence[str]) -> list[Twins]:
    """The texts of the second set that are near one of the first, each with the nearest.

    Args:
        first: Texts, the larger set.
        second: Texts; equal ones count as near.
    """
    index = NearTexts([words_of(text) for text in second])
    for place, text in enumerate(first):
        index.see(place, words_of(text))
    best: dict[int, Twins] = {}
    for twins in index.pairs():
        if twins.second not in best or twins.similarity >= best[twins.second].similarity:
            best[twins.second] = twins
    return [best[other] for other in sorted(best)]


def _triples(words: Sequence[str]) -> frozenset[WordTriple]:
    if len(words) < _LEAST_WORDS:
        return frozenset()
    return frozenset(zip(words, words[1:], words[2:], strict=False))
