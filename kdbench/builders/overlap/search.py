"""The training rows that overlap with test sets."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from kdbench.builders.overlap.grams import LEAST, SharedRuns
from kdbench.builders.overlap.near import NearTexts
from kdbench.builders.overlap.protected import Field, TestSets, joined, user_turns
from kdbench.builders.overlap.words import key_of, words_of
from kdbench.distillation.rows import TrainingRow

OverlapKind = Literal["exact", "ngram", "near"]
KINDS: tuple[OverlapKind, ...] = get_args(OverlapKind)


@dataclass(frozen=True)
class Overlap:
    """A test document that a training row overlaps with.

    Attributes:
        set: Name of the test set.
        id: Id of its document.
        kind: How the texts overlap.
        field: Which text of the document is in the row.
        matched: That text, or the first run of words that both have.
        similarity: 1 if the texts are equal, the share of the document's words that are in shared
            runs, or the Jaccard index.
    """

    set: str
    id: str
    kind: OverlapKind
    field: Field
    matched: str
    similarity: float

    @property
    def strength(self) -> tuple[int, float]:
        """Smaller is stronger: equal texts first, then those that share runs, then near ones."""
        return KINDS.index(self.kind), -self.similarity

    def facts(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {**vars(self), "similarity": round(self.similarity, 4)}


class Search:
    """Finds the rows of a stream that overlap with test sets.

    Its memory holds the test sets and the matches, whatever the number of rows.

    Args:
        tests: The texts of the test sets.
        kinds: Which overlaps count.
        length: Words of a run.
        share: Least share of a test text's words in shared runs.
        near: Least Jaccard index of two near texts.
        common: Texts of either side that may hold a run before it is common usage.

    Attributes:
        documents: Ids of the documents that rows overlap with, by test set; after `matches`.
    """

    def __init__(
        self,
        tests: TestSets,
        kinds: Collection[str],
        length: int,
        share: float,
        near: float,
        common: int,
    ):
        self._tests, self._share = tests.texts, share
        words = [words_of(text.text) for text in tests.texts]
        self._exact: dict[tuple[Field, str], list[int]] = defaultdict(list)
        for index, text in enumerate(tests.texts):
            # A short response, such as "Yes", shows nothing.
            if "exact" in kinds and (text.field != "response" or len(words[index]) >= LEAST):
                self._exact[text.field, key_of(text.text, words[index])].append(index)
        self._runs = SharedRuns(words, length, common) if "ngram" in kinds else None
        self._of_field: dict[Field, list[int]] = defaultdict(list)
        if "near" in kinds:
            for index, text in enumerate(tests.texts):
                self._of_field[text.field].append(index)
        self._near = {
            field: NearTexts([words[index] for index in places], near, common)
            for field, places in self._of_field.items()
        }
        self._fields: set[Field] = {text.field for text in tests.texts}
        self._equal: dict[int, set[int]] = defaultdict(set)
        self.documents: dict[str, set[str]] = defaultdict(set)

    def see(self, place: int, row: TrainingRow) -> None:
        """Take a row.

        Args:
            place: Its index.
            row: The row.
        """
        for field, texts in _texts(row, self._fields).items():
            for text in texts:
                words = words_of(text)
                if found := self._exact.get((field, key_of(text, words))):
                    self._equal[place].update(found)
                if field in self._near:
                    self._near[field].see(place, words, hash(tuple(words)))
        if self._runs is not None:
            self._runs.see(place, words_of(_whole(row)))

    def matches(self) -> Mapping[int, Sequence[Overlap]]:
        """By index of a row, the strongest match in each test set that it overlaps with."""
        best: dict[int, dict[str, Overlap]] = defaultdict(dict)
        for place, match in self._all():
            self.documents[match.set].add(match.id)
            known = best[place].get(match.set)
            if known is None or match.strength < known.strength:
                best[place][match.set] = match
        return {
            place: sorted(found.values(), key=lambda match: match.strength)
            for place, found in best.items()
        }

    @property
    def common_runs(self) -> int:
        """Number of runs of words that were too common to show anything."""
        return 0 if self._runs is None else self._runs.common

    def _all(self) -> Iterator[tuple[int, Overlap]]:
        for place, found in self._equal.items():
            for index in sorted(found):
                yield place, self._match(index, "exact", self._tests[index].text, 1.0)
        for run in () if self._runs is None else self._runs.runs():
            if run.share >= self._share:
                yield run.first, self._match(run.second, "ngram", run.run, run.share)
        for field, near in self._near.items():
            for twins in near.pairs():
                index = self._of_field[field][twins.second]
                text = self._tests[index].text
                yield twins.first, self._match(index, "near", text, twins.similarity)

    def _match(self, index: int, kind: OverlapKind, matched: str, similarity: float) -> Overlap:
        text = self._tests[index]
        return Overlap(text.set, text.id, kind, text.field, matched, similarity)


def _texts(row: TrainingRow, fields: set[Field]) -> dict[Field, list[str]]:
    """The texts of a row that are compared, by field; a plain text is both kinds."""
    prompts = [row.references[0]] if row.is_text else user_turns(row.message)
    texts: dict[Field, list[str]] = {}
    if "prompt" in fields:
        texts["prompt"] = prompts
    if "response" in fields:
        texts["response"] = list(row.references)
    if "both" in fields:
        prompt = "\n".join(prompts)
        both = [joined(prompt, response) for response in row.references]
        texts["both"] = list(row.references) if row.is_text else both
    return texts


def _whole(row: TrainingRow) -> str:
    """All texts of a row."""
    turns = [row.message] if isinstance(row.message, str) else [t.content for t in row.message]
    return "\n".join([*turns, *row.references])
