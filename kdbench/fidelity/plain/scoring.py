"""Both models over the second half of a chunk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.views import Batch, ModelView, Rollout, chunk_length

if TYPE_CHECKING:
    import numpy as np
    import torch

_TENSORS = 8  # tensors of shape (n, V), most of them in float64


@dataclass(frozen=True)
class ChunkValues:
    """The numbers of a chunk, float64 of shape (n,) each, n = positions of its second half.

    Attributes:
        kl: KL(p‖q) of the teacher's distribution p and the model's q, in nats.
        log_q: The model's log-probability of the text's next token.
        log_p: The teacher's.
        same_top: 1 where both have the same most likely token, else 0; ties go to the lowest id.
    """

    kl: "np.ndarray"
    log_q: "np.ndarray"
    log_p: "np.ndarray"
    same_top: "np.ndarray"


def score_chunk(chunk: Sequence[int], student: ModelView, teacher: ModelView) -> ChunkValues:
    """Compare two models on the tokens of a chunk's second half.

    The softmax is taken in float64: the KL of 8-bit weights is near the rounding of float32.

    Args:
        chunk: Tokens of the chunk, the context of each being all before it.
        student: The model.
        teacher: What it is compared with, over the same tokens.

    Raises:
        InputError: Logits are not finite.
    """
    import torch

    first = len(chunk) // 2 + 1
    rollout = Rollout("chunk", tuple(chunk[:first]), tuple(chunk[first:]), "dataset")
    with torch.inference_mode():
        ours, theirs = (Batch([rollout], view.model.device) for view in (student, teacher))
        states, teacher_states = student.states(ours), teacher.states(theirs)
        size = max(16, chunk_length(student.vocabulary, states.device.type) // _TENSORS)
        parts = [
            _values(
                student.logits(states[rows]),
                teacher.logits(teacher_states[rows]).to(states.device),
                ours.targets[rows],
            )
            for rows in torch.arange(len(states)).split(size)
        ]
        columns = torch.cat(parts, dim=-1).cpu().numpy()
    return ChunkValues(*columns)


def _values(
    logits: "torch.Tensor", teacher_logits: "torch.Tensor", targets: "torch.Tensor"
) -> "torch.Tensor":
    """The rows of `ChunkValues` for some positions, (4, n)."""
    import torch

    log_q, log_p = (scores.double().log_softmax(-1) for scores in (logits, teacher_logits))
    if not (torch.isfinite(logits).all() and torch.isfinite(teacher_logits).all()):
        raise InputError(
            "the logits on the text are not finite: the weights of model or teacher are broken, or "
            "too large for dtype=float16 (try bfloat16)"
        )
    kl = forward_kl(log_p, log_q).clamp(min=0)
    of_targets = (log.gather(-1, targets[:, None])[:, 0] for log in (log_q, log_p))
    # argmax, whose ties go to the lowest id on every device
    top_q, top_p = ((log == log.amax(-1, True)).int().argmax(-1) for log in (log_q, log_p))
    return torch.stack([kl, *of_targets, (top_q == top_p).double()])
