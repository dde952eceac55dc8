"""Rules of `kdbench build select by=RULE`, one file each.

A rule consists of its keys and of `scores`, which gives each row a number; the rows with the
largest are kept. A rule that looks at rows together, as one for their diversity does, has `choose`
instead. Other packages name theirs in the entry-point group `kdbench.selection_rules`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from kdbench.builders import Builder, BuiltRow, check_kind
from kdbench.config.kinds import Paths
from kdbench.errors import InputError
from kdbench.registry import Registry

if TYPE_CHECKING:
    from kdbench.builders.selection.parts.pool import Chosen, Pool
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.distillation.rows import TrainingRow


class SelectionRule(Builder):
    """A rule that keeps some of the rows. The fields of a subclass are keys of its own.

    The rows that are kept stay as they are, and in their order.
    """

    family: ClassVar[str] = "select"
    cost: ClassVar[str] = "nothing"
    files: ClassVar[tuple[str, ...]] = ("without",)

    by: str = Field(description="Rule, by its name")
    share: float = Field(0.5, gt=0, le=1, description="Share of the rows that is kept")
    rows: int | None = Field(None, ge=1, description="Number of rows to keep, instead of share=")
    within: str | None = Field(
        None, description="Column, such as category: of each of its values the same share is kept"
    )
    without: Paths = Field(
        (),
        description="Data sets, as folders that were built or .jsonl files, whose rows are not "
        "chosen again, as they have been labelled",
    )

    @model_validator(mode="after")
    def _one_size(self) -> "SelectionRule":
        if self.rows is not None and "share" in self.model_fields_set:
            raise ValueError("share= and rows= both say how many rows are kept; pass one of them")
        return self

    def scores(self, work: "Workshop", rows: "Sequence[TrainingRow]") -> "Mapping[str, float]":
        """The scores of some rows by id; a row without one is left out.

        The score of a row must not depend on the rows that are asked for with it.
        """
        raise NotImplementedError

    def choose(self, work: "Workshop", pool: "Pool") -> "Chosen":
        """Choose among all rows; by default those with the best scores."""
        from kdbench.builders.selection.parts.pool import best

        scores: dict[str, float] = {}
        for rows in pool.chunks():
            scores |= self.scores(work, rows)
        return best(pool, scores)

    def written(
        self,
        work: "Workshop",  # noqa: ARG002 - for subclasses
        rows: "Iterator[TrainingRow]",
    ) -> "Iterator[tuple[TrainingRow, BuiltRow]]":
        """Yield each row with what is written if it was chosen; by default the row as it is."""
        from kdbench.builders.workshop.questions import kept

        for row in rows:
            yield row, kept(row)

    def build(self, work: "Workshop") -> Iterator[BuiltRow]:
        """Yield the rows that are chosen, in the order of the file."""
        from kdbench.builders.selection.parts.counts import ColumnCounts
        from kdbench.builders.selection.parts.pool import SelectionSize, read_pool

        amount = SelectionSize(self.share, self.rows)
        pool = read_pool(work.rows, amount, self.within, self.without)
        for key, model in work.models.items():
            if model.checkpoint.served is not None:
                raise InputError(
                    f"{key}={model.checkpoint.name}: a server gives no whole distributions, which "
                    f"by={self.by} needs; name a checkpoint, and leave out backend="
                )
        choice = self.choose(work, pool)
        counts = ColumnCounts()
        for row, as_written in self.written(work, iter(work.rows)):
            if row.id not in pool:
                work.remove(row, "in without=")
                continue
            is_kept = row.id in choice.ids
            counts.add(row.fields, is_kept)
            if is_kept:
                yield as_written
                continue
            if row.id not in choice.scores:
                work.remove(row, choice.no_score)
            elif (score := choice.scores[row.id]) is None:
                work.remove(row, "not chosen")
            else:
                work.remove(row, "not chosen", score=score)
        for name, value in [*choice.figures.items(), *counts.figures()]:
            work.figure(name, value)

    def plan(self, rows: int) -> Iterator[tuple[str, str]]:
        """Yield how many rows are kept, and what is asked of models."""
        from kdbench.builders.selection.parts.pool import SelectionSize

        fewer = ", of those that are not in without=" if self.without else ""
        yield "keeps", f"{SelectionSize(self.share, self.rows).of(rows):,} of {rows:,} rows{fewer}"
        yield "asks of models", self.cost

    def default_folder(self, name: str) -> str:
        """A folder for each rule."""
        return f"{name}-{self.by}"


selection_rules: Registry[type[SelectionRule]] = Registry(
    "selection rule", "kdbench.builders.selection", "kdbench.selection_rules", check_kind
)
"""All rules by name."""
