"""A method in training: objective, data source, schedule, and further models and modules."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from typing import Protocol as Interface

from kdbench.errors import InputError
from kdbench.training.companion import Companion
from kdbench.training.objective import (
    CrossEntropy,
    Objective,
    SequenceObjective,
    StepObjective,
    Term,
    as_terms,
)
from kdbench.training.schedule import Constant, Schedule
from kdbench.training.source import FromDataset, Source
from kdbench.training.sources.wrapper import WithPretraining
from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    from kdbench.training.parts import Part

_NAME = re.compile(r"[A-Za-z0-9_-]+")
Encode = Callable[[str], Sequence[int]]


class ViewPrompt(Interface):
    """What a view is asked instead of the student's prompt; `kdbench.training.prompts` has some.

    One with a method `begin(context)` is shown models and data once, before training.
    """

    def __call__(self, rollout: Rollout, encode: Encode) -> Sequence[int]:
        """The tokens of the prompt, one at least.

        Args:
            rollout: The response that the view scores, or is asked for.
            encode: Returns the tokens of a text, without special tokens.
        """


@dataclass(frozen=True)
class Triple:
    """What a method trains with.

    Attributes:
        objective: An objective, or a weighted sum of several.
        source: Where responses come from.
        schedule: What changes during training.
        companions: Further models, each visible as a view of its own name.
        parts: Modules that train with the student, by name.
        prompts: What a view is asked instead of the student's prompt, by the name of the view.
    """

    objective: Objective | Sequence[Term]
    source: Source = field(default_factory=FromDataset)
    schedule: Schedule = field(default_factory=Constant)
    companions: Sequence[Companion] = ()
    parts: "Mapping[str, Part]" = field(default_factory=dict)
    prompts: Mapping[str, ViewPrompt] = field(default_factory=dict)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The objective as a weighted sum."""
        return as_terms(self.objective)

    @property
    def views(self) -> set[str]:
        """Names of all views that the objective needs, without the student."""
        of_objectives = [
            name for term in self.terms for name in (*term.objective.views, *term.objective.hidden)
        ]
        return set(of_objectives) - {"student"}

    @property
    def needs_teacher_model(self) -> bool:
        """Whether the teacher must be in memory in training and share the student's tokenizer."""
        return "teacher" in self.needed_views or self.source.uses_teacher

    @property
    def needed_views(self) -> set[str]:
        """Names of all views that any part of the method needs."""
        of_companions = {name for companion in self.companions for name in companion.views}
        return {*self.views, *of_companions, *self.source.views, *self.schedule.views}

    def check(self) -> None:
        """Check what can be known before anything is loaded.

        Raises:
            InputError: A term has an origin that never occurs, or no meaning; a view does not
                exist, or two have one name; or a prompt is given for no view.
        """
        for term in self.terms:
            self._check_term(term)
        self._check_companions()
        known = {"teacher", *(companion.name for companion in self.companions)}
        if unknown := sorted(self.needed_views - {"student", *known}):
            raise InputError(
                f"the method needs the view '{unknown[0]}', and it has "
                f"{', '.join(['student', *sorted(known)])}; a companion of that name adds it"
            )
        for name in self.prompts:
            if name not in known:
                views = ", ".join(sorted(known))
                raise InputError(f"prompts: there is no view '{name}'; this method has {views}")

    def check_origins(self, rollouts: Sequence[Rollout]) -> None:
        """Check that a step's responses are of the origins that the source names.

        Raises:
            InputError: One is not.
        """
        known = self.source.origins
        for rollout in rollouts:
            if known is not None and rollout.origin not in known:
                raise InputError(
                    f"{type(self.source).__name__} gave a response of origin '{rollout.origin}', "
                    f"and its `origins` are {', '.join(known)}"
                )

    def check_data(self, train: Sequence[Example], valid: Sequence[Example]) -> None:
        """Check training and validation set before a model is loaded.

        Raises:
            InputError: Source or schedule cannot learn from them.
        """
        self.source.check(train)
        self.schedule.check(train, valid)

    def _check_companions(self) -> None:
        names = [companion.name for companion in self.companions]
        for companion in self.companions:
            name = companion.name
            taken = name == "student" or (name == "teacher" and not companion.replaces_teacher)
            if taken or names.count(name) > 1:
                raise InputError(f"two views are called '{name}'; give a companion another name")
            if not _NAME.fullmatch(name):
                raise InputError(f"the view '{name}': use letters, digits, '_' and '-' in its name")
            companion.check()

    def _check_term(self, term: Term) -> None:
        known = self.source.origins
        unknown = set(term.on) - set(known or term.on)
        if unknown:
            raise InputError(
                f"the term '{term}' is on '{min(unknown)}', and its source gives "
                f"{', '.join(known or ())}: it would never learn"
            )
        whole = isinstance(term.objective, SequenceObjective)
        if whole and not isinstance(term.objective, StepObjective) and term.per == "token":
            raise InputError(
                f"the term '{term}' is a loss of whole responses: pass per='sequence' or "
                "per='group'"
            )

    def with_pretraining(self, texts: Sequence[tuple[int, ...]], weight: float) -> "Triple":
        """Add the language-model loss on plain texts.

        Args:
            texts: Encoded texts of two or more tokens each.
            weight: Weight of their cross-entropy.

        Raises:
            InputError: The source does not say which origins its responses have.
        """
        responses = self.source.origins
        if responses is None:
            raise InputError(
                f"pretraining=: {type(self.source).__name__} does not say which origins its "
                "responses have; set its `origins`"
            )
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
        if self.companions:
            texts["companion"] = ", ".join(str(companion) for companion in self.companions)
        if self.parts:
            texts["parts"] = ", ".join(self.parts)
        return texts
