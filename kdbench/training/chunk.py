"""What objectives see: a chunk of response tokens, and scalars of all of a micro-batch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.views.rollout import Batch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TopK:
    """A view's likeliest tokens at n positions, of which no more is known.

    Attributes:
        ids: The tokens, int64 (n, k).
        log_p: Their log-probabilities, (n, k).
        log_rest: The log of the probability of all other tokens, (n,); -inf if there is none.
        target: The log-probabilities of the response tokens, (n,); None if they are not known.
    """

    ids: "torch.Tensor"
    log_p: "torch.Tensor"
    log_rest: "torch.Tensor"
    target: "torch.Tensor | None" = None

    @classmethod
    def of(cls, log_probs: "torch.Tensor", k: int) -> "TopK":
        """The k likeliest tokens of whole distributions (n, V), all if V is smaller."""
        kept = log_probs.topk(min(k, log_probs.shape[-1]), dim=-1)
        # Rounding may make the sum a hair more than 1.
        rest = (-kept.values.exp().sum(-1).clamp(max=1)).log1p()
        return cls(kept.indices, kept.values, rest)

    def at(self, positions: "torch.Tensor") -> "TopK":
        """The same at some of the positions."""
        target = None if self.target is None else self.target[positions]
        return TopK(self.ids[positions], self.log_p[positions], self.log_rest[positions], target)


@dataclass(frozen=True)
class FrozenHead:
    """A linear head whose weights get no gradient.

    Attributes:
        weight: Its weights over the tokenizer's vocabulary, (V, H).
        bias: Its bias, (V,); None if it has none.
        finish: What makes logits of its output.
    """

    weight: "torch.Tensor"
    bias: "torch.Tensor | None"
    finish: "Callable[[torch.Tensor], torch.Tensor] | None" = None

    def __call__(self, states: "torch.Tensor") -> "torch.Tensor":
        """The logits of some states, (n, H) to (n, V), float32 or float64."""
        from torch.nn.functional import linear

        scores = linear(states.to(self.weight.dtype), self.weight, self.bias)
        return scores if self.finish is None else self.finish(scores)


class Chunk:
    """n of the response positions of a batch, with what the models give there.

    Attributes:
        targets: The response tokens, int64 (n,).
        plan: Values from `Objective.plan` and values recorded at sampling, (n,) each.
        schedule: The schedule's values.
        parts: The method's own modules by name.
    """

    def __init__(
        self,
        logits: "torch.Tensor | None",
        views: Mapping[str, "torch.Tensor | TopK"],
        targets: "torch.Tensor",
        plan: Mapping[str, "torch.Tensor"] | None = None,
        schedule: Mapping[str, float] | None = None,
        hidden: Mapping[tuple[str, int], "torch.Tensor"] | None = None,
        parts: Mapping[str, Any] | None = None,
        heads: "Mapping[str, FrozenHead] | None" = None,
    ):
        self.targets, self._heads = targets, heads or {}
        self.plan, self.schedule, self.parts = plan or {}, schedule or {}, parts or {}
        self._logits, self._views, self._hidden = logits, views, hidden or {}
        self._log_probs: dict[str, torch.Tensor] = {}

    def with_plan(self, plan: Mapping[str, "torch.Tensor"]) -> "Chunk":
        """The same chunk with other planned values; both share what is computed from logits."""
        other = Chunk(
            self._logits,
            self._views,
            self.targets,
            plan,
            self.schedule,
            self._hidden,
            self.parts,
            self._heads,
        )
        other._log_probs = self._log_probs
        return other

    @property
    def logits(self) -> "torch.Tensor":
        """The student's logits, float32 (n, V), with gradient."""
        if self._logits is None:
            raise InputError("this objective says needs_logits=False, and reads the logits")
        return self._logits

    @property
    def log_q(self) -> "torch.Tensor":
        """The student's log-probabilities (n, V)."""
        if "" not in self._log_probs:
            self._log_probs[""] = self.logits.log_softmax(-1)
        return self._log_probs[""]

    @property
    def log_p(self) -> "torch.Tensor":
        """The teacher's log-probabilities (n, V), without gradient."""
        return self.log_prob("teacher")

    def log_prob(self, view: str) -> "torch.Tensor":
        """A view's log-probabilities (n, V), without gradient."""
        if view not in self._log_probs:
            self._log_probs[view] = self.view_logits(view).log_softmax(-1)
        return self._log_probs[view]

    def view_logits(self, view: str) -> "torch.Tensor":
        """A view's logits (n, V), without gradient.

        Raises:
            InputError: Only the likeliest tokens of the view are known.
        """
        scores = self._scores(view)
        if isinstance(scores, TopK):
            raise InputError(
                f"this objective needs the whole distribution of the view '{view}', of which only "
                f"the top {scores.ids.shape[-1]} tokens are known"
            )
        return scores

    def top_k(self, view: str) -> TopK | None:
        """A view's likeliest tokens where only these are known; None for a whole view."""
        scores = self._scores(view)
        return scores if isinstance(scores, TopK) else None

    def _scores(self, view: str) -> "torch.Tensor | TopK":
        if view not in self._views:
            raise InputError(
                f"an objective reads the view '{view}', which its `views` do not name: "
                f"{', '.join(self._views) or 'none'}"
            )
        return self._views[view]

    def pair(self, view: str) -> "tuple[torch.Tensor, torch.Tensor]":
        """The log-probabilities of a view and of the student over the same outcomes.

        The outcomes are the V tokens. Where only the k likeliest tokens of the view are known, they
        are these and all others together; by the data-processing inequality, an f-divergence
        between the two is at most that over all tokens.

        Returns:
            Two tensors (n, V) or (n, k + 1).
        """
        import torch

        top = self.top_k(view)
        if top is None:
            return self.log_prob(view), self.log_q
        if top.ids.shape[-1] == self.logits.shape[-1]:
            return torch.zeros_like(self.log_q).scatter(-1, top.ids, top.log_p), self.log_q
        # Rounding makes a small rest 0, of which a reverse divergence would be infinite.
        least = math.log(torch.finfo(torch.float32).tiny)
        log_p = torch.cat([top.log_p, top.log_rest[:, None]], -1).clamp(min=least)
        others = self.log_q.scatter(-1, top.ids, -torch.inf).logsumexp(-1, keepdim=True)
        return log_p, torch.cat([self.log_q.gather(-1, top.ids), others], -1)

    def hidden(self, view: str, layer: int) -> "torch.Tensor":
        """The states of a layer that the objective's `hidden` names, float32 or float64, (n, H).

        They have a gradient for the student. Layer 0 are the embeddings, i what layer i returns,
        -1 what the head is given, and -2 the same before the final norm.
        """
        import torch

        if (view, layer) not in self._hidden:
            raise InputError(
                f"an objective reads layer {layer} of '{view}', which its `hidden` does not name"
            )
        states = self._hidden[view, layer]
        return states if states.dtype == torch.float64 else states.float()

    def head_logits(self, view: str, states: "torch.Tensor") -> "torch.Tensor":
        """The logits that a view's head gives for other states of its width, (n, V).

        The head is frozen, also the student's; the gradient flows to the states alone.
        """
        if view not in self._heads:
            raise InputError(f"an objective asks the head of '{view}', which `heads` does not name")
        return self._heads[view](states)

    def of_target(self, log_probs: "torch.Tensor") -> "torch.Tensor":
        """The entries at the response tokens, (n, V) to (n,)."""
        return log_probs.gather(-1, self.targets[:, None])[:, 0]

    def target_log_prob(self, view: str = "teacher") -> "torch.Tensor":
        """A view's log-probabilities of the response tokens (n,), without gradient.

        They are also known of a view of which only the likeliest tokens are.
        """
        known = self.top_k(view)
        if known is None or known.target is None:
            return self.of_target(self.log_prob(view))
        return known.target


class Plan:
    """Scalars of all response tokens of a batch, for quantities that need more than a chunk.

    Attributes:
        batch: The micro-batch.
        mask: Which cells of (rows, L) hold a token, bool; L is the longest response.
        schedule: The schedule's values.
    """

    def __init__(
        self,
        batch: Batch,
        scalar: Callable[[str, str], "torch.Tensor"],
        schedule: Mapping[str, float],
        states: Callable[[str], "torch.Tensor"] | None = None,
    ):
        self.batch, self.mask, self.schedule = batch, batch.mask, schedule
        self._scalar, self._states = scalar, states

    def log_prob(self, view: str = "student") -> "torch.Tensor":
        """Log-probability of each response token under a view, (rows, L), 0 outside the mask."""
        return self._padded(self._scalar("log_prob", view))

    def entropy(self, view: str = "student") -> "torch.Tensor":
        """Entropy in nats of a view's distribution at each response token, (rows, L)."""
        return self._padded(self._scalar("entropy", view))

    def recorded(self, name: str) -> "torch.Tensor":
        """A scalar that was recorded at sampling, (rows, L)."""
        return self._padded(self.batch.recorded()[name])

    def field(self, name: str) -> "torch.Tensor":
        """A number from each row's example at each of its tokens, float32 (rows, L).

        Raises:
            InputError: A row has no such field.
        """
        import torch

        values = torch.tensor(self.batch.field(name), dtype=torch.float32, device=self.mask.device)
        return values[:, None] * self.mask

    def mean_state(self, view: str = "student") -> "torch.Tensor":
        """The mean over a response of what a view's head is given, at each token, (rows, L, H)."""
        import torch

        assert self._states is not None  # noqa: S101 - the trainer gives them
        states = self._states(view).detach()
        states = states if states.dtype == torch.float64 else states.float()
        of_row = states.new_zeros(*self.mask.shape, states.shape[-1])
        of_row[self.mask] = states
        means = of_row.sum(1) / self.mask.sum(-1, keepdim=True).clamp(min=1)
        return means[:, None].expand_as(of_row)

    def _padded(self, flat: "torch.Tensor") -> "torch.Tensor":
        padded = flat.new_zeros(self.mask.shape)
        padded[self.mask] = flat
        return padded


class Responses:
    """Whole responses of a micro-batch, for losses of log q(y).

    Attributes:
        batch: The responses that the term applies to.
        token_log_q: The student's log-probability of each response token, (rows, L), 0 outside the
            mask, with gradient.
        mask: Which cells hold a token, bool (rows, L).
        groups: The number of each row's group, int64 (rows,).
        schedule: The schedule's values.
        parts: The method's own modules by name.
    """

    def __init__(
        self,
        batch: Batch,
        token_log_q: "torch.Tensor",
        scalar: Callable[[str, str], "torch.Tensor"],
        schedule: Mapping[str, float],
        parts: Mapping[str, Any],
    ):
        import torch

        self.batch, self.mask = batch, batch.mask
        self.schedule, self.parts = schedule, parts
        self.token_log_q = token_log_q.new_zeros(self.mask.shape).masked_scatter(
            self.mask, token_log_q
        )
        names: dict[object, int] = {}
        numbers = [
            names.setdefault(n if row.group is None else row.group, len(names))
            for n, row in enumerate(batch.rollouts)
        ]
        self.groups = torch.tensor(numbers, device=self.mask.device)
        self._scalar = scalar

    @property
    def log_q(self) -> "torch.Tensor":
        """Log q(y) of each whole response under the student, nats, (rows,), with gradient."""
        return self.token_log_q.sum(-1)

    @property
    def lengths(self) -> "torch.Tensor":
        """The number of tokens of each response, (rows,)."""
        return self.mask.sum(-1)

    @property
    def origins(self) -> list[str]:
        """The origin of each row."""
        return [row.origin for row in self.batch.rollouts]

    def token_log_prob(self, view: str) -> "torch.Tensor":
        """A view's log-probability of each response token, (rows, L), without gradient."""
        flat = self._scalar("log_prob", view)
        return flat.new_zeros(self.mask.shape).masked_scatter(self.mask, flat)

    def log_prob(self, view: str) -> "torch.Tensor":
        """Log p(y) of each whole response under a view, nats, (rows,), without gradient."""
        return self.token_log_prob(view).sum(-1)

    def field(self, name: str) -> list[Any]:
        """A field of each row's example.

        Raises:
            InputError: A row has no such field.
        """
        return self.batch.field(name)

    def recorded(self, name: str) -> "torch.Tensor":
        """A scalar that was recorded at sampling, (rows, L)."""
        flat = self.batch.recorded()[name]
        return flat.new_zeros(self.mask.shape).masked_scatter(self.mask, flat)

    def pairs(
        self, better: str = "chosen", worse: str = "rejected"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The places of the two rows of each pair, int64 (pairs,) each.

        Args:
            better: The origin of the better response.
            worse: The origin of the other one.

        Raises:
            InputError: A group is not one of each.
        """
        import torch

        places: dict[int, dict[str, int]] = {}
        for place, (origin, group) in enumerate(
            zip(self.origins, self.groups.tolist(), strict=True)
        ):
            places.setdefault(group, {})[origin] = place
        for group in places.values():
            if set(group) != {better, worse}:
                name = self.batch.rollouts[next(iter(group.values()))].id
                raise InputError(
                    f"row '{name}': a pair is one response of origin '{better}' and one of "
                    f"'{worse}', and its group has {', '.join(sorted(group))}"
                )
        return (
            torch.tensor([group[better] for group in places.values()], device=self.mask.device),
            torch.tensor([group[worse] for group in places.values()], device=self.mask.device),
        )
