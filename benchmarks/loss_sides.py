"""The sides of `loss`: the same loss of the same states and heads, by kdbench and by its peers.

Each side is a function without arguments that runs forward and backward and returns the mean of the
divergence over all positions; gradients are left in `.grad` of the student's states and head.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from benchmarks.device import device
from kdbench.divergence import (
    adaptive_kl,
    alpha_beta,
    forward_kl,
    generalised_jsd,
    reverse_kl,
    skew_reverse_kl,
    total_variation,
)
from kdbench.training import Batch, Match, Rollout, Term
from kdbench.training.loss import distillation_loss
from kdbench.views.view import ModelView

SPREAD = 2.0  # standard deviation of the logits; those of a trained model are about as far apart
ROW = 64  # response tokens of a row
REFERENCE_ROWS = 128  # positions of a chunk in float64

Side = Callable[[], torch.Tensor]


class PeerMissingError(Exception):
    """A peer that cannot run on this machine; the text is the reason."""


@dataclass(frozen=True)
class Measured:
    """An objective that is measured.

    Attributes:
        title: Its name in the table.
        match: The objective.
        weight: The teacher's weight in the generalised JSD that it is; None if it is none, so that
            peers do not have it.
    """

    title: str
    match: Match
    weight: float | None = None


OBJECTIVES = (
    Measured("forward KL", Match(forward_kl), 0.0),
    Measured("skew reverse KL", Match(skew_reverse_kl)),
    Measured("JSD", Match(generalised_jsd), 0.5),
    Measured("reverse KL", Match(reverse_kl), 1.0),
    Measured("alpha-beta", Match(alpha_beta)),
    Measured("adaptive KL", Match(adaptive_kl)),
    Measured("total variation", Match(total_variation)),
)


class Inputs:
    """Random states and heads of a student and a teacher, and the batch they belong to.

    Args:
        positions: Number of response tokens.
        hidden: Hidden sizes of student and teacher.
        vocabulary: Number of tokens.
        dtype: Of states and heads.
    """

    def __init__(self, positions: int, hidden: Sequence[int], vocabulary: int, dtype: torch.dtype):
        torch.manual_seed(0)
        where: Any = {"device": device(), "dtype": dtype}
        self.heads = [torch.nn.Linear(size, vocabulary, bias=False, **where) for size in hidden]
        for head, size in zip(self.heads, hidden, strict=True):
            torch.nn.init.normal_(head.weight, std=SPREAD / size**0.5)
        self.heads[1].requires_grad_(False)
        self.states = [torch.randn(positions, size, **where) for size in hidden]
        self.states[0].requires_grad_()
        rows = [(7,) * min(ROW, positions - start) for start in range(0, positions, ROW)]
        self.rollouts = [Rollout(str(n), (7,), row, "dataset") for n, row in enumerate(rows)]
        self.positions, self.vocabulary = positions, vocabulary

    def clear(self) -> None:
        """Drop the gradients."""
        self.states[0].grad = self.heads[0].weight.grad = None

    def views(self) -> dict[str, ModelView]:
        """Student and teacher as views."""
        names = ("student", "teacher")
        pairs = zip(names, self.heads, self.states, strict=True)
        return {name: _GivenView(head, states) for name, head, states in pairs}


class _HeadOnly(torch.nn.Module):
    """A model of which only the head is there."""

    def __init__(self, head: torch.nn.Linear):
        super().__init__()
        from transformers import PreTrainedConfig

        self.lm_head = head
        self.config = PreTrainedConfig()  # nothing follows the head

    def get_output_embeddings(self) -> torch.nn.Linear:
        """The head."""
        return self.lm_head


class _GivenView(ModelView):
    """The view of a model whose states are given."""

    def __init__(self, head: torch.nn.Linear, states: torch.Tensor):
        super().__init__(_HeadOnly(head), head.out_features)
        self._states = states

    def states(self, *_: Any, **__: Any) -> torch.Tensor:
        """The given states."""
        return self._states

    def read(self, *_: Any, **__: Any) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
        """The given states."""
        return self._states, {}


def kdbench_side(measured: Measured, inputs: Inputs, compiles: str = "auto") -> Side:
    """The loss of kdbench's trainer.

    Args:
        measured: The objective.
        inputs: States and heads.
        compiles: `auto` compiles on a GPU, `false` nowhere.
    """
    from kdbench.training.compiled import compiler_for

    views, terms = inputs.views(), [Term(measured.match)]
    batch = Batch(inputs.rollouts, device())
    compiler = compiler_for(device(), compiles)

    def run() -> torch.Tensor:
        loss = distillation_loss(terms, batch, views, compiler=compiler)
        loss.value.backward()
        return loss.value.detach()

    return run


def recomputed(measured: Measured, inputs: Inputs) -> Side:
    """What kdbench did before: each chunk is computed again in the backward pass."""
    views = inputs.views()
    elements = 2**23 if device() == "cpu" else 2**27
    chunk = max(16, elements // inputs.vocabulary)

    def total(states: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            log_p = views["teacher"].logits(others)
        return _divergence(measured, log_p, views["student"].logits(states)).sum()

    def run() -> torch.Tensor:
        value = torch.zeros((), device=device())
        for places in torch.arange(inputs.positions, device=device()).split(chunk):
            others = inputs.states[1][places]
            part = partial(total, others=others)
            states = inputs.states[0][places]
            value = value + checkpoint(part, states, use_reentrant=False, preserve_rng_state=False)
        value = value / inputs.positions
        value.backward()
        return value.detach()

    return run


def full_logits(measured: Measured, inputs: Inputs) -> Side:
    """All logits at once, in float32, as in TRL's older GKD trainer."""
    views = inputs.views()

    def run() -> torch.Tensor:
        logits = views["student"].logits(inputs.states[0])
        with torch.no_grad():
            others = views["teacher"].logits(inputs.states[1])
        value = _divergence(measured, others, logits).mean()
        value.backward()
        return value.detach()

    return run


def trl_kernels(measured: Measured, inputs: Inputs) -> Side:
    """TRL's `DistillationTrainer`: Triton kernels on a GPU, the same in torch on a CPU."""
    try:
        from trl.kernels.chunked_divergence import ChunkedDivergenceFunction
    except ImportError as error:
        raise PeerMissingError("TRL is not installed") from error
    if measured.weight is None:
        raise PeerMissingError("TRL has no such divergence")
    (student, teacher), (states, others) = inputs.heads, inputs.states

    def run() -> torch.Tensor:
        arguments = (states, student.weight, None, others, teacher.weight, None, measured.weight)
        by_token, _ = ChunkedDivergenceFunction.apply(*arguments)
        value: torch.Tensor = by_token.sum() / inputs.positions
        value.backward()
        return value.detach()

    return run


def liger(measured: Measured, inputs: Inputs) -> Side:
    """Liger Kernel's fused linear JSD, which needs a GPU."""
    if measured.weight is None:
        raise PeerMissingError("Liger Kernel has no such divergence")
    if device() == "cpu":
        raise PeerMissingError("Liger Kernel needs a GPU")
    try:
        from liger_kernel.transformers import LigerFusedLinearJSD
    except ImportError as error:
        raise PeerMissingError("liger-kernel is not installed") from error
    fused = LigerFusedLinearJSD(jsd_beta=measured.weight)
    (student, teacher), (states, others) = inputs.heads, inputs.states

    def run() -> torch.Tensor:
        value: torch.Tensor = fused(states, student.weight, others, teacher.weight)
        value.backward()
        return value.detach()

    return run


def products(inputs: Inputs) -> Side:
    """The four matrix products that no side can leave out, in chunks."""
    (student, teacher), (states, others) = inputs.heads, inputs.states
    chunk = max(16, (2**23 if device() == "cpu" else 2**27) // inputs.vocabulary)
    transposed = teacher.weight.t()

    def run() -> torch.Tensor:
        of_states = torch.empty_like(states)
        of_weight = torch.zeros_like(student.weight)
        with torch.no_grad():
            for places in torch.arange(inputs.positions, device=device()).split(chunk):
                logits = states[places] @ student.weight.t()
                others[places] @ transposed
                of_states[places] = logits @ student.weight
                of_weight.addmm_(logits.t(), states[places])
        return of_states.sum()

    return run


def reference(measured: Measured, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """The value and the gradient of the student's states, in float64, from the same numbers."""
    (student, teacher), (states, others) = inputs.heads, inputs.states
    weights = [head.weight.detach().double() for head in (student, teacher)]
    total, gradients = torch.zeros((), dtype=torch.float64, device=device()), []
    for places in torch.arange(inputs.positions, device=device()).split(REFERENCE_ROWS):
        rows = states.detach()[places].double().requires_grad_()
        logits, target = rows @ weights[0].t(), others[places].double() @ weights[1].t()
        value = _divergence(measured, target, logits).sum() / inputs.positions
        gradients.append(torch.autograd.grad(value, rows)[0])
        total += value.detach()
    return total, torch.cat(gradients)


def _divergence(measured: Measured, target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    match = measured.match
    return match.divergence(target.log_softmax(-1), logits.log_softmax(-1), **match.options)


def inputs_of_environment() -> Inputs:
    """The sizes that the environment names; smaller ones by default on a CPU."""
    small = device() == "cpu"
    positions = os.environ.get("KDBENCH_BENCH_POSITIONS", "512" if small else "8192")
    vocabulary = os.environ.get("KDBENCH_BENCH_VOCABULARY", "32000" if small else "151936")
    hidden = os.environ.get("KDBENCH_BENCH_HIDDEN", "896,1536").split(",")
    name = os.environ.get("KDBENCH_BENCH_PRECISION", "float32" if small else "bfloat16")
    sizes = [int(size) for size in hidden]
    return Inputs(int(positions), sizes, int(vocabulary), getattr(torch, name))
