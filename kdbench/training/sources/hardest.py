"""Edited prompts on which the student is farthest from a sure teacher."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdbench.training.edits import PromptEditor
from kdbench.training.source import Draw, FromDataset, Source, with_examples
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    from kdbench.training.context import Context


@dataclass
class FromHardest(Wrapper):
    """Another source's responses, and the teacher's to edited prompts in a share of the rows.

    Each prompt is edited in several ways, and the teacher answers all. Of the edits whose answer it
    finds at least as likely as their median, one is learned, by the divergence KL(p‖q) on it.

    Attributes:
        source: What responds to the other prompts.
        share: The share of the rows whose prompt is edited.
        edits: The number of edits of a prompt.
        temperature: Of the softmax over the divergences by which one is drawn; 0 takes the largest.
    """

    source: Source = field(default_factory=FromDataset)
    share: float = 0.5
    edits: int = 4
    temperature: float = 0.0

    @property
    def uses_teacher(self) -> bool:  # type: ignore[override]
        """The teacher answers."""
        return True

    @property
    def gives_samples(self) -> bool:
        """The teacher's."""
        return True

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """Who scores, and the views of the other source."""
        return (*self.source.views, "teacher", "student")

    @property
    def origins(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Those of the other source, and the teacher's."""
        known = self.source.origins
        return None if known is None else (*known, "teacher")

    def begin(self, context: "Context") -> None:
        """Learn the form of the prompts."""
        super().begin(context)
        self._editor = PromptEditor(context.train, context.tokenizer)
        self._longest = max(len(example.prompt_ids) for example in context.train)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """Edited prompts with the teacher's responses, and the others as they are."""
        plain: list[Example] = []
        edited: list[list[Example]] = []
        for example in draw.examples:
            is_edited = draw.uniform(f"edit {example.id}") < self.share
            found = self._edits(example, draw) if is_edited else []
            if found:
                edited.append(found)
            else:
                plain.append(example)
        chosen = self._hardest(edited, draw)
        return [*self.source.rollouts(with_examples(draw, plain)), *chosen]

    def _edits(self, example: Example, draw: Draw) -> list[Example]:
        """Different edits of an example's prompt."""
        found: dict[tuple[int, ...], Example] = {}
        for number in range(self.edits):
            edit = self._editor.edited(
                example, str(number), lambda name: draw.uniform(f"{name} of {example.id}")
            )
            if edit is None or len(edit.prompt_ids) > self._longest:
                continue
            if edit.prompt_ids != example.prompt_ids:
                found.setdefault(edit.prompt_ids, edit)
        return list(found.values())

    def _hardest(self, edited: Sequence[Sequence[Example]], draw: Draw) -> list[Rollout]:
        """One answered edit of each prompt."""
        answers = iter(draw.responses([edit for edits in edited for edit in edits], "teacher"))
        groups = [[row for _ in edits if (row := next(answers)).response_ids] for edits in edited]
        rows = [row for group in groups for row in group]
        divergences = iter(_means(draw.divergences(rows, "teacher")))
        confidences = iter(_means(draw.target_log_probs(rows, "teacher")))
        chosen, means = [], []
        for group in filter(None, groups):
            kl = [next(divergences) for _ in group]
            sure = [next(confidences) for _ in group]
            place = hardest(kl, sure, self.temperature, draw.uniform(f"choice {group[0].id}"))
            chosen.append(group[place])
            means.append((kl[place], math.fsum(kl) / len(kl)))
        if chosen:
            draw.note("hardest/divergence", math.fsum(kl for kl, _ in means) / len(means))
            draw.note("hardest/of_all", math.fsum(mean for _, mean in means) / len(means))
        return chosen

    def __str__(self) -> str:
        return f"hardest of {self.edits} edits({self.share:g})+{self.source}"


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [math.fsum(row) / len(row) for row in rows]


def hardest(
    divergences: Sequence[float],
    confidences: Sequence[float],
    temperature: float = 0.0,
    uniform: float = 0.0,
) -> int:
    """The place of the edit that is learned.

    Args:
        divergences: KL(p‖q) of each edit, nats.
        confidences: The teacher's mean log-probability of its answer; below their median, an edit
            is not taken.
        temperature: Of the softmax over the divergences; 0 takes the largest.
        uniform: A number of [0, 1) that decides.
    """
    median = sorted(confidences)[len(confidences) // 2]
    places = [place for place, value in enumerate(confidences) if value >= median]
    shares = choice_shares([divergences[place] for place in places], temperature)
    rest = uniform
    for place, share in zip(places, shares, strict=True):
        rest -= share
        if rest < 0:
            return place
    return max(places, key=lambda place: divergences[place])  # what rounding leaves of 1


def choice_shares(divergences: Sequence[float], temperature: float) -> list[float]:
    """The probability of each edit: softmax(KL / temperature); at 0 all is on the largest."""
    largest = max(divergences)
    if temperature == 0:
        return [float(place == divergences.index(largest)) for place in range(len(divergences))]
    powers = [math.exp((value - largest) / temperature) for value in divergences]
    return [power / math.fsum(powers) for power in powers]
