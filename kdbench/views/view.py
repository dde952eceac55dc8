"""Views: named models that score the response tokens of a batch.

A view first gives a hidden state for each response token, which is small. It then gives the logits,
which are large, for one chunk of tokens at a time.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.errors import InputError
from kdbench.views.head import after_head, check_view, head_input
from kdbench.views.rollout import Batch, Rollout
from kdbench.views.rope import rope_limit

if TYPE_CHECKING:
    import torch

# Elements of a (chunk, V) tensor: few, to fit a CPU's caches; many, to keep a GPU busy.
_ELEMENTS = {"cpu": 2**23}
_ELEMENTS_ELSEWHERE = 2**27
PromptOf = Callable[[Rollout], Sequence[int]]


class View(Interface):
    """A model as an objective sees it: `teacher`, `classmate` and so on."""

    def states(self, batch: Batch) -> "torch.Tensor":
        """A hidden state for each response token, shape (N, H)."""

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Float32 logits over the tokenizer's vocabulary, shape (n, H) to (n, V)."""


class ModelView:
    """A transformers model as a view.

    Args:
        model: The model as it is called, perhaps wrapped by accelerate.
        vocabulary: Number of tokens V. Logits beyond it, which are padding of the head, are cut off
            before any softmax, on all views.
        prompt: Returns the prompt of this view, for context that the student does not see; None
            shows the rollout's prompt.
        autocast: Returns a context with the precision in which model and head run.

    Raises:
        InputError: the model has no language-model head.
    """

    def __init__(
        self,
        model: Any,
        vocabulary: int,
        prompt: PromptOf | None = None,
        autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    ):
        self.model, self.vocabulary = model, vocabulary
        self._prompt, self.autocast = prompt, autocast
        self.bare = bare_model(model)
        self.head = self.bare.get_output_embeddings()
        self._rope_limit = rope_limit(self.bare.config)
        if self.head is None:
            raise InputError(f"{type(self.bare).__name__} has no language-model head")

    def states(self, batch: Batch) -> "torch.Tensor":
        """A hidden state for each response token."""
        import torch

        ids, rows, columns = batch.inputs(self._prompt)
        if len(ids) > 1 and self._rope_limit and ids.shape[1] > self._rope_limit:
            # The longest row would change the positions of all.
            alone = [self.states(Batch([rollout], batch.device)) for rollout in batch.rollouts]
            return torch.cat(alone)
        states: torch.Tensor = self.last_hidden(ids)[rows, columns]
        return states

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Float32 logits of some of the states, over V tokens."""
        return self._scores(states, self.vocabulary)

    def log_probs(self, states: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Float32 log-probabilities over V tokens, and the probability that was cut off.

        Args:
            states: Hidden states, (n, H).

        Returns:
            Log-probabilities (n, V), and the probability (n,) that the whole head gives to tokens
            beyond V.
        """
        scores = self._scores(states, None)
        kept = scores[..., : self.vocabulary]
        if kept.shape == scores.shape:
            return kept.log_softmax(-1), scores.new_zeros(len(scores))
        beyond = scores[..., self.vocabulary :].logsumexp(-1) - scores.logsumexp(-1)
        return kept.log_softmax(-1), beyond.exp()

    def _scores(self, states: "torch.Tensor", width: int | None) -> "torch.Tensor":
        """Logits over the head's first tokens, over all with its padding if None."""
        with self.autocast():
            logits = self.head(states)
        if logits.shape[-1] < self.vocabulary:
            raise InputError(
                f"the model's head has {logits.shape[-1]} tokens, its tokenizer {self.vocabulary}: "
                "they do not belong together"
            )
        return after_head(self.bare.config, logits[..., :width].float())

    def check(self) -> None:
        """Check that the head's output equals the model's logits, on a few tokens.

        Raises:
            InputError: they differ, as the architecture changes its logits in an unknown way, or
                they are not finite.
        """
        check_view(self)

    def last_hidden(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Through the model as it is called, so that wrappers do their part."""
        with self.autocast():
            return head_input(self.bare, self.model, ids)


class UniformView:
    """A view under which all tokens are equally likely: a control for guided methods."""

    def __init__(self, vocabulary: int):
        self.vocabulary = vocabulary

    def states(self, batch: Batch) -> "torch.Tensor":
        """Empty states, (N, 0)."""
        import torch

        return torch.zeros(len(batch.targets), 0, device=batch.device)

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Zero logits, (n, V)."""
        return states.new_zeros(len(states), self.vocabulary)


def chunk_length(vocabulary: int, device: str) -> int:
    """Number of positions in a chunk, for a vocabulary and a type of device such as `cuda`."""
    return max(16, _ELEMENTS.get(device, _ELEMENTS_ELSEWHERE) // vocabulary)


def bare_model(model: Any) -> Any:
    """The transformers model inside the wrappers of accelerate and peft."""
    from accelerate.utils import extract_model_from_parallel

    model = extract_model_from_parallel(model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model
