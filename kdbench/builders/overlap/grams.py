"""Runs of words that texts of a stream share with a few texts.

As in GPT-3's analysis (Brown et al. 2020, appendix C): words without case and punctuation, runs of
13 words, 8 for the shortest texts, and a run that more than ten training rows hold shows nothing.
A text of 8 to 12 words is one run; theirs is the length of all texts of a test set, by its shortest
twentieth. Equal rows count once among the ten. A run that more than ten of the few texts hold is
left out as well: the wording of a task. What holds a whole text is found in any case.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdbench.builders.overlap.near import note_holder

LEAST = 8
"""Words of the shortest run that is no chance."""
COMMON = 10
"""Texts that may hold a run before it is common usage."""

Gram = tuple[str, ...]


@dataclass(frozen=True)
class SharedRun:
    """What a text of the stream shares with one of the few.

    Attributes:
        first: Index of the text in the stream.
        second: Index of the text among the few.
        share: Share of the words of the second that lie in runs of the first.
        run: The first such run, with a space between words.
    """

    first: int
    second: int
    share: float
    run: str


class SharedRuns:
    """Finds the texts of a stream that share runs of words with a few texts.

    What it remembers of the stream does not grow with it, but for texts that hold a whole one.

    Args:
        texts: The few, as words.
        length: Words of a run; shorter texts are one run.
        common: Texts of either set that may hold a run before it is common usage.
    """

    def __init__(
        self, texts: Sequence[Sequence[str]], length: int = 13, common: int = COMMON
    ) -> None:
        self._texts, self._common = [list(words) for words in texts], common
        self._least = min(LEAST, length)
        self._holders: dict[Gram, list[tuple[int, int]]] = defaultdict(list)  # text, start
        self._lengths: dict[Gram, set[int]] = defaultdict(set)  # by what a run begins with
        for index, words in enumerate(texts):
            size = min(length, len(words))
            for start in range(len(words) - size + 1) if size >= self._least else ():
                gram = tuple(words[start : start + size])
                self._holders[gram].append((index, start))
                self._lengths[gram[: self._least]].add(size)
        self._held = {
            gram: len({index for index, _ in places}) for gram, places in self._holders.items()
        }
        self._seen: dict[Gram, list[int]] = defaultdict(list)  # different texts that hold it
        self._found: dict[tuple[int, int], list[Gram]] = defaultdict(list)
        self._whole: dict[tuple[int, int], None] = {}

    def see(self, place: int, words: list[str]) -> None:
        """Take a text of the stream.

        Args:
            place: Its index.
            words: Its words.
        """
        grams: dict[Gram, None] = {}  # in the order of the text
        for start in range(len(words) - self._least + 1):
            for size in self._lengths.get(tuple(words[start : start + self._least]), ()):
                gram = tuple(words[start : start + size])
                if gram in self._holders:
                    grams[gram] = None
                    self._look_for_whole(place, words, start, gram)
        note_holder(self._seen, grams, hash(tuple(words)), self._common)
        for gram in grams:
            if not self._is_common(gram):
                for index in {index for index, _ in self._holders[gram]}:
                    self._found[place, index].append(gram)

    def _look_for_whole(self, place: int, words: list[str], start: int, gram: Gram) -> None:
        for index, at in self._holders[gram]:
            text = self._texts[index]
            if at == 0 and words[start : start + len(text)] == text:
                self._whole[place, index] = None

    def runs(self) -> Iterator[SharedRun]:
        """Yield what the texts that were seen share with the few, in their order."""
        for place, index in sorted({*self._whole, *self._found}):
            text = self._texts[index]
            if (place, index) in self._whole:
                yield SharedRun(place, index, 1.0, " ".join(text))
                continue
            grams = [gram for gram in self._found[place, index] if not self._is_common(gram)]
            covered = {
                start + offset
                for gram in grams
                for holder, start in self._holders[gram]
                if holder == index
                for offset in range(len(gram))
            }
            if grams:
                yield SharedRun(place, index, len(covered) / len(text), " ".join(grams[0]))

    @property
    def common(self) -> int:
        """Number of runs that were seen too often to show anything."""
        return sum(self._is_common(gram) for gram in list(self._seen))

    def _is_common(self, gram: Gram) -> bool:
        return max(self._held[gram], len(self._seen[gram])) > self._common
