"""The loss of a micro-batch, in chunks: the logits of the whole batch never exist at once.

The models give hidden states at the valid response positions alone. Head, softmax and objective
run over one chunk of positions at a time, and once more in the backward pass. So the memory of the
loss is a few tensors of shape (chunk, V), however long the batch is.
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
    """The loss of a micro-batch.

    Attributes:
        value: The weighted sum of the terms, a scalar with gradient.
        distillation: The same without terms on pre-training texts alone, detached.
        terms: The sum of each term over its tokens, by the term's text, detached.
        diagnostics: The sum of each diagnostic and the number of its tokens.
    """

    value: "torch.Tensor"
    distillation: "torch.Tensor"
    terms: Mapping[str, "torch.Tensor"]
    diagnostics: Mapping[str, tuple["torch.Tensor", int]]


def tokens_of(term: Term, counts: Mapping[str, int]) -> int:
    """Number of tokens over which a term is averaged, given the token counts by origin."""
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
    """Compute the loss of a micro-batch, normalised by the whole step's token counts.

    Args:
        terms: What to minimise.
        batch: The micro-batch.
        views: The views by name; `student` is the one that learns.
        counts: Response tokens by origin in the whole step, over all micro-batches and processes.
            So the losses of the micro-batches add up to the mean over all tokens, however they are
            split.
        schedule: The schedule's values.
        chunk: Positions in a chunk; None chooses it from the vocabulary.
        diagnose: Whether to compute the objectives' diagnostics as well.
    """
    micro_batch = _MicroBatch(batch, views, schedule or {}, chunk)
    value: torch.Tensor | None = None
    distillation = 0.0
    sums: dict[str, torch.Tensor] = {}
    diagnostics: dict[str, tuple[torch.Tensor, int]] = {}
    for term in terms:
        positions = micro_batch.positions(term)
        if not len(positions):
            continue
        if isinstance(term.objective, StepObjective):
            total = term.objective.step(_of_origins(batch, term), views)
        else:
            total = micro_batch.total(term, positions)
        weighted = total * (term.weight / tokens_of(term, counts))
        value = weighted if value is None else value + weighted
        if term.on != ("pretraining",):
            distillation = distillation + weighted.detach()
        sums[str(term)] = total.detach() + sums.get(str(term), 0.0)
        if diagnose:
            diagnostics.update(micro_batch.diagnostics(term, positions))
    if value is None:  # nothing to learn from here; other processes may have something
        value = views[STUDENT].logits(micro_batch.states(STUDENT)[:1]).sum() * 0.0
    return Loss(value, value.detach() * 0.0 + distillation, sums, diagnostics)


def _of_origins(batch: Batch, term: Term) -> Batch:
    rollouts = [row for row in batch.rollouts if not term.on or row.origin in term.on]
    return Batch(rollouts, batch.device)


class _MicroBatch:
    """A micro-batch with its hidden states by view, which are computed once, and its chunks."""

    def __init__(
        self,
        batch: Batch,
        views: Mapping[str, View],
        schedule: Mapping[str, float],
        chunk: int | None,
    ):
        import torch

        self._batch, self._views, self._schedule = batch, views, schedule
        self._learns = torch.is_grad_enabled()  # a plan runs without gradient, and may come first
        self._states: dict[str, torch.Tensor] = {}
        self._origins = batch.origins()
        self._chunk = chunk

    def states(self, view: str) -> "torch.Tensor":
        """Hidden states (N, H) of a view; with gradient for the student alone."""
        import torch

        if view not in self._states:
            with torch.set_grad_enabled(view == STUDENT and self._learns):
                self._states[view] = self._views[view].states(self._batch)
        return self._states[view]

    def positions(self, term: Term) -> "torch.Tensor":
        """The positions, among the N, to which a term applies, int64."""
        import torch

        indices = [
            index for index, origin in enumerate(self._origins) if not term.on or origin in term.on
        ]
        return torch.tensor(indices, dtype=torch.long, device=self._batch.device)

    def total(self, term: Term, positions: "torch.Tensor") -> "torch.Tensor":
        """The sum of a term over its positions, a scalar with gradient."""
        import torch
        from torch.utils.checkpoint import checkpoint

        plan = self._plan(term)
        total = torch.zeros((), device=self._batch.device)
        for chunk in self._chunks(positions):
            run = partial(self._chunk_total, term, chunk, plan)
            # There is no dropout between states and loss, so there is no random state to keep.
            total = total + checkpoint(
                run, self.states(STUDENT)[chunk], use_reentrant=False, preserve_rng_state=False
            )
        return total

    def _chunk_total(
        self,
        term: Term,
        positions: "torch.Tensor",
        plan: Mapping[str, "torch.Tensor"],
        states: "torch.Tensor",
    ) -> "torch.Tensor":
        chunk = self._chunk_at(term, positions, plan, states)
        loss: torch.Tensor = term.objective.token(chunk).sum()
        return loss

    def diagnostics(
        self, term: Term, positions: "torch.Tensor"
    ) -> dict[str, tuple["torch.Tensor", int]]:
        """The sum of each diagnostic over the positions, and their number."""
        import torch

        if type(term.objective).diagnostics is Objective.diagnostics:
            return {}
        plan, sums = self._plan(term), dict[str, torch.Tensor]()
        with torch.no_grad():
            for places in self._chunks(positions):
                chunk = self._chunk_at(term, places, plan, self.states(STUDENT)[places])
                for name, values in term.objective.diagnostics(chunk).items():
                    sums[name] = sums.get(name, torch.zeros_like(values.sum())) + values.sum()
        return {name: (total, len(positions)) for name, total in sums.items()}

    def _chunk_at(
        self,
        term: Term,
        positions: "torch.Tensor",
        plan: Mapping[str, "torch.Tensor"],
        states: "torch.Tensor",
    ) -> Chunk:
        """The chunk of some positions, for the term's objective; `states` are the student's."""
        import torch

        with torch.no_grad():
            views = {
                name: self._views[name].logits(self.states(name)[positions])
                for name in term.objective.views
            }
        return Chunk(
            logits=self._views[STUDENT].logits(states),
            views=views,
            targets=self._batch.targets[positions],
            plan={name: values[positions] for name, values in plan.items()},
            schedule=self._schedule,
        )

    def _chunks(self, positions: "torch.Tensor") -> Iterator["torch.Tensor"]:
        if self._chunk is None:
            width = self._views[STUDENT].logits(self.states(STUDENT)[:1].detach()).shape[-1]
            self._chunk = chunk_length(width, positions.device.type)
        yield from positions.split(self._chunk)

    def _plan(self, term: Term) -> dict[str, "torch.Tensor"]:
        """The values that were recorded or planned for each of the N tokens, (N,) each."""
        import torch

        mask = self._batch.mask
        with torch.no_grad():
            planned = term.objective.plan(Plan(self._batch, self.scalars, self._schedule))
        return self._batch.recorded() | {name: values[mask] for name, values in planned.items()}

    def scalars(self, kind: str, view: str) -> "torch.Tensor":
        """A value of each token under a view, (N,), without gradient.

        Args:
            kind: `log_prob` of the response token, or `entropy` of the distribution, in nats.
            view: The name of the view.
        """
        import torch

        from kdbench.divergence import entropy

        chunks = []
        everything = torch.arange(len(self._origins), device=self._batch.device)
        with torch.no_grad():
            for positions in self._chunks(everything):
                states = self.states(view)[positions]
                log_probs = self._views[view].logits(states).log_softmax(-1)
                if kind == "entropy":
                    chunks.append(entropy(log_probs))
                else:
                    targets = self._batch.targets[positions][:, None]
                    chunks.append(log_probs.gather(-1, targets)[:, 0])
        return torch.cat(chunks)


def target_log_probs(batch: Batch, view: View, chunk: int | None = None) -> list[list[float]]:
    """The log-probability of each response token under a view, row by row."""
    flat = _MicroBatch(batch, {STUDENT: view}, {}, chunk).scalars("log_prob", STUDENT).tolist()
    rows, start = [], 0
    for length in batch.lengths:
        rows.append(flat[start : start + length])
        start += length
    return rows
