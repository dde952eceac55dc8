"""The base class of analyses."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from kdbench.config.analysing import AnalysisKeys

if TYPE_CHECKING:
    from kdbench.analyses.core.bench import AnalysisBench, AnalysisWorld
    from kdbench.analyses.core.filled import FilledRows
    from kdbench.store.conclusions import Conclusion


class Analysis(AnalysisKeys):
    """An analysis. The fields of a subclass are keys of `kdbench analyse NAME`.

    Most analyses fill one table: they define `table`, what to train and measure, and `answer`, what
    follows from the results. One that needs several tables, or other work, defines `run`.

    Attributes:
        title: Its title.
        question: The question that it answers, a sentence.
        paper: Who asked it, and where.
        basis: What the file was written from: `paper`, `abstract`, `third-party notes`, and so on.
        needs_teacher: Whether models of one's own must include a teacher.
        world_kind: World that is made if none is given, a name of `kdbench.toy.worlds`.
    """

    title: ClassVar[str]
    question: ClassVar[str]
    paper: ClassVar[str]
    basis: ClassVar[str] = ""
    needs_teacher: ClassVar[bool] = True
    world_kind: ClassVar[str] = "toy"

    def table(self, world: "AnalysisWorld") -> Mapping[str, Any]:
        """The table to fill, with the keys of a table's file except those that the bench sets.

        The bench sets `title`, `teacher`, `student`, `data`, `train_seeds` and the folders. A
        table may set the first five itself.

        Args:
            world: Models and data.
        """
        raise NotImplementedError

    def answer(self, filled: "FilledRows") -> "Conclusion":
        """What follows from the filled table; `self.conclude` makes it.

        Args:
            filled: Results, checkpoints and training logs of all rows and seeds.
        """
        raise NotImplementedError

    def run(self, bench: "AnalysisBench") -> "Conclusion":
        """Train and measure, then conclude; by default with one table.

        All work goes through the bench, so that a repeated call does nothing twice.

        Args:
            bench: Where tables are filled and files are kept.
        """
        return self.answer(bench.fill(self.table(bench.world)))

    def conclude(self, *sentences: str, **parts: Any) -> "Conclusion":
        """A conclusion of this analysis.

        Args:
            sentences: What was found, one or two sentences.
            parts: `tables`, `panels` and `notes` of the `Conclusion`.
        """
        from kdbench.analyses.core.settings import deciding_settings
        from kdbench.store.conclusions import Conclusion

        return Conclusion(
            name="",  # which the one who runs it knows
            title=self.title,
            question=self.question,
            paper=self.paper,
            basis=self.basis,
            settings=deciding_settings(self),
            sentences=sentences,
            **parts,
        )
