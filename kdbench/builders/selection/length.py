"""Length: the shortest or longest rows, or random ones as long as those of another set.

Rules often prefer short or long responses. Whether one does more than that shows against random
rows of the same lengths: with `which=matched` and `like=` the set of that rule, the rows of the
file are put into `bins` of about equal size by length, and from each bin as many are drawn at
random as the other set has there.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from kdbench.builders.selection import SelectionRule, selection_rules
from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.builders.selection.parts.pool import Chosen, Pool
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.distillation.rows import TrainingRow


@selection_rules.register("length")
class ByLength(SelectionRule):
    """The shortest or longest rows, or random ones as long as those of another set; a control."""

    title: ClassVar[str] = "Rows by length"
    paper: ClassVar[str] = "none: a control"
    files: ClassVar[tuple[str, ...]] = ("without", "like")

    which: Literal["shortest", "longest", "matched"] = Field("shortest", description="Rows to keep")
    of: Literal["response", "prompt", "both"] = Field(
        "response", description="What is measured, in characters; of a plain text, always all of it"
    )
    like: Path | None = Field(
        None, description="With which=matched: the set whose lengths are matched, as for without="
    )
    bins: int = Field(20, ge=1, description="With which=matched: number of bins of lengths")

    @model_validator(mode="after")
    def _matched_alone(self) -> "ByLength":
        given = self.model_fields_set
        if self.which == "matched":
            if self.like is None:
                raise ValueError("which=matched needs like=, the set whose lengths are matched")
            if sizes := given & {"share", "rows", "within"}:
                raise ValueError(
                    f"which=matched keeps as many rows as like= has; drop {min(sizes)}="
                )
        elif others := given & {"like", "bins"}:
            raise ValueError(f"{min(others)}= has an effect with which=matched only")
        return self

    def scores(self, work: "Workshop", rows: "Sequence[TrainingRow]") -> Mapping[str, float]:  # noqa: ARG002
        """The length of each row; its negative if short ones are kept."""
        sign = -1 if self.which == "shortest" else 1
        return {row.id: sign * self._length(row) for row in rows}

    def choose(self, work: "Workshop", pool: "Pool") -> "Chosen":
        """The shortest or longest rows, or random rows of each bin."""
        from kdbench.builders.selection.parts.pool import Chosen, rows_of

        if self.like is None:
            return super().choose(work, pool)
        lengths = {row.id: self._length(row) for rows in pool.chunks() for row in rows}
        edges = _edges(list(lengths.values()), self.bins)
        bins: dict[int, list[str]] = {}
        for name in sorted(lengths):
            bins.setdefault(bisect_right(edges, lengths[name]), []).append(name)
        matched = [self._length(row) for row in rows_of(self.like, "like")]
        chosen = set[str]()
        for place, count in sorted(Counter(bisect_right(edges, n) for n in matched).items()):
            names = bins.get(place, [])
            if len(names) < count:
                raise InputError(
                    f"like={self.like}: has {count} rows of a length of which there are only "
                    f"{len(names)} to choose from; pass fewer bins="
                )
            chosen |= set(work.random("matched length", place).sample(names, count))
        means = {
            "mean length": sum(lengths[name] for name in chosen) / len(chosen),
            "mean length of like=": sum(matched) / len(matched),
        }
        return Chosen(frozenset(chosen), lengths, figures=means)

    def _length(self, row: "TrainingRow") -> int:
        asked = row.prompt or "".join(str(turn.content) for turn in _turns(row))
        prompt = 0 if self.of == "response" or row.is_text else len(asked)
        return prompt + (0 if self.of == "prompt" and not row.is_text else len(row.references[0]))


def _turns(row: "TrainingRow") -> Sequence[Any]:
    return () if isinstance(row.message, str) else row.message


def _edges(lengths: Sequence[int], bins: int) -> list[int]:
    """The lengths at which bins of about equal size begin, but for the first."""
    ordered = sorted(lengths)
    return sorted({ordered[len(ordered) * number // bins] for number in range(1, bins)})
