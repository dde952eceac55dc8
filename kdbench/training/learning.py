"""Forward and backward of an optimiser step, over its micro-batches."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from kdbench.training.compiled import ChunkCompiler
from kdbench.training.loss import STUDENT, Loss, amounts_of, distillation_loss
from kdbench.training.notes import Notes
from kdbench.training.objective import Term
from kdbench.training.parts import Parts
from kdbench.training.router import RouterLoss
from kdbench.training.sharding import gradients_held_back
from kdbench.training.step import Learned, StepWork, micro_batches
from kdbench.training.weight import SumOverProcesses
from kdbench.views.rollout import Batch, Rollout, response_tokens
from kdbench.views.view import View


class StepLearner:
    """Computes the loss of steps and its gradients.

    Args:
        terms: What is minimised.
        views: The views by name.
        parts: The method's own modules.
        compiler: Compiles the loss of a chunk.
        accelerator: Of the run's processes.
        micro_batch_size: Rows per forward pass.
        chunk_tokens: Positions in a chunk of the loss; None chooses it.
        router: The router loss of a student with experts; None is without.
        notes: Where the router loss is noted.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        views: Mapping[str, View],
        parts: Parts,
        compiler: ChunkCompiler,
        accelerator: Any,
        micro_batch_size: int,
        chunk_tokens: int | None,
        router: RouterLoss | None,
        notes: Notes,
    ):
        self._terms, self._views, self._parts = terms, views, parts
        self._compiler, self._accelerator = compiler, accelerator
        self._rows, self._chunk = micro_batch_size, chunk_tokens
        self._router, self._notes = router, notes

    def work_of(
        self, rollouts: Sequence[Rollout], sum_over_processes: SumOverProcesses
    ) -> StepWork:
        """The responses of a step with their amounts; every process must call it.

        Args:
            rollouts: The responses on this process.
            sum_over_processes: Returns the sums of numbers over all processes.
        """
        own = [*amounts_of(self._terms, rollouts), response_tokens(rollouts)]
        *amounts, tokens = (round(total) for total in sum_over_processes(own))
        passes = len(micro_batches(rollouts, self._rows))
        if self._accelerator.num_processes > 1:
            everywhere = torch.tensor([passes], device=self._accelerator.device)
            passes = int(self._accelerator.gather(everywhere).max())
        return StepWork(rollouts, amounts, tokens, passes)

    def learn(
        self, model: Any, work: StepWork, schedule: Mapping[str, float], diagnose: bool
    ) -> Learned:
        """Forward and backward over all micro-batches of a step.

        Args:
            model: The student as it is called.
            work: The responses.
            schedule: The schedule's values.
            diagnose: Whether to compute the objectives' diagnostics as well.
        """
        zero = torch.zeros((), device=self._accelerator.device)
        learned = Learned(zero, zero, {}, {})
        batches = micro_batches(work.rollouts, self._rows)
        empty: list[Rollout] = []
        batches += [empty] * (work.passes - len(batches))
        for number, rollouts in enumerate(batches, start=1):
            last = number == len(batches)
            with nullcontext() if last else gradients_held_back(self._accelerator, model):
                if rollouts:
                    self._learn_from(rollouts, work, schedule, diagnose, learned)
                else:
                    self._learn_nothing()
        return learned

    def _learn_from(
        self,
        rollouts: Sequence[Rollout],
        work: StepWork,
        schedule: Mapping[str, float],
        diagnose: bool,
        learned: Learned,
    ) -> None:
        loss = distillation_loss(
            self._terms,
            Batch(rollouts, self._accelerator.device),
            self._views,
            work.amounts,
            schedule,
            self._chunk,
            diagnose,
            parts=self._parts.modules,
            compiler=self._compiler,
        )
        value = loss.value
        if self._router is not None:
            share = response_tokens(rollouts) / work.tokens
            value = value + self._router.share(rollouts, share, self._notes)
        self._backward(value)
        learned.loss = learned.loss + value.detach()
        learned.distillation = learned.distillation + loss.distillation
        _add_up(learned, loss)

    def _learn_nothing(self) -> None:
        """Run the model as often as the other processes do, for a gradient of zero."""
        view = self._views[STUDENT]
        states = view.states(Batch([Rollout("", (0,), (0,), "")], self._accelerator.device))
        self._backward(view.logits(states).sum() * 0.0)

    def _backward(self, value: torch.Tensor) -> None:
        # Processes average their gradients; the loss is a share of the sum.
        self._accelerator.backward(value * self._accelerator.num_processes)


def _add_up(learned: Learned, loss: Loss) -> None:
    for key, total in loss.terms.items():
        learned.terms[key] = learned.terms.get(key, torch.zeros_like(total)) + total
    for name, (total, count) in loss.diagnostics.items():
        before, counted = learned.diagnostics.get(name, (torch.zeros_like(total), 0))
        learned.diagnostics[name] = before + total, counted + count
