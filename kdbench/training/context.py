"""What the parts of a method can look at when training begins."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.protocol import Protocol
from kdbench.views.rollout import Example
from kdbench.views.view import View

if TYPE_CHECKING:
    import torch

SumTensors = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Context:
    """The models, data and means of a run, for objective, source, schedule and companions.

    Attributes:
        student: The student's model.
        teacher: The teacher's model; None if it is not in memory.
        views: The views by name; a companion sees those that were made before it.
        vocabulary: Number of tokens V.
        tokenizer: The student's tokenizer, which is the teacher's too unless the method bridges.
        train: The training examples.
        valid: The validation examples.
        parts: The method's own modules by name.
        sampling: Form of the prompts, length limits and decoding of responses to learn from.
        statistics: What `Method.prepare` returned.
        device: Where the student is.
        max_grad_norm: The norm to which gradients are clipped.
        micro_batch_size: Rows per forward pass.
        chunk_tokens: Positions in a chunk of the loss; None chooses it.
        student_at_start: Returns a new copy of the student as it was before training.
        optimizer_for: Returns an optimiser for another model, with the settings of the student's.
        autocast: Returns a context in which models run in the precision of the training.
        sum_over_processes: Returns the sum of a tensor over all processes.
        note: Adds a value to the means of the log's next line, by name.
        gradients: Gradients of single responses on a small group of the student's parameters; see
            `kdbench.training.gradients.StudentGradients`.
    """

    student: Any
    teacher: Any
    views: Mapping[str, View]
    vocabulary: int
    tokenizer: Any
    train: Sequence[Example]
    valid: Sequence[Example]
    parts: Mapping[str, Any]
    sampling: Protocol
    statistics: "Mapping[str, torch.Tensor]"
    device: Any
    max_grad_norm: float
    micro_batch_size: int
    chunk_tokens: int | None
    student_at_start: Callable[[], Any]
    optimizer_for: Callable[[Any], Any]
    autocast: Callable[[], AbstractContextManager[None]]
    sum_over_processes: SumTensors
    note: Callable[[str, float], None]
    gradients: Any
