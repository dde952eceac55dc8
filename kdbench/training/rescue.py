"""What a view is shown with a failed response: a right one of the same group."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kdbench.training.context import Context
from kdbench.training.prompts import Prefixed
from kdbench.training.sources.rescues import SOLUTION
from kdbench.training.triple import Encode
from kdbench.views.rollout import Example, Rollout


def solution_of(example: Example) -> str:
    """The right response that an example has as context; empty if there is none."""
    return str(example.fields.get(SOLUTION, ""))


@dataclass
class RescuePrompt(Prefixed):
    """The right response of the group before the question.

    A row of the data set, which has none, is shown as many tokens as a context can have, so that
    the check of the positions before the first step covers what is sampled later.
    """

    _longest: int = field(default=0, init=False, repr=False)

    def begin(self, context: Context) -> None:
        """Learn the form of the prompts, and how long a response can be."""
        super().begin(context)
        self._longest = context.sampling.max_new_tokens

    def __call__(self, rollout: Rollout, encode: Encode) -> Sequence[int]:
        """The context and the prompt."""
        if rollout.origin != "dataset":
            return super().__call__(rollout, encode)
        words = len(encode(self.template.replace("{}", "")))
        filled = min(self.limit_tokens, words + self._longest)
        return (*rollout.prompt_ids, *rollout.prompt_ids[-1:] * filled)
