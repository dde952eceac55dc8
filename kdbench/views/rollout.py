"""Responses to learn from, and the tensors of a batch of them: shift, mask and padding are here."""

import math
from collections.abc import Callable, Mapping, Sequence
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
        id: unique in its set.
        prompt_ids: the encoded prompt, never empty.
        response_ids: the encoded first reference, with EOS unless a length limit cut it.
        references: all right answers, as text.
    """

    id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rollout:
    """A prompt and a response that the student learns from.

    Attributes:
        id: of the example that was answered.
        prompt_ids: never empty.
        response_ids: with EOS where the response ended by itself.
        origin: who wrote the response; a teacher-mixed sample counts as the student's.
        recorded: scalars of each response token from when it was sampled, such as `old`.
    """

    id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    origin: Origin
    recorded: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def with_recorded(self, **scalars: Sequence[float]) -> "Rollout":
        """The same rollout with more recorded scalars."""
        added = {name: tuple(values) for name, values in scalars.items()}
        return replace(self, recorded={**self.recorded, **added})

    def as_json(self) -> dict[str, Any]:
        """For a state on disk; floats survive exactly."""
        return {
            "id": self.id,
            "prompt": list(self.prompt_ids),
            "response": list(self.response_ids),
            "origin": self.origin,
            "recorded": {name: list(values) for name, values in self.recorded.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Rollout":
        """What `as_json` gave."""
        recorded = {name: tuple(values) for name, values in state["recorded"].items()}
        prompt, response = tuple(state["prompt"]), tuple(state["response"])
        return cls(state["id"], prompt, response, state["origin"], recorded)


def of_dataset(example: Example) -> Rollout:
    """The example's own response."""
    return Rollout(example.id, example.prompt_ids, example.response_ids, "dataset")


class Batch:
    """Rollouts of one forward pass.

    N is the number of response tokens, in the order of rows and then of tokens; every view and
    every objective sees the same N positions, whatever prompt it was shown.

    Args:
        rollouts: one or more, each with a response.
        device: of the tensors.
    """

    def __init__(self, rollouts: Sequence[Rollout], device: "torch.device | str" = "cpu"):
        self.rollouts = list(rollouts)
        self.device = device

    @property
    def lengths(self) -> list[int]:
        """Response tokens of each row."""
        return [len(one.response_ids) for one in self.rollouts]

    @cached_property
    def targets(self) -> "torch.Tensor":
        """The response tokens, int64 of shape (N,)."""
        import torch

        tokens = [token for one in self.rollouts for token in one.response_ids]
        return torch.tensor(tokens, device=self.device)

    @cached_property
    def mask(self) -> "torch.Tensor":
        """Which cells of (rows, longest response) hold a token, bool."""
        import torch

        lengths = torch.tensor(self.lengths, device=self.device)
        return torch.arange(int(lengths.max()), device=self.device) < lengths[:, None]

    def origins(self) -> list[str]:
        """Who wrote each of the N tokens."""
        return [one.origin for one in self.rollouts for _ in one.response_ids]

    def recorded(self) -> dict[str, "torch.Tensor"]:
        """Recorded scalars, float32 of shape (N,); NaN where a rollout has none."""
        names = sorted({name for one in self.rollouts for name in one.recorded})
        return {name: self._recorded(name) for name in names}

    def _recorded(self, name: str) -> "torch.Tensor":
        import torch

        rows = [one.recorded.get(name, [math.nan] * len(one.response_ids)) for one in self.rollouts]
        return torch.tensor([value for row in rows for value in row], device=self.device)

    def inputs(
        self, prompt: Callable[[Rollout], Sequence[int]] | None = None
    ) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        """Input ids, and where each of the N tokens is predicted.

        The state at position t predicts token t + 1, so the first response token is predicted at
        the prompt's last token and the last response token is no input. Rows are padded on the
        right, where causal attention cannot see the padding; so no attention mask is needed.

        Args:
            prompt: the prompt a view is shown instead; it must not be empty.

        Returns:
            ids (rows, T), rows (N,), columns (N,), int64.
        """
        import torch

        prompts = [tuple(prompt(one)) if prompt else one.prompt_ids for one in self.rollouts]
        whole = [p + r.response_ids[:-1] for p, r in zip(prompts, self.rollouts, strict=True)]
        ids = torch.zeros(len(whole), max(map(len, whole)), dtype=torch.long)
        for row, tokens in enumerate(whole):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        rows = [row for row, length in enumerate(self.lengths) for _ in range(length)]
        columns = [
            len(given) - 1 + place
            for given, length in zip(prompts, self.lengths, strict=True)
            for place in range(length)
        ]
        return (
            ids.to(self.device),
            torch.tensor(rows, device=self.device),
            torch.tensor(columns, device=self.device),
        )
