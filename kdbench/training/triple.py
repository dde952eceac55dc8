"""A method at work: objective, data source, schedule, and perhaps a model beside the student."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kdbench.training.companion import Companion
from kdbench.training.objective import CrossEntropy, Objective, Term, as_terms
from kdbench.training.schedule import Constant, Schedule
from kdbench.training.source import FromDataset, Source, WithPretraining
from kdbench.views.rollout import Origin


@dataclass(frozen=True)
class Triple:
    """What a method trains with.

    Attributes:
        objective: one, or a weighted sum.
        source: where responses come from.
        schedule: what changes during training.
        companion: a model that is trained or kept beside the student, as a further view.
    """

    objective: Objective | Sequence[Term]
    source: Source = field(default_factory=FromDataset)
    schedule: Schedule = field(default_factory=Constant)
    companion: Companion | None = None

    @property
    def terms(self) -> tuple[Term, ...]:
        """The objective as a weighted sum."""
        return as_terms(self.objective)

    @property
    def views(self) -> set[str]:
        """Names of all views that the objective looks through."""
        return {name for term in self.terms for name in term.objective.views}

    @property
    def needs_teacher_model(self) -> bool:
        """Whether the teacher must be in memory during training, with the student's tokenizer."""
        return "teacher" in self.views or self.source.uses_teacher or self.companion is not None

    def with_pretraining(self, texts: Sequence[tuple[int, ...]], weight: float) -> "Triple":
        """The same with the language-model loss on plain texts beside it."""
        others: tuple[Origin, ...] = ("dataset", "teacher", "student")
        terms = [term if term.on else replace(term, on=others) for term in self.terms]
        added = Term(CrossEntropy(), weight, on=("pretraining",))
        return replace(self, objective=(*terms, added), source=WithPretraining(self.source, texts))

    def describe(self) -> dict[str, str]:
        """In words, for lists and run cards."""
        words = {
            "objective": " + ".join(str(term) for term in self.terms),
            "source": str(self.source),
            "schedule": str(self.schedule),
        }
        return words | ({"companion": str(self.companion)} if self.companion else {})
