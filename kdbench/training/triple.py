"""A method in training: objective, data source, schedule, and further models and modules."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
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
from kdbench.views.reading import Way
from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    from kdbench.training.parts import Part

_NAME = re.compile(r"[A-Za-z0-9_-]+")
# Other files NAME.pt of a saved state.
_TAKEN = {"optimizer", "scheduler", "scaler", "parts"}
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
        """Whether the teacher must be in memory in training."""
        return "teacher" in self.needed_views or self.source.uses_teacher

    @property
    def bridges(self) -> Way | None:
        """How the teacher is read if its tokenizer is another one; None if that is refused.

        Nothing but objectives that can read such a teacher, all in one way, may ask for it.
        """
        objectives = [term.objective for term in self.terms]
        ways = {one.bridges for one in objectives if "teacher" in (*one.views, *one.hidden)}
        of_companions = {name for companion in self.companions for name in companion.views}
        others = {*of_companions, *self.source.views, *self.schedule.views, *self.prompts}
        if self.source.uses_teacher or "teacher" in others or len(ways) != 1:
            return None
        return ways.pop()

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
        if not self.terms:
            raise InputError("the method has no term, so it would never learn")
        for term in self.terms:
            _check_kinds(term)
            self._check_term(term)
        self._check_companions()
        for name, part in self.parts.items():
            rate = getattr(part, "rate", None)
            if not isinstance(rate, int | float) or not 0 <= rate < math.inf:
                raise InputError(
                    f"parts: '{name}' is {part!r}: must be Part(build), with a rate >= 0"
                )
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

    def check_rollouts(self, rollouts: Any, vocabulary: int) -> list[Rollout]:
        """The responses that the source gave for a step, without empty ones.

        Args:
            rollouts: What it returned.
            vocabulary: Number of tokens.

        Raises:
            InputError: It returned something else, a response of an origin that it does not name,
                an empty prompt, or a token that does not exist.
        """
        source = type(self.source).__name__
        if not isinstance(rollouts, Iterable):
            raise InputError(
                f"{source}.rollouts returned {type(rollouts).__name__}: must return rollouts"
            )
        known, kept = self.source.origins, []
        for rollout in rollouts:
            if not isinstance(rollout, Rollout):
                raise InputError(
                    f"{source}.rollouts returned {type(rollout).__name__} in its list: must return "
                    "rollouts"
                )
            if not rollout.response_ids:
                continue
            if not rollout.prompt_ids:
                raise InputError(f"{source} gave row '{rollout.id}' an empty prompt")
            for token in (min(rollout.response_ids), max(rollout.response_ids)):
                if not 0 <= token < vocabulary:
                    raise InputError(
                        f"{source} gave row '{rollout.id}' a response with the token {token}, and "
                        f"the vocabulary has {vocabulary} tokens"
                    )
            for name, values in rollout.recorded.items():
                if len(values) != len(rollout.response_ids):
                    raise InputError(
                        f"{source} recorded {len(values)} values of '{name}' for row "
                        f"'{rollout.id}', whose response has {len(rollout.response_ids)} tokens"
                    )
            kept.append(rollout)
            if known is not None and rollout.origin not in known:
                raise InputError(
                    f"{type(self.source).__name__} gave a response of origin '{rollout.origin}', "
                    f"and its `origins` are {', '.join(known)}"
                )
        return kept

    def check_data(self, train: Sequence[Example], valid: Sequence[Example]) -> None:
        """Check training and validation set before a model is loaded.

        Raises:
            InputError: Source or schedule cannot learn from them.
        """
        self.source.check(train)
        self.schedule.check(train, valid)

    def _check_companions(self) -> None:
        for companion in self.companions:
            if not isinstance(companion, Companion):
                raise InputError(f"companions: {companion!r} is no companion, such as Frozen(name)")
        names = [companion.name for companion in self.companions]
        for companion in self.companions:
            name = companion.name
            taken = name == "student" or (name == "teacher" and not companion.replaces_teacher)
            if taken or names.count(name) > 1:
                raise InputError(f"two views are called '{name}'; give a companion another name")
            if not _NAME.fullmatch(name):
                raise InputError(f"the view '{name}': use letters, digits, '_' and '-' in its name")
            if name.casefold() in _TAKEN:
                raise InputError(
                    f"the view '{name}': a saved state has a file of that name; give the companion "
                    "another name"
                )
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


def _check_kinds(term: object) -> None:
    """Check what a term is made of.

    Raises:
        InputError: It is no term, or a part of it has no meaning.
    """
    if not isinstance(term, Term) or not isinstance(term.objective, Objective):
        raise InputError(f"objective: {term!r} is no term; wrap an objective as Term(objective)")
    weight, name = term.weight, type(term.objective).__name__
    if not isinstance(weight, str | int | float) or (
        not isinstance(weight, str) and not math.isfinite(weight)
    ):
        raise InputError(
            f"the weight {weight!r} of {name}: must be a finite number, or the name of a value of "
            "the schedule"
        )
    if term.per not in ("token", "sequence", "group"):
        raise InputError(f"per={term.per!r} of {name}: must be token, sequence or group")
    on: object = term.on
    if isinstance(on, str):
        raise InputError(f"on={on!r} of {name}: must be a tuple of origins, ({on!r},)")
    views: object = term.objective.views
    if isinstance(views, str):
        raise InputError(f"{name}.views is the text {views!r}: must be a tuple, ({views!r},)")
