"""Sources that wrap another one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.training.source import Draw, Source
from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    from kdbench.training.context import Context


class Wrapper(Source):
    """A source that asks another one for its responses; a subclass may override any part.

    Attributes:
        source: The source that is wrapped.
    """

    source: Source

    @property
    def inner(self) -> Source:
        """The source that is wrapped."""
        return self.source.inner

    @property
    def uses_teacher(self) -> bool:  # type: ignore[override]
        """Whether the teacher takes part in the wrapped source's sampling."""
        return self.source.uses_teacher

    @property
    def mixes_teacher(self) -> bool:  # type: ignore[override]
        """Whether the wrapped source's teacher and student sample together."""
        return self.source.mixes_teacher

    @property
    def gives_samples(self) -> bool:
        """Whether the wrapped source does."""
        return self.source.gives_samples

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the wrapped source."""
        return self.source.views

    @property
    def origins(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Those of the wrapped source."""
        return self.source.origins

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the wrapped source."""
        return self.source.fields

    @property
    def per_example(self) -> int:  # type: ignore[override]
        """That of the wrapped source."""
        return self.source.per_example

    def check(self, train: Sequence[Example]) -> None:
        """Check the training set for the wrapped source."""
        self.source.check(train)

    def begin(self, context: "Context") -> None:
        """Begin the wrapped source."""
        self.source.begin(context)

    def prompts_per_step(self, size: int) -> float:
        """Those of the wrapped source."""
        return self.source.prompts_per_step(size)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """Those of the wrapped source."""
        return self.source.rollouts(draw)

    def state(self) -> dict[str, Any]:
        """The wrapped source's state."""
        return self.source.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the wrapped source."""
        self.source.restore(state)


@dataclass
class WithPretraining(Wrapper):
    """Another source, with plain texts added against forgetting.

    Attributes:
        source: The source of the responses.
        texts: Encoded texts of two or more tokens each.
    """

    source: Source
    texts: Sequence[tuple[int, ...]]

    @property
    def plans_ahead(self) -> bool:  # type: ignore[override]
        """Whether the wrapped source does; the texts ask nobody."""
        return self.source.plans_ahead

    @property
    def origins(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Those of the wrapped source, and the texts."""
        known = self.source.origins
        return None if known is None else (*known, "pretraining")

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The source's responses and as many texts; a text's first token is its prompt."""
        responses = self.source.rollouts(draw)
        uniforms = [draw.own_uniform(f"text {number}") for number in range(len(responses))]
        return responses + [self._text(uniform) for uniform in uniforms]

    def _text(self, uniform: float) -> Rollout:
        number = int(uniform * len(self.texts))
        first, *rest = self.texts[number]
        return Rollout(f"text-{number}", (first,), tuple(rest), "pretraining")

    def __str__(self) -> str:
        return f"{self.source}+pretraining"
