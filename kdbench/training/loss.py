"""The loss of a micro-batch, in chunks: no logits of the whole batch ever exist.

The models give hidden states at the valid response positions alone. Head, softmax and objective
run over a chunk of them at a time and once more in the backward pass, so the memory of the loss is
a few tensors of (chunk, V) however long the batch is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kdbench.training.objective import Chunk, Objective, Plan, StepObjective, Term
from kdbench.views.rollout import Batch
from kdbench.views.view import View, chunk_length

if TYPE_CHECKING:
    import torch

STUDENT = "student"


@dataclass(frozen=True)
class Loss:
    """What a micro-batch gives.

    Attributes:
        value: the weighted sum of the terms, with gradient.
        terms: each term's sum over its tokens, by its text, detached.
        diagnostics: each diagnostic's sum and its number of tokens.
    """

    value: "torch.Tensor"
    terms: Mapping[str, "torch.Tensor"]
    diagnostics: Mapping[str, tuple["torch.Tensor", int]]


def tokens_of(term: Term, counts: Mapping[str, int]) -> int:
    """Number of tokens that a term is averaged over."""
    return sum(counts.get(origin, 0) for origin in term.on) if term.on else sum(counts.values())


def distillation_loss(
    terms: Sequence[Term],
    batch: Batch,
    views: Mapping[str, View],
    counts: Mapping[str, int],
    schedule: Mapping[str, float] | None = None,
    chunk: int | None = None,
    diagnose: bool = False,
) -> Loss:
    """The loss of a micro-batch, normalised by the whole optimiser step's token counts.

    Args:
        terms: what to minimise.
        batch: the micro-batch.
        views: by name; `student` is the one that learns.
        counts: response tokens by origin in the whole step: all micro-batches, all processes. The
            losses of the micro-batches then add up to the mean over all tokens, however they are
            split.
        schedule: the schedule's values.
        chunk: positions of a chunk; None is found from the vocabulary.
        diagnose: compute the diagnostics of the objectives as well.
    """
    work = _Work(batch, views, schedule or {}, chunk)
    value: torch.Tensor | None = None
    sums: dict[str, torch.Tensor] = {}
    diagnostics: dict[str, tuple[torch.Tensor, int]] = {}
    for term in terms:
        places = work.places(term)
        if not len(places):
            continue
        if isinstance(term.objective, StepObjective):
            total = term.objective.step(_of_origins(batch, term), views)
        else:
            total = work.total(term, places)
        part = total * (term.weight / tokens_of(term, counts))
        value = part if value is None else value + part
        sums[str(term)] = total.detach() + sums.get(str(term), 0.0)
        if diagnose:
            diagnostics.update(work.diagnostics(term, places))
    if value is None:  # nothing here to learn from; other processes may have something
        value = views[STUDENT].logits(work.states(STUDENT)[:1]).sum() * 0.0
    return Loss(value, sums, diagnostics)


def _of_origins(batch: Batch, term: Term) -> Batch:
    kept = [one for one in batch.rollouts if not term.on or one.origin in term.on]
    return Batch(kept, batch.device)


class _Work:
    """One micro-batch: its states by view, its chunks."""

    def __init__(
        self,
        batch: Batch,
        views: Mapping[str, View],
        schedule: Mapping[str, float],
        chunk: int | None,
    ):
        import torch

        self._batch, self._views, self._schedule = batch, views, schedule
        self._learns = torch.is_grad_enabled()  # a plan runs without, and may come first
        self._states: dict[str, torch.Tensor] = {}
        self._origins = batch.origins()
        self._chunk = chunk

    def states(self, view: str) -> "torch.Tensor":
        """Hidden states (N, H) of a view, computed once; with gradient for the student alone."""
        import torch

        if view not in self._states:
            with torch.set_grad_enabled(view == STUDENT and self._learns):
                self._states[view] = self._views[view].states(self._batch)
        return self._states[view]

    def places(self, term: Term) -> "torch.Tensor":
        """The positions, among the N, that a term applies to."""
        import torch

        places = [i for i, origin in enumerate(self._origins) if not term.on or origin in term.on]
        return torch.tensor(places, dtype=torch.long, device=self._batch.device)

    def total(self, term: Term, places: "torch.Tensor") -> "torch.Tensor":
        """A term's sum over its positions."""
        import torch
        from torch.utils.checkpoint import checkpoint

        plan = self._plan(term)
        total = torch.zeros((), device=self._batch.device)
        for part in self._chunks(places):
            run = partial(self._chunk_total, term, part, plan)
            # No dropout between states and loss, so there is no random state to keep.
            total = total + checkpoint(
                run, self.states(STUDENT)[part], use_reentrant=False, preserve_rng_state=False
            )
        return total

    def _chunk_total(
        self,
        term: Term,
        part: "torch.Tensor",
        plan: Mapping[str, "torch.Tensor"],
        states: "torch.Tensor",
    ) -> "torch.Tensor":
        loss: torch.Tensor = term.objective.token(self._look(term, part, plan, states)).sum()
        return loss

    def diagnostics(
        self, term: Term, places: "torch.Tensor"
    ) -> dict[str, tuple["torch.Tensor", int]]:
        """Each diagnostic's sum over the positions, and their number."""
        import torch

        if type(term.objective).diagnostics is Objective.diagnostics:
            return {}
        plan, sums = self._plan(term), dict[str, torch.Tensor]()
        with torch.no_grad():
            for part in self._chunks(places):
                chunk = self._look(term, part, plan, self.states(STUDENT)[part])
                for name, values in term.objective.diagnostics(chunk).items():
                    sums[name] = sums.get(name, torch.zeros_like(values.sum())) + values.sum()
        return {name: (total, len(places)) for name, total in sums.items()}

    def _look(
        self,
        term: Term,
        part: "torch.Tensor",
        plan: Mapping[str, "torch.Tensor"],
        states: "torch.Tensor",
    ) -> Chunk:
        """A chunk as its objective sees it; `states` are the student's."""
        import torch

        with torch.no_grad():
            views = {
                name: self._views[name].logits(self.states(name)[part])
                for name in term.objective.views
            }
        return Chunk(
            logits=self._views[STUDENT].logits(states),
            views=views,
            targets=self._batch.targets[part],
            plan={name: values[part] for name, values in plan.items()},
            schedule=self._schedule,
        )

    def _chunks(self, places: "torch.Tensor") -> Iterator["torch.Tensor"]:
        if self._chunk is None:
            width = self._views[STUDENT].logits(self.states(STUDENT)[:1].detach()).shape[-1]
            self._chunk = chunk_length(width, places.device.type)
        yield from places.split(self._chunk)

    def _plan(self, term: Term) -> dict[str, "torch.Tensor"]:
        import torch

        mask = self._batch.mask
        with torch.no_grad():
            planned = term.objective.plan(Plan(self._batch, self._scalar, self._schedule))
        return self._batch.recorded() | {name: values[mask] for name, values in planned.items()}

    def _scalar(self, kind: str, view: str) -> "torch.Tensor":
        """One value for each of the N tokens, without gradient."""
        import torch

        from kdbench.divergence import entropy

        found = []
        everything = torch.arange(len(self._origins), device=self._batch.device)
        with torch.no_grad():
            for part in self._chunks(everything):
                log_probs = self._views[view].logits(self.states(view)[part]).log_softmax(-1)
                if kind == "entropy":
                    found.append(entropy(log_probs))
                else:
                    targets = self._batch.targets[part][:, None]
                    found.append(log_probs.gather(-1, targets)[:, 0])
        return torch.cat(found)


def target_log_probs(batch: Batch, view: View, chunk: int | None = None) -> list[list[float]]:
    """Log-probability of each response token under a view, row by row."""
    flat = _Work(batch, {STUDENT: view}, {}, chunk)._scalar("log_prob", STUDENT).tolist()
    rows, start = [], 0
    for length in batch.lengths:
        rows.append(flat[start : start + length])
        start += length
    return rows
