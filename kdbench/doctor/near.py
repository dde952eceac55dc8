"""Texts that are equal or nearly equal between two sets, found in one pass over each.

Texts are compared as words, without case, punctuation and other ways to write one character. Two
texts are near if their sets of three words in a row have a Jaccard index of at least 0.7, the
measure that MinHash estimates (Broder 1997; 0.7 to 0.8 are usual for removing duplicates, as in Lee
et al. 2022). An index from each such triple to the few texts of the smaller set makes the exact
value cheap, so nothing is estimated. Templates ("Sort these numbers: …") would make many prompts
near; so at least half of the triples that are rare in both sets must be shared, too.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# A character of a script without spaces is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")  # inside of words, too
NEAR = 0.7
_LEAST_WORDS = 8  # a change of one word leaves too little of a shorter text to judge
_RARE = 3  # texts of a set in which a triple that is not a template's occurs
_RARE_SHARE, _LEAST_RARE = 0.5, 5

Triples = frozenset[tuple[str, ...]]


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


def normalised(text: str) -> str:
    """The words of a text, without case, punctuation and white space; a text of none as it is."""
    return " ".join(_words(text)) or text.strip()


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()
    return _WORD.findall(unicodedata.normalize("NFC", folded))


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
    sets = [_triples(text) for text in second]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, triples in enumerate(sets):
        for triple in triples:
            holders[triple].append(index)
    shared: dict[int, list[tuple[str, ...]]] = {}
    sizes, frequency = [], Counter[tuple[str, ...]]()
    for index, text in enumerate(first):
        triples = _triples(text)
        sizes.append(len(triples))
        if common := [triple for triple in triples if triple in holders]:
            shared[index] = common
            frequency.update(common)
    rare = {t for t, held in holders.items() if len(held) <= _RARE and frequency[t] <= _RARE}
    best: dict[int, Twins] = {}
    for index, common in shared.items():
        for other, number in Counter(o for t in common if t in rare for o in holders[t]).items():
            wanted = sum(triple in rare for triple in sets[other])
            if number < max(_LEAST_RARE, _RARE_SHARE * wanted):
                continue
            both = len(sets[other].intersection(common))
            similarity = both / (sizes[index] + len(sets[other]) - both)
            if similarity >= max(NEAR, best[other].similarity if other in best else 0.0):
                best[other] = Twins(index, other, similarity)
    return [best[other] for other in sorted(best)]


def _triples(text: str) -> Triples:
    words = _words(text)
    if len(words) < _LEAST_WORDS:
        return frozenset()
    return frozenset(zip(words, words[1:], words[2:], strict=False))
