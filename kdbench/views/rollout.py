"""Responses to learn from, and the tensors of a batch of them, with shift, mask and padding."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Origin = Literal["dataset", "teacher", "student", "pretraining"]


@dataclass(frozen=True)
class Example:
    """A row of the training or validation set.

    Attributes:
        id: Id that is unique in its set.
        prompt_ids: The encoded prompt, never empty.
        response_ids: The encoded first reference, with EOS unless a length limit cut it.
        references: All references, as text.
        context_ids: The tokens before the response, where they are not the prompt's: a tokenizer
            can merge the end of the prompt and the start of the response into one token.
    """

    id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    references: tuple[str, ...] = ()
    context_ids: tuple[int, ...] | None = None

    @property
    def context(self) -> tuple[int, ...]:
        """The tokens after which the example's own response is learned."""
        return self.prompt_ids if self.context_ids is None else self.context_ids


@dataclass(frozen=True)
class Rollout:
    """A prompt and a response that the student learns from.

    Attributes:
        id: Id of the example that was answered.
        prompt_ids: The encoded prompt, never empty.
        response_ids: The encoded response, with EOS if it ended by itself.
        origin: Where the response is from; a teacher-mixed sample counts as the student's.
        recorded: Scalars of each response token, recorded at sampling, by name.
    """

    id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    origin: Origin
    recorded: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def with_recorded(self, **scalars: Sequence[float]) -> "Rollout":
        """Copy the rollout with more recorded scalars, one per response token."""
        added = {name: tuple(values) for name, values in scalars.items()}
        return replace(self, recorded={**self.recorded, **added})

    def as_json(self) -> dict[str, Any]:
        """The rollout ready for JSON, which keeps floats exactly."""
        return {
            "id": self.id,
            "prompt": list(self.prompt_ids),
            "response": list(self.response_ids),
            "origin": self.origin,
            "recorded": {name: list(values) for name, values in self.recorded.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Rollout":
        """The rollout from what `as_json` returned."""
        recorded = {name: tuple(values) for name, values in state["recorded"].items()}
        prompt, response = tuple(state["prompt"]), tuple(state["response"])
        return cls(state["id"], prompt, response, state["origin"], recorded)


def of_dataset(example: Example) -> Rollout:
    """The rollout of an example with its own response."""
    return Rollout(example.id, example.context, example.response_ids, "dataset")


def response_tokens(rollouts: Iterable[Rollout], origins: Collection[str] = ()) -> int:
    """The number of response tokens; with `origins`, only of responses from these."""
    return sum(
        len(rollout.response_ids)
        for rollout in rollouts
        if not origins or rollout.origin in origins
    )


class Batch:
    """The rollouts of one forward pass.

    N is the number of response tokens, ordered by row and then by token. Every view and every
    objective sees the same N positions, whatever prompt a view is shown.

    Args:
        rollouts: One or more rollouts, each with a response.
        device: Device of the tensors.
    """

    def __init__(self, rollouts: Sequence[Rollout], device: "torch.device | str" = "cpu"):
        self.rollouts = list(rollouts)
        self.device = device

    @property
    def lengths(self) -> list[int]:
        """The number of response tokens of each row."""
        return [len(rollout.response_ids) for rollout in self.rollouts]

    @cached_property
    def targets(self) -> "torch.Tensor":
        """The response tokens, int64 of shape (N,)."""
        import torch

        tokens = [token for rollout in self.rollouts for token in rollout.response_ids]
        return torch.tensor(tokens, device=self.device)

    @cached_property
    def mask(self) -> "torch.Tensor":
        """Which cells of (rows, longest response) hold a token, bool."""
        import torch

        lengths = torch.tensor(self.lengths, device=self.device)
        return torch.arange(int(lengths.max()), device=self.device) < lengths[:, None]

    def origins(self) -> list[str]:
        """The origin of each of the N tokens."""
        return [rollout.origin for rollout in self.rollouts for _ in rollout.response_ids]

    def recorded(self) -> dict[str, "torch.Tensor"]:
        """Recorded scalars by name, float32 of shape (N,); NaN where a rollout has none."""
        names = sorted({name for rollout in self.rollouts for name in rollout.recorded})
        return {name: self._recorded(name) for name in names}

    def _recorded(self, name: str) -> "torch.Tensor":
        import torch

        rows = [
            rollout.recorded.get(name, [math.nan] * len(rollout.response_ids))
            for rollout in self.rollouts
        ]
        return torch.tensor([value for row in rows for value in row], device=self.device)

    def inputs(
        self, prompt: Callable[[Rollout], Sequence[int]] | None = None
    ) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        """Input ids, and the places where each of the N tokens is predicted.

        The state at position t predicts token t + 1. So the first response token is predicted at
        the prompt's last token, and the last response token is not an input. Rows are padded on the
        right, where causal attention does not see the padding, so no attention mask is needed.

        Args:
            prompt: Returns the prompt to show instead of the rollout's; it must not be empty.

        Returns:
            Input ids (rows, T), and the row (N,) and column (N,) of each prediction, int64.
        """
        import torch

        prompts = [tuple(prompt(row)) if prompt else row.prompt_ids for row in self.rollouts]
        inputs = [
            prompt_ids + rollout.response_ids[:-1]
            for prompt_ids, rollout in zip(prompts, self.rollouts, strict=True)
        ]
        ids = torch.zeros(len(inputs), max(map(len, inputs)), dtype=torch.long)
        for row, tokens in enumerate(inputs):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        rows = [row for row, length in enumerate(self.lengths) for _ in range(length)]
        columns = [
            len(prompt_ids) - 1 + index
            for prompt_ids, length in zip(prompts, self.lengths, strict=True)
            for index in range(length)
        ]
        return (
            ids.to(self.device),
            torch.tensor(rows, device=self.device),
            torch.tensor(columns, device=self.device),
        )
