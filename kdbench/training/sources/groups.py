"""Groups: several samples of each prompt, with rewards of a verifier and advantages from these.

Source: GRPO (Shao et al. 2024, arXiv 2402.03300) divides by the standard deviation of the group;
Dr. GRPO (Liu et al. 2025, arXiv 2503.20783) does not. RLOO (Ahmadian et al. 2024, arXiv 2402.14740)
compares with the mean of the others. DAPO (Yu et al. 2025, arXiv 2503.14476) leaves out groups
whose responses are all right or all wrong; it then samples more prompts, which is not done here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kdbench.errors import InputError
from kdbench.training.source import Draw, Source
from kdbench.training.verifiers import Verifier, number, reward_of
from kdbench.views.rollout import Example, Rollout

_CONSTANT = 1e-8  # rewards whose standard deviation is smaller differ by rounding alone


@dataclass
class FromGroups(Source):
    """Groups of samples of a view, with their advantages.

    Each token has recorded its response's `reward` and `advantage`, and `log_sampled`, the
    log-probability under the view when it was sampled, for the ratio of a clipped loss. The log has
    the mean `reward`, the share of groups with a right response (reward above 0) as
    `groups/solved`, and the share whose rewards differ as `groups/with_signal`.

    Attributes:
        verifier: The reward of a response.
        samples: G, the number of responses to each prompt.
        scaled: Whether the advantage is divided by the group's standard deviation.
        deviation: Which one: that of the `population`, or of a `sample`, with G-1 for G.
        leave_one_out: Whether a response is compared with the others' mean, and not with that of
            all; instead of scaling, for which `scaled` must be false.
        skip_constant: Whether groups of equal rewards, which have no advantage, are left out. A
            step may then be empty.
        passes: Number of steps in which a set of groups is learned.
        view: Who answers.
        pending: The sets of groups that are still to be learned.
        drawn: Number of prompts taken so far from the stream of this process.
    """

    verifier: Verifier
    samples: int = 4
    scaled: bool = True
    leave_one_out: bool = False
    skip_constant: bool = False
    passes: int = 1
    view: str = "student"
    deviation: Literal["population", "sample"] = "population"
    pending: list[list[Rollout]] = field(default_factory=list, init=False)
    drawn: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise InputError("FromGroups: a group has two samples or more, or no advantage")
        if self.passes < 1:
            raise InputError("FromGroups: passes= must be 1 or more")
        if self.leave_one_out and self.scaled:
            raise InputError("FromGroups: leave_one_out=True goes with scaled=False")

    @property
    def origins(self) -> tuple[str, ...]:  # type: ignore[override]
        """The view that answers."""
        return (self.view,)

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The view that answers."""
        return (self.view,)

    @property
    def per_example(self) -> int:  # type: ignore[override]
        """The size of a group."""
        return self.samples

    @property
    def plans_ahead(self) -> bool:  # type: ignore[override]
        """Whether each step samples, and samples the student."""
        return self.passes == 1 and self.view == "student"

    def check(self, train: Sequence[Example]) -> None:
        """Check that every row can be verified.

        Raises:
            InputError: The verifier compares numbers, and the references of a row have none.
        """
        if self.verifier is number:
            for example in train:
                number(example, "")

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The groups of the step: new ones, or the last ones once more."""
        if not self.pending:
            self.pending = [self._sampled(draw)] * self.passes
        groups, *self.pending = self.pending
        return groups

    def prompts_per_step(self, size: int) -> float:
        """A prompt serves `passes` steps."""
        return size / self.passes

    def _prompts(self, draw: Draw) -> Sequence[Example]:
        """Those of the step; with several passes others in their place, so that none is skipped."""
        if self.passes == 1:
            return draw.examples
        prompts = draw.stream(self.drawn, draw.size)
        self.drawn += len(prompts)
        return prompts

    def _sampled(self, draw: Draw) -> list[Rollout]:
        prompts = self._prompts(draw)
        sampled = draw.responses(prompts, self.view, self.samples)
        kept: list[Rollout] = []
        values: list[tuple[float, float]] = []
        for place, example in enumerate(prompts):
            start = place * self.samples
            group = sampled[start : start + self.samples]
            rewards = [reward_of(self.verifier, example, draw.text(one)) for one in group]
            self._note(draw, rewards)
            own = group_advantages(rewards, self.scaled, self.leave_one_out, self.deviation)
            if any(own) or not self.skip_constant:
                kept += [replace(one, group=f"group {place}") for one in group]
                values += zip(rewards, own, strict=True)
        log_sampled = draw.target_log_probs(kept, self.view)
        return [
            rollout.with_recorded(
                reward=[reward] * len(own), advantage=[advantage] * len(own), log_sampled=own
            )
            for rollout, (reward, advantage), own in zip(kept, values, log_sampled, strict=True)
        ]

    @staticmethod
    def _note(draw: Draw, rewards: Sequence[float]) -> None:
        draw.note("reward", sum(rewards) / len(rewards))
        draw.note("groups/solved", float(max(rewards) > 0))
        draw.note("groups/with_signal", float(min(rewards) != max(rewards)))

    def state(self) -> dict[str, Any]:
        """The groups that are still to be learned, once, and how often."""
        groups = self.pending[0] if self.pending else []
        left = len(self.pending)
        return {"groups": [one.as_json() for one in groups], "left": left, "drawn": self.drawn}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the groups of a state."""
        groups = [Rollout.from_json(one) for one in state["groups"]]
        self.pending, self.drawn = [groups] * state["left"], state["drawn"]

    def __str__(self) -> str:
        name = getattr(self.verifier, "__name__", type(self.verifier).__name__)
        passes = f", {self.passes} passes" if self.passes > 1 else ""
        sample = ", sample deviation" if self.deviation == "sample" else ""
        return f"{self.view} in groups of {self.samples} ({name}{passes}{sample})"


def group_advantages(
    rewards: Sequence[float],
    scaled: bool = True,
    leave_one_out: bool = False,
    deviation: Literal["population", "sample"] = "population",
) -> list[float]:
    """The advantage of each response of a group.

    Args:
        rewards: The rewards of the group, two or more.
        scaled: Whether it is divided by the standard deviation of the rewards.
        leave_one_out: Whether each reward is compared with the mean of the others.
        deviation: Which standard deviation: that of the population, or of a sample.

    Returns:
        The advantages, which have the sum 0; all are 0 if the rewards are equal.
    """
    size, mean = len(rewards), math.fsum(rewards) / len(rewards)
    differences = [reward - mean for reward in rewards]
    degrees = size - 1 if deviation == "sample" else size
    spread = math.sqrt(math.fsum(value * value for value in differences) / degrees)
    if spread < _CONSTANT:
        return [0.0] * size
    factor = size / (size - 1) if leave_one_out else 1.0
    return [value * factor / (spread if scaled else 1.0) for value in differences]
