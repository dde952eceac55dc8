"""What the trainer works on: method, models, data and limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdbench.protocol import Protocol
from kdbench.training.compiled import Compiles
from kdbench.training.rollouts import RolloutPlan
from kdbench.training.triple import Triple
from kdbench.views.reading import Reader
from kdbench.views.rollout import Example
from kdbench.views.view import View

if TYPE_CHECKING:
    from pathlib import Path

    import torch


@dataclass(frozen=True)
class Work:
    """What a trainer is given in addition to transformers' own arguments.

    Attributes:
        triple: The method's objective, source, schedule, companions and parts.
        teacher: The teacher's model; None if the method needs none in memory.
        tokenizer: The student's tokenizer, whose end token the student learns.
        vocabulary: Number of tokens V that student and teacher share.
        train: The training examples.
        valid: The validation examples for the loss.
        sampled: Those validation examples that are answered for ROUGE-L.
        sampling: Length limits and decoding of the student's responses in training.
        validation_sampling: Length limits and decoding in validation.
        micro_batch_size: Rows per forward pass.
        generation_batch_size: Rows that decode at once; None chooses it from the free memory.
        select: What decides which student is kept: `rougeL`, `loss` or `last`.
        student_at_start: Loads a new copy of the student as it was before training.
        router_loss: Weight of the router loss of a student with experts; 0 is without.
        chunk_tokens: Positions in a chunk of the loss; None chooses it from the vocabulary.
        compile_loss: Whether the loss of a chunk is compiled; `auto` is on a GPU.
        cached_teacher: The view of a teacher whose scores are cached; None if it has none.
        statistics: What the method's preparation found, by name.
        reader: How the teacher reads responses in its own tokens; None if they are the student's.
        rollouts: The engine that generates the student's responses; None leaves it to the trainer.
        watch: Checkpoints whose divergence from the student is logged, by name; None is the run's
            own teacher.
    """

    triple: Triple
    teacher: Any
    tokenizer: Any
    vocabulary: int
    train: Sequence[Example]
    valid: Sequence[Example]
    sampled: Sequence[Example]
    sampling: Protocol
    validation_sampling: Protocol
    micro_batch_size: int
    generation_batch_size: int | None
    select: str
    student_at_start: Callable[[], Any]
    router_loss: float = 0.0
    chunk_tokens: int | None = None
    compile_loss: Compiles = "auto"
    cached_teacher: View | None = None
    statistics: "Mapping[str, torch.Tensor]" = field(default_factory=dict)
    reader: Reader | None = None
    rollouts: RolloutPlan | None = None
    watch: "Mapping[str, Path | None]" = field(default_factory=dict)
