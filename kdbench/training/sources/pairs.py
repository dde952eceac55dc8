"""Pairs: two responses to each prompt, the better of origin `chosen`, the other `rejected`.

The two share a group, so that no micro-batch and no process has one without the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kdbench.errors import InputError
from kdbench.training.source import Draw, Source
from kdbench.training.verifiers import Verifier, reward_of
from kdbench.views.rollout import Example, Rollout, of_dataset, weight_of

CHOSEN, REJECTED = "chosen", "rejected"
DATASET = "dataset"


class FromPairs(Source):
    """The pairs of the training set: its columns `chosen` and `rejected`."""

    origins = (CHOSEN, REJECTED)
    fields = (CHOSEN, REJECTED)
    per_example = 2

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """Two responses per example."""
        return in_pairs(
            [[_of_column(example, name) for name in self.fields] for example in draw.examples]
        )

    def __str__(self) -> str:
        return "pairs"


class SamplesAndChosen(Source):
    """New samples of the student, and the better response of each pair."""

    origins = ("student", CHOSEN)
    fields = (CHOSEN, REJECTED)  # of a row with pairs, both are read
    per_example = 2

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """Two responses per example, which are no group: each counts by itself."""
        chosen = [_of_column(example, CHOSEN) for example in draw.examples]
        return draw.student_responses(draw.examples) + chosen

    def __str__(self) -> str:
        return "student+chosen"


@dataclass
class GeneratedPairs(Source):
    """Pairs of two models' responses, or of a model's and the data set's.

    Attributes:
        chosen: The view whose responses are better; `dataset` takes the first reference.
        rejected: The view whose responses are worse, or `dataset`.
        verifier: If given, the response with the larger reward is the chosen one, whoever wrote it,
            and pairs with equal rewards are left out.
    """

    chosen: str = "teacher"
    rejected: str = "student"
    verifier: Verifier | None = None

    origins = (CHOSEN, REJECTED)
    per_example = 2

    def __post_init__(self) -> None:
        if self.chosen == self.rejected and (self.verifier is None or self.chosen == DATASET):
            raise InputError(
                f"GeneratedPairs: both responses are from '{self.chosen}': name another view, or "
                "give a verifier that ranks two samples of a model"
            )

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The two views, without the data set."""
        return tuple(sorted({self.chosen, self.rejected} - {DATASET}))

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """Two responses per example, if one of them is better."""
        if self.chosen == self.rejected:
            both = self._two_of(draw)
        else:
            both = list(
                zip(self._of(draw, self.chosen), self._of(draw, self.rejected), strict=True)
            )
        if self.verifier is not None:
            both = self._ranked(draw, both, self.verifier)
        return in_pairs(both)

    def _of(self, draw: Draw, view: str) -> list[Rollout]:
        if view == DATASET:
            return [of_dataset(example) for example in draw.examples]
        return draw.responses(draw.examples, view)

    def _two_of(self, draw: Draw) -> list[tuple[Rollout, Rollout]]:
        """Two responses of the same view, which only a verifier can rank."""
        samples = draw.responses(draw.examples, self.chosen, samples=2)
        return list(zip(samples[::2], samples[1::2], strict=True))

    @staticmethod
    def _ranked(
        draw: Draw, pairs: Sequence[tuple[Rollout, Rollout]], verifier: Verifier
    ) -> list[tuple[Rollout, Rollout]]:
        ranked = []
        for example, pair in zip(draw.examples, pairs, strict=True):
            rewards = [reward_of(verifier, example, draw.text(rollout)) for rollout in pair]
            if rewards[0] != rewards[1]:
                ranked.append(pair if rewards[0] > rewards[1] else pair[::-1])
        if pairs:
            draw.note("pairs/ranked", len(ranked) / len(pairs))
        return ranked

    def __str__(self) -> str:
        by = "" if self.verifier is None else " by verifier"
        return f"pairs({self.chosen} over {self.rejected}{by})"


def in_pairs(both: Sequence[Sequence[Rollout]]) -> list[Rollout]:
    """Chosen and rejected responses with their origins and groups.

    Args:
        both: The better and the worse response of each pair. A pair with an empty response is left
            out as a whole.
    """
    return [
        replace(rollout, origin=origin, group=f"pair {number}")
        for number, pair in enumerate(both)
        if all(rollout.response_ids for rollout in pair)
        for rollout, origin in zip(pair, (CHOSEN, REJECTED), strict=True)
    ]


def _of_column(example: Example, name: str) -> Rollout:
    if name not in example.replies:
        raise InputError(f"row '{example.id}' has no response '{name}'")
    context, response = example.replies[name]
    return Rollout(example.id, context, response, name, example=example, weight=weight_of(example))
