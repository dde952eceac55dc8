"""Responses to learn from, and the tensors of a batch of them, with shift, mask and padding."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch

# Where a response is from. kdbench's own are `dataset`, `teacher`, `student` and `pretraining`; a
# source may give others, such as `chosen` and `rejected`.
Origin = str


class Alternative(NamedTuple):
    """A further response to an example, encoded like its first reference.

    Attributes:
        context: The tokens before it.
        response: Its tokens, with EOS unless a length limit cut it.
    """

    context: tuple[int, ...]
    response: tuple[int, ...]


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
        fields: The other columns of its row, such as `domain` or `weight`, as JSON values.
        replies: The responses of a pair, `chosen` and `rejected`, if the method needs them.
    """

    id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    references: tuple[str, ...] = ()
    context_ids: tuple[int, ...] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    replies: Mapping[str, Alternative] = field(default_factory=dict)

    @property
    def context(self) -> tuple[int, ...]:
        """The tokens after which the example's own response is learned."""
        return self.prompt_ids if self.context_ids is None else self.context_ids

    def field(self, name: str) -> Any:
        """The value of another column of its row.

        Raises:
            InputError: The row has no such column.
        """
        if name not in self.fields:
            raise InputError(
                f"row '{self.id}' has no field '{name}'; it has {', '.join(self.fields) or 'none'}"
            )
        return self.fields[name]

    def as_json(self) -> dict[str, Any]:
        """The example ready for JSON."""
        return {
            "id": self.id,
            "prompt": list(self.prompt_ids),
            "response": list(self.response_ids),
            "references": list(self.references),
            "context": None if self.context_ids is None else list(self.context_ids),
            "fields": dict(self.fields),
            "replies": {name: [list(ids) for ids in reply] for name, reply in self.replies.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Example":
        """The example from what `as_json` returned."""
        context = state["context"]
        return cls(
            state["id"],
            tuple(state["prompt"]),
            tuple(state["response"]),
            tuple(state["references"]),
            None if context is None else tuple(context),
            state["fields"],
            {
                name: Alternative(tuple(before), tuple(response))
                for name, (before, response) in state.get("replies", {}).items()
            },
        )


@dataclass(frozen=True)
class Mix:
    """What a row's input embeddings are mixed with; see `kdbench.views.mixing`.

    Attributes:
        partner: The other row, which is not mixed itself.
        share: λ, the row's own share of the mixture, 0 to 1.
    """

    partner: "Rollout"
    share: float

    def as_json(self) -> dict[str, Any]:
        """The mixture ready for JSON."""
        return {"partner": self.partner.as_json(), "share": self.share}


@dataclass(frozen=True)
class Rollout:
    """A prompt and a response that the student learns from.

    Attributes:
        id: Id of the example that was answered.
        prompt_ids: The encoded prompt, never empty.
        response_ids: The encoded response, with EOS if it ended by itself.
        origin: Where the response is from; a teacher-mixed sample counts as the student's.
        recorded: Scalars of each response token, recorded at sampling, by name.
        example: The example that was answered; None for plain texts.
        group: A name that the responses of a group share, such as the two of a pair. A group is
            never split over micro-batches.
        weight: Factor of the loss of its tokens.
        mix: What its input embeddings are mixed with, on every view; None leaves them.
        packed: Whether those of its group share a row of the forward pass, none seeing another.
    """

    id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    origin: Origin
    recorded: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    example: Example | None = field(default=None, repr=False, compare=False)
    group: str | None = None
    weight: float = 1.0
    mix: Mix | None = None
    packed: bool = False

    def answered(self, response_ids: Sequence[int]) -> "Rollout":
        """The same rollout with a response."""
        return replace(self, response_ids=tuple(response_ids))

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
            "example": self.example and self.example.as_json(),
            "group": self.group,
            "weight": self.weight,
            **({"packed": True} if self.packed else {}),
            **({} if self.mix is None else {"mix": self.mix.as_json()}),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Rollout":
        """The rollout from what `as_json` returned."""
        recorded = {name: tuple(values) for name, values in state["recorded"].items()}
        prompt, response = tuple(state["prompt"]), tuple(state["response"])
        example = state.get("example")  # states of earlier versions have none
        mix = state.get("mix")
        return cls(
            state["id"],
            prompt,
            response,
            state["origin"],
            recorded,
            example and Example.from_json(example),
            state.get("group"),
            state.get("weight", 1.0),
            mix and Mix(cls.from_json(mix["partner"]), mix["share"]),
            state.get("packed", False),
        )


PromptOf = Callable[[Rollout], Sequence[int]]
"""Returns the prompt that a view is shown."""


def of_dataset(example: Example) -> Rollout:
    """The rollout of an example with its own response."""
    return Rollout(
        example.id,
        example.context,
        example.response_ids,
        "dataset",
        example=example,
        weight=weight_of(example),
    )


def weight_of(example: Example) -> float:
    """The weight of an example's loss: its field `weight`, or 1.

    Raises:
        InputError: It is no number of 0 or more.
    """
    weight = example.fields.get("weight", 1.0)
    usable = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not (usable and math.isfinite(weight) and weight >= 0):
        raise InputError(f"row '{example.id}': 'weight' must be a number of 0 or more")
    return float(weight)


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

    @cached_property
    def weights(self) -> "torch.Tensor | None":
        """The weight of each token's loss, float32 of shape (N,); None if all are 1."""
        import torch

        if all(rollout.weight == 1 for rollout in self.rollouts):
            return None
        weights = torch.tensor([rollout.weight for rollout in self.rollouts])
        return weights.repeat_interleave(torch.tensor(self.lengths)).to(self.device)

    def field(self, name: str) -> list[Any]:
        """A field of each row's example.

        Raises:
            InputError: A row has no such field.
        """
        for rollout in self.rollouts:
            if rollout.example is None:
                raise InputError(f"row '{rollout.id}' has no field '{name}': it is no example")
        return [row.example.field(name) for row in self.rollouts if row.example is not None]

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
