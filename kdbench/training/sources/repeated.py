"""The responses of another source, each set of which is learned in several steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdbench.errors import InputError
from kdbench.training.source import Draw, FromStudent, Source, with_examples
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.rollout import Rollout


@dataclass
class Repeated(Wrapper):
    """Another source's samples with `log_sampled` of each token, for the ratio of its weight.

    Attributes:
        source: What samples.
        passes: Number of steps in which a set of responses is learned.
        view: Whose log-probability of the token is recorded, right after the sampling.
        pending: The sets that are still to be learned.
        drawn: Number of prompts taken so far from the stream of this process.
    """

    source: Source = field(default_factory=FromStudent)
    passes: int = 1
    view: str = "student"
    pending: list[list[Rollout]] = field(default_factory=list, init=False)
    drawn: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise InputError("Repeated: passes= must be 1 or more")

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the wrapped source, and whose log-probability is recorded."""
        return (*self.source.views, self.view)

    @property
    def plans_ahead(self) -> bool:  # type: ignore[override]
        """Whether the wrapped source does, and each step samples."""
        return self.passes == 1 and self.source.plans_ahead

    def prompts_per_step(self, size: int) -> float:
        """A prompt serves `passes` steps."""
        return self.source.prompts_per_step(size) / self.passes

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The responses of the step: new ones, or the last ones once more."""
        if not self.pending:
            self.pending = [self._sampled(draw)] * self.passes
        rollouts, *self.pending = self.pending
        return rollouts

    def _sampled(self, draw: Draw) -> list[Rollout]:
        examples = draw.examples
        if self.passes > 1:  # other prompts than those of the steps, of which most are skipped
            examples = draw.stream(self.drawn, draw.size)
            self.drawn += len(examples)
        rollouts = self.source.rollouts(with_examples(draw, examples))
        return [
            rollout.with_recorded(log_sampled=values)
            for rollout, values in zip(
                rollouts, draw.target_log_probs(rollouts, self.view), strict=True
            )
        ]

    def state(self) -> dict[str, Any]:
        """The set that is still to be learned, once, and how often."""
        rollouts = [one.as_json() for one in self.pending[0]] if self.pending else []
        left = len(self.pending)
        source = self.source.state()
        return {"rollouts": rollouts, "left": left, "drawn": self.drawn, "source": source}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the responses of a state."""
        rollouts = [Rollout.from_json(one) for one in state["rollouts"]]
        self.pending, self.drawn = [rollouts] * state["left"], state["drawn"]
        self.source.restore(state["source"])

    def __str__(self) -> str:
        return f"{self.source} ({self.passes} passes)" if self.passes > 1 else str(self.source)
