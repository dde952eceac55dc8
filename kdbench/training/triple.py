"""A method in training: objective, data source, schedule, and a companion if there is one."""

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
        objective: An objective, or a weighted sum of several.
        source: Where responses come from.
        schedule: What changes during training.
        companion: A second model, visible as a further view.
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
        """Names of all views that the objective needs."""
        return {name for term in self.terms for name in term.objective.views}

    @property
    def needs_teacher_model(self) -> bool:
        """Whether the teacher must be in memory in training and share the student's tokenizer."""
        return "teacher" in self.views or self.source.uses_teacher or self.companion is not None

    def with_pretraining(self, texts: Sequence[tuple[int, ...]], weight: float) -> "Triple":
        """Add the language-model loss on plain texts.

        Args:
            texts: Encoded texts of two or more tokens each.
            weight: Weight of their cross-entropy.
        """
        responses: tuple[Origin, ...] = ("dataset", "teacher", "student")
        terms = [term if term.on else replace(term, on=responses) for term in self.terms]
        added = Term(CrossEntropy(), weight, on=("pretraining",))
        return replace(self, objective=(*terms, added), source=WithPretraining(self.source, texts))

    def describe(self) -> dict[str, str]:
        """Text descriptions of the parts, for lists and run cards."""
        texts = {
            "objective": " + ".join(str(term) for term in self.terms),
            "source": str(self.source),
            "schedule": str(self.schedule),
        }
        return texts | ({"companion": str(self.companion)} if self.companion else {})
