"""Removes the training rows that overlap with test sets, whose scores they would raise.

Paper: Brown et al. 2020, Language Models are Few-Shot Learners, appendix C (arXiv 2005.14165): runs
    of 8 to 13 words, of which those in more than ten training documents show nothing. lm-eval takes
    13 for all. A share of the test text's words in such runs is Tülu 3's measure (Lambert et al.
    2024, arXiv 2411.15124; 8 words and half of them).
    Near texts: Lee et al. 2022, Deduplicating Training Data Makes Language Models Better (arXiv
    2107.06499), by the Jaccard index that MinHash estimates, here exact.
Ours: whole rows are removed, not 200 characters around a run; the length of runs is that of each
    test text, not of a test set; what holds a whole test text is removed however common it is.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from pydantic import Field, PrivateAttr, field_validator

from kdbench.builders import Builder, BuiltRow, builders
from kdbench.config.kinds import FIVE, Names

if TYPE_CHECKING:
    from kdbench.builders.overlap.protected import TestSets
    from kdbench.builders.overlap.search import Overlap
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.config.build_keys import BuildSettings

_BY = ("exact", "ngram", "near")
_FIELDS = ("prompt", "response", "both")


@builders.register("decontaminate")
class Decontaminate(Builder):
    """The rows of a set without those that overlap with test sets."""

    title: ClassVar[str] = "Rows that overlap with no test set"
    paper: ClassVar[str] = "Brown et al. 2020, arXiv 2005.14165; Lee et al. 2022, arXiv 2107.06499"
    family: ClassVar[str] = "clean"
    basis: ClassVar[str] = "paper"
    adapted: ClassVar[str] = "whole rows are removed, and runs are as long as each test text allows"
    cost: ClassVar[str] = "nothing"

    against: Names = Field(
        FIVE, min_length=1, description="Test sets, as in tasks= of kdbench eval: names or files"
    )
    by: Names = Field(
        _BY,
        min_length=1,
        description="What counts: exact (equal words), ngram (a run of words), near (most words)",
    )
    fields: Names = Field(
        ("prompt", "response"),
        min_length=1,
        description="Texts of a test set that are searched for: prompt, response, both (as one)",
    )
    ngram: int = Field(13, ge=1, description="Words of a run; a shorter test text is one run")
    ngram_share: float = Field(
        0.0, ge=0, le=1, description="Least share of a test text's words in shared runs"
    )
    near: float = Field(0.7, gt=0, le=1, description="Least Jaccard index of two near texts")
    common: int = Field(
        10, ge=1, description="A run or triple of words in more rows than this shows nothing"
    )

    _read: "TestSets | None" = PrivateAttr(None)

    @field_validator("by", "fields")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        known = _BY if info.field_name == "by" else _FIELDS
        for name in names:
            if name not in known:
                raise ValueError(f"'{name}' is not one of {', '.join(known)}")
        return tuple(name for name in known if name in names)

    def inputs(self, settings: "BuildSettings") -> Mapping[str, Any]:
        """The hash of the texts of the test sets, whose names do not say what is in them."""
        return {"against": self._tests(settings).sha256}

    def build(self, work: "Workshop") -> Iterator[BuiltRow]:
        """Yield the rows that overlap with no test set."""
        from kdbench.builders.overlap.search import Search
        from kdbench.builders.workshop.questions import kept

        tests = self._tests(work.settings)
        search = Search(tests, self.by, self.ngram, self.ngram_share, self.near, self.common)
        for place, row in enumerate(work.rows):
            search.see(place, row)
        matches = search.matches()
        for name, value in _figures(tests, matches, search.documents).items():
            work.figure(name, value)
        work.figure("runs of words too common to count", search.common_runs)
        for place, row in enumerate(work.rows):
            if place in matches:
                found = matches[place]
                facts = [match.facts() for match in found]
                work.remove(row, found[0].kind, response=list(row.references), overlaps=facts)
            else:
                yield kept(row)

    def plan(self, rows: int) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - all are compared
        """Yield what rows are compared with."""
        yield "compares with", ", ".join(self.against)
        yield "by", ", ".join(self.by)

    def _tests(self, settings: "BuildSettings") -> "TestSets":
        from kdbench.builders.overlap.protected import read_test_sets

        if self._read is None:  # the identity and the build read the same
            self._read = read_test_sets(self.against, settings.data, self.fields)
        return self._read


def _figures(
    tests: "TestSets",
    matches: "Mapping[int, Sequence[Overlap]]",
    documents: Mapping[str, Collection[str]],
) -> dict[str, float | int | str]:
    """Rows removed by test set and kind, and the documents of each set that they hold."""
    from kdbench.builders.overlap.search import OverlapKind

    kinds = Counter((match.set, match.kind) for found in matches.values() for match in found)
    figures: dict[str, float | int | str] = {}
    for name, size in tests.sizes.items():
        figures[f"{name}: documents found"] = f"{len(documents.get(name, ()))} of {size}"
        for kind in get_args(OverlapKind):
            if number := kinds[name, kind]:
                figures[f"{name}: rows by {kind}"] = number
    return figures
