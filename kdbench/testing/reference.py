"""The loss of a term by plain autograd over all logits at once: what the trainer's must equal."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from kdbench.testing.case import Case
from kdbench.training import Batch, Chunk, Plan, Responses, SequenceObjective, StepObjective, Whole
from kdbench.training.chunk import FrozenHead, TopK
from kdbench.training.step import groups_of
from kdbench.views.rollout import Rollout
from kdbench.views.view import View


class _Everything:
    """All logits and layers of a batch."""

    def __init__(self, case: Case, batch: Batch, views: Mapping[str, View]):
        self.case, self.batch, self.views = case, batch, views

    def read(self, view: str, layer: int = -1) -> torch.Tensor:
        """The states of a layer; with gradient for the student."""
        _, hidden = self.views[view].read(self.batch, (layer,))  # type: ignore[attr-defined]
        states = cast("torch.Tensor", hidden[layer])
        return states if view == "student" else states.detach()

    def logits(self, view: str) -> torch.Tensor:
        """All logits; with gradient for the student."""
        states = self.views[view].states(self.batch)
        return self.views[view].logits(states if view == "student" else states.detach())

    def head(self, view: str) -> FrozenHead:
        """The frozen head of a view."""
        own: Any = self.views[view]
        weight, bias = own.linear_head
        return FrozenHead(weight, bias, own.finish)

    def embed(self, view: str, tokens: torch.Tensor) -> torch.Tensor:
        """The input embeddings of a view, without gradient."""
        own: Any = self.views[view]
        return cast("torch.Tensor", own.embed(tokens)).detach()

    def scalar(self, kind: str, view: str) -> torch.Tensor:
        """A value of each token, without gradient."""
        log_p = self.logits(view).detach().log_softmax(-1)
        if kind == "entropy":
            return -(log_p.exp() * log_p).sum(-1)
        return log_p.gather(-1, self.batch.targets[:, None])[:, 0]

    def scores(self, view: str) -> torch.Tensor | TopK:
        """What a chunk has of a view."""
        top_k = getattr(self.views[view], "top_k", None)
        return cast("TopK", top_k(self.batch)) if top_k else self.logits(view).detach()


def reference_loss(
    case: Case, rows: Sequence[Rollout], views: Mapping[str, View], parts: Mapping[str, Any]
) -> torch.Tensor:
    """The weighted mean of a term over its tokens, responses or groups, a scalar with gradient."""
    objective, term = case.term.objective, case.term
    kept = [row for row in rows if not term.on or row.origin in term.on]
    seen = _Everything(case, batch := Batch(kept), views)
    factor = term.weight_at(case.schedule)
    groups = groups_of(kept)
    amount = {"token": len(batch.targets), "sequence": len(kept), "group": len(groups)}[term.per]
    if isinstance(objective, StepObjective):
        given = batch, seen.read, seen.read, seen.logits, case.schedule, parts
        whole = Whole(*given, seen.head, seen.embed, views)
        return factor * objective.step(whole) / amount
    if isinstance(objective, SequenceObjective):
        log_q = seen.logits("student").log_softmax(-1).gather(-1, batch.targets[:, None])[:, 0]
        losses = objective.sequence(Responses(batch, log_q, seen.scalar, case.schedule, parts))
        weights = losses.new_tensor([row.weight for row in kept])
        return factor * (losses * weights).sum() / amount
    plan = batch.recorded() | {
        name: values[batch.mask]
        for name, values in objective.plan(
            Plan(batch, seen.scalar, case.schedule, seen.read)
        ).items()
    }
    chunk = Chunk(
        seen.logits("student") if objective.needs_logits else None,
        {name: seen.scores(name) for name in objective.views},
        batch.targets,
        plan,
        case.schedule,
        {
            (view, n): seen.read(view, n)
            for view in objective.hidden
            for n in objective.hidden[view]
        },
        parts,
        {name: seen.head(name) for name in objective.heads},
    )
    losses = objective.token(chunk)
    of_rows = losses.split(batch.lengths)
    if term.per == "token":
        weighted = [row.weight * own.sum() for row, own in zip(kept, of_rows, strict=True)]
    else:
        size = {id(row): len(group) for group in groups for row in group}
        weighted = [
            row.weight * own.mean() / (size[id(row)] if term.per == "group" else 1)
            for row, own in zip(kept, of_rows, strict=True)
        ]
    return factor * torch.stack(weighted).sum() / amount
