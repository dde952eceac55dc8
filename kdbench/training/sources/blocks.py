"""Blocks: responses that are weighed or selected for some steps ahead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kdbench.training.source import Draw, FromDataset, Source, with_examples
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.rollout import Rollout

Choice = tuple[int, float]  # a place in a block, and the weight of the response there


@dataclass
class FromBlocks(Wrapper):
    """Another source, whose responses a subclass looks at before the student learns them.

    Every `steps` steps the next examples of an endless stream are answered by the source, and
    `choose` says which of the responses are learned in these steps, and with which weights. They
    are divided evenly among the steps, in the order of the choice.

    Attributes:
        source: What responds; always the same response to an example.
        steps: The number of steps of a block.
        share: The share of a block that is learned, from which its size follows.
        chosen: The number of the present block, and what was chosen of it on this process.
        facts: Values of the present block for each line of the log, by name.
    """

    source: Source = field(default_factory=FromDataset)
    steps: int = 50
    share: float = 1.0
    chosen: tuple[int, list[Choice]] = field(default=(-1, []), init=False)
    facts: dict[str, float] = field(default_factory=dict, init=False)
    _rows: tuple[int, list[Rollout]] = field(default=(-1, []), init=False, repr=False)

    def choose(self, draw: Draw, rows: Sequence[Rollout]) -> list[Choice]:
        """What is learned of a block: places in it, with factors of the responses' weights.

        It may put values into `facts`.

        Args:
            draw: Of the block's first step.
            rows: The responses of the block on this process.
        """
        raise NotImplementedError

    def prompts_per_step(self, size: int) -> float:
        """Those of the wrapped source, and those that are not chosen."""
        return self.source.prompts_per_step(size) / self.share

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The present step's part of what was chosen."""
        block, place = divmod(draw.step, self.steps)
        if self._rows[0] != block:
            count = round(draw.size * self.steps / self.share)
            examples = draw.stream(block * count, count)
            given = self.source.rollouts(with_examples(draw, examples))
            self._rows = block, [row for row in given if row.response_ids]
        rows = self._rows[1]
        if self.chosen[0] != block:
            self.facts = {}
            self.chosen = block, self.choose(draw, rows)
        for name, value in self.facts.items():
            draw.note(name, value)
        chosen = self.chosen[1]
        start, end = (len(chosen) * number // self.steps for number in (place, place + 1))
        return [replace(rows[at], weight=rows[at].weight * w) for at, w in chosen[start:end]]

    def state(self) -> dict[str, Any]:
        """What was chosen of the present block, and the wrapped source's state."""
        block, chosen = self.chosen
        return {
            "block": block,
            "chosen": [list(choice) for choice in chosen],
            "facts": self.facts,
            "source": self.source.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.chosen = state["block"], [(at, weight) for at, weight in state["chosen"]]
        self.facts = dict(state["facts"])
        self.source.restore(state["source"])


def everywhere(draw: Draw, values: Sequence[float]) -> tuple[list[float], slice]:
    """The values of all processes, which may differ in number, and where this process's are."""
    own = [float(len(values) * (process == draw.process)) for process in range(draw.processes)]
    counts = [round(count) for count in draw.sum_over_processes(own)]
    start = sum(counts[: draw.process])
    mine, slots = slice(start, start + len(values)), [0.0] * sum(counts)
    slots[mine] = values
    return draw.sum_over_processes(slots), mine
