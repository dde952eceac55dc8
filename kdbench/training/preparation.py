"""What a method can look at before the first step, to find out statistics of models and rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.cached_teacher import CachedTeacherView
from kdbench.views.rollout import Batch, Example, of_dataset, response_tokens
from kdbench.views.view import ModelView

if TYPE_CHECKING:
    import torch


@dataclass
class Preparation:
    """The models and rows of a run before its first step.

    Nothing that is computed here has a gradient, and the models are in evaluation mode.

    Attributes:
        train: The training examples, with the responses to learn from.
        valid: The validation examples.
        tokenizer: The tokenizer of student and teacher.
        vocabulary: Number of tokens V.
        stage: What the stage is called; empty in a run of one stage.
        seed: The seed of the run; random numbers of torch are drawn from it.
        device: Where the models are.
        micro_batch_size: Rows per forward pass.
        load: Returns the view of `student` or `teacher`.
        advance: Called after each row, to show progress.
        tokens: The number of response tokens that were read.
    """

    train: Sequence[Example]
    valid: Sequence[Example]
    tokenizer: Any
    vocabulary: int
    stage: str
    seed: int
    device: Any
    micro_batch_size: int
    load: Callable[[str], "ModelView | CachedTeacherView"] = field(repr=False)
    advance: Callable[[], None] = field(default=lambda: None, repr=False)
    tokens: int = 0

    def view(self, name: str) -> ModelView:
        """The `student` as it is before the first step, or the `teacher`, loaded if necessary.

        Raises:
            InputError: There is no such view, no teacher is given, or it is a cache.
        """
        own = self.load(name)
        if isinstance(own, CachedTeacherView):
            raise InputError(f"prepare() asks for the view '{name}', which is a cache")
        return own

    def batches(self, examples: Sequence[Example] | None = None) -> Iterator[Batch]:
        """Yield examples in micro-batches, in their order; the training examples by default."""
        examples = self.train if examples is None else examples
        for start in range(0, len(examples), self.micro_batch_size):
            rollouts = [
                of_dataset(example) for example in examples[start : start + self.micro_batch_size]
            ]
            self.tokens += response_tokens(rollouts)
            yield Batch(rollouts, self.device)
            for _ in rollouts:
                self.advance()

    def hidden(self, view: str, batch: Batch, layer: int = -1) -> "torch.Tensor":
        """The states of a layer at each response token, float32, (N, H).

        Args:
            view: Whose states.
            batch: The responses.
            layer: 0 are the embeddings, i what layer i returns, -1 what the head is given, -2 the
                same before the final norm.
        """
        states, layers = self.view(view).read(batch, (layer,) if layer != -1 else ())
        return (states if layer == -1 else layers[layer]).float()

    def likeliest(self, view: str, batch: Batch, count: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """The log-probabilities of the likeliest tokens and these tokens, falling, (N, count) each.

        A cache is enough for the teacher's, if it has as many.

        Args:
            view: Whose log-probabilities.
            batch: The responses.
            count: Number of tokens.
        """
        own = self.load(view)
        if isinstance(own, CachedTeacherView):
            top_k = own.top_k(batch)
            return top_k.log_p[:, :count], top_k.ids[:, :count]
        top = self.log_probs(view, batch).topk(count, dim=-1)
        return top.values, top.indices

    def log_probs(self, view: str, batch: Batch) -> "torch.Tensor":
        """The log-probabilities at each response token, float32, (N, V)."""
        own = self.view(view)
        return own.logits(own.states(batch)).log_softmax(-1)
