"""Attention between the positions of two models, whose tokens need not be the same.

Source: the cross-model attention (CMA) of DSKD (Zhang et al. 2024, arXiv 2406.17328) and its public
code, criterions/dual_space_kd_with_cross_model_attention.py.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kdbench.divergence import forward_kl
from kdbench.training.aligned import AlignedView
from kdbench.training.objective import StepObjective, Whole
from kdbench.training.target import tempered
from kdbench.views.reading import Way
from kdbench.views.rollout import Batch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CrossModelAttention(StepObjective):
    """CE(t2s) + KL(t2s‖q) where t2s is right + KL(p‖s2t), by attention between positions.

    With index embeddings [e(x), e(y)] of input and target token at each position of a response, the
    weights are those of softmax(Q[e_S] · [e_T]/std / sqrt(2 H_T)). The teacher's value is the
    projection of h_T/std + e_T(y)/std, the student's that of h_S; s2t has the transposed scores.
    The standard deviations are those over a response; the code's are over the batch.

    Attributes:
        temperature: Divides the logits of both divergences.
    """

    bridges: ClassVar[Way | None] = "first"  # type: ignore[misc]
    floor: ClassVar[float | None] = None
    temperature: float = 2.0

    def step(self, whole: Whole) -> "torch.Tensor":
        """The sum over the student's tokens; the teacher's tokens of a response count as many."""
        view = whole.views["teacher"]
        own, states = whole.batch, whole.states("teacher")
        if isinstance(view, AlignedView):
            reading, states = view.own_reading(whole.batch)
            own = reading.batch
        states = states.to(whole.batch.device)
        logits, ours = whole.logits("student"), whole.states("student")
        dtype = next(whole.parts["query"].parameters()).dtype
        total = logits.sum() * 0.0
        places = zip(_spans(whole.batch), _spans(own), whole.batch.rollouts, strict=True)
        for mine, theirs, rollout in places:
            row = _Row(whole, own, mine, theirs, ours[mine], states[theirs].to(dtype))
            total = total + rollout.weight * self._of_row(row, logits[mine])
        return total

    def _of_row(self, row: "_Row", logits: "torch.Tensor") -> "torch.Tensor":
        whole, targets = row.whole, row.targets
        t2s, s2t = row.exchanged()
        t2s_logits = whole.head("student")(t2s)
        s2t_logits, teacher = whole.head("teacher")(s2t), whole.head("teacher")(row.states)
        log_t2s = t2s_logits.log_softmax(-1)
        of_target = log_t2s.gather(-1, targets[:, None])[:, 0]
        right = t2s_logits.argmax(-1) == targets
        target, log_q, log_p, projected = (
            tempered(some, self.temperature)
            for some in (t2s_logits.detach(), logits, teacher, s2t_logits)
        )
        of_teacher = forward_kl(log_p, projected).mean() * len(targets)
        return -of_target.sum() + (right * forward_kl(target, log_q)).sum() + of_teacher

    def __str__(self) -> str:
        return f"cross_model_attention(temperature={self.temperature:g})"


@dataclass(frozen=True)
class _Row:
    """A response as both models read it.

    Attributes:
        whole: The micro-batch.
        own: It in the teacher's tokens.
        mine: The student's places of the response.
        theirs: The teacher's.
        hidden: The student's last states, (n, H), with gradient.
        states: The teacher's, (m, H).
    """

    whole: Whole
    own: Batch
    mine: slice
    theirs: slice
    hidden: "torch.Tensor"
    states: "torch.Tensor"

    @property
    def targets(self) -> "torch.Tensor":
        """The student's tokens, (n,)."""
        return self.whole.batch.targets[self.mine]

    def exchanged(self) -> "tuple[torch.Tensor, torch.Tensor]":
        """The teacher's states at the student's places, (n, H), and the other way round."""
        import torch

        parts, dtype = self.whole.parts, self.states.dtype
        asked = self._index("student", self.whole.batch, self.mine)
        known = self._index("teacher", self.own, self.theirs)
        of_target = known[:, known.shape[-1] // 2 :]
        keys = (known / _spread(known)).to(dtype)
        scores = parts["query"](asked.to(dtype)) @ keys.T / math.sqrt(keys.shape[-1])
        value = self.states / _spread(self.states) + (of_target / _spread(of_target)).to(dtype)
        t2s = torch.softmax(scores, -1) @ parts["to_student"](value)
        s2t = torch.softmax(scores.T, -1) @ parts["to_teacher"](self.hidden.to(dtype))
        return t2s, s2t

    def _index(self, view: str, batch: Batch, places: slice) -> "torch.Tensor":
        """The embeddings of input and target token at each place, (n, 2 H)."""
        import torch

        before = [(row.prompt_ids[-1], *row.response_ids[:-1]) for row in batch.rollouts]
        inputs = [token for row in before for token in row]
        tokens = torch.tensor(inputs, device=batch.device)[places], batch.targets[places]
        return torch.cat([self.whole.embed(view, some) for some in tokens], -1)


def _spread(values: "torch.Tensor") -> "torch.Tensor":
    return values.std().clamp(min=1e-6)


def _spans(batch: Batch) -> Iterator[slice]:
    first = 0
    for length in batch.lengths:
        yield slice(first, first + length)
        first += length
