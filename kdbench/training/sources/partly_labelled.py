"""Rows of which few have a known response, and responses that a model writes to the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kdbench.errors import InputError
from kdbench.training.labels import LabelWords, is_labelled, label_words
from kdbench.training.source import Draw, Source, sample_without_repetition
from kdbench.views.rollout import Example, Rollout, of_dataset

if TYPE_CHECKING:
    from kdbench.training.context import Context


@dataclass
class FromPartlyLabelled(Source):
    """Labelled rows with their responses, origin `dataset`, and others, origin `unlabelled`.

    Nothing of the response of an unlabelled row is read. With label words it is answered by the
    tokens before the label and any word; otherwise by a new sample of a model.

    Attributes:
        flag: The field that is 1 in labelled rows and 0 in the others.
        label: The field of the label; None for free text.
        share: The share of labelled rows in each step.
        view: Who answers unlabelled prompts.
    """

    origins = ("dataset", "unlabelled")
    flag: str = "labelled"
    label: str | None = None
    share: float = 0.5
    view: str = "teacher"
    words: LabelWords | None = None

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The flag; a label is needed in labelled rows alone."""
        return (self.flag,)

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """Who answers."""
        return () if self.label is not None else (self.view,)

    def check(self, train: Sequence[Example]) -> None:
        """Check flags and labels.

        Raises:
            InputError: No row is labelled, or the labels are no words.
        """
        if sum(is_labelled(example, self.flag) for example in train) == 0:
            raise InputError(f"no training row has {self.flag}=1: there is no label to learn")
        if self.label is not None:
            label_words(train, self.label, self.flag)

    def begin(self, context: "Context") -> None:
        """Find the words."""
        if self.label is not None:
            self.words = label_words(context.train, self.label, self.flag)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """A share of labelled rows, drawn anew, and unlabelled ones of this step."""
        pool = draw.pool(lambda example: is_labelled(example, self.flag))
        known = sample_without_repetition(
            pool, round(self.share * draw.size), lambda name: draw.own_uniform(f"labelled {name}")
        )
        others = [example for example in draw.examples if not is_labelled(example, self.flag)]
        return [of_dataset(one) for one in known] + self._answered(
            others[: draw.size - len(known)], draw
        )

    def _answered(self, examples: Sequence[Example], draw: Draw) -> list[Rollout]:
        if self.words is None:
            given = draw.responses(examples, self.view) if examples else []
            return [replace(rollout, origin="unlabelled") for rollout in given]
        response = (*self.words.before, self.words.tokens[0])
        return [
            replace(of_dataset(one), response_ids=response, origin="unlabelled") for one in examples
        ]

    def __str__(self) -> str:
        responses = "" if self.label is not None else f", others by the {self.view}"
        return f"labelled({self.share:g}){responses}"
