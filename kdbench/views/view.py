"""Views: named models that score the response tokens of a batch.

A view first gives a hidden state for each response token, which is small. It then gives the logits,
which are large, for one chunk of tokens at a time.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.errors import InputError
from kdbench.views.rollout import Batch, Rollout

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
        self._prompt, self._autocast = prompt, autocast
        self._bare = bare_model(model)
        self._head = self._bare.get_output_embeddings()
        accepts = inspect.signature(type(self._bare).forward).parameters
        self._few_logits = "logits_to_keep" in accepts
        if self._head is None:
            raise InputError(f"{type(self._bare).__name__} has no language-model head")

    def states(self, batch: Batch) -> "torch.Tensor":
        """A hidden state for each response token."""
        ids, rows, columns = batch.inputs(self._prompt)
        states: torch.Tensor = self._last_hidden(ids)[rows, columns]
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
        """Logits over the first `width` tokens of the head; over all if None."""
        with self._autocast():
            logits = self._head(states)
        if logits.shape[-1] < self.vocabulary:
            raise InputError(
                f"the model's head has {logits.shape[-1]} tokens, its tokenizer {self.vocabulary}: "
                "they do not belong together"
            )
        return _after_head(self._bare.config, logits[..., :width].float())

    def check(self) -> None:
        """Check that the head's output equals the model's logits, on a few tokens.

        Raises:
            InputError: they differ, as the architecture changes its logits in an unknown way, or
                they are not finite.
        """
        import torch

        batch = Batch([Rollout("", (0, 1), (2, 3, 0), "dataset")], self._bare.device)
        training = self._bare.training
        self._bare.eval()
        with torch.no_grad(), self._autocast():
            ids, rows, columns = batch.inputs()
            whole = self._bare(input_ids=ids, use_cache=False).logits[rows, columns].float()
            ours = self.logits(self._last_hidden(ids)[rows, columns])
        self._bare.train(training)
        width = self.vocabulary
        if not torch.isfinite(whole).all():
            raise InputError(
                f"{self._bare.name_or_path}: its logits are not finite: the weights are broken"
            )
        if not torch.allclose(whole[:, :width], ours, rtol=5e-2, atol=5e-2):
            raise InputError(
                f"{type(self._bare).__name__}: its logits are not its head's output, which the "
                "loss computes in chunks; this architecture is not supported"
            )

    def _last_hidden(self, ids: "torch.Tensor") -> "torch.Tensor":
        """The decoder's last hidden states, (rows, T, H), from a call of the wrapped model."""
        import torch

        outputs: list[torch.Tensor] = []
        handle = self._bare.get_decoder().register_forward_hook(
            lambda _, __, output: outputs.append(output[0])
        )
        try:
            # An index and not a number: a slice of a frozen model's states is not contiguous, and
            # torch would copy the head's weights once for each row of the batch.
            first = torch.zeros(1, dtype=torch.long, device=ids.device)
            options = {"logits_to_keep": first} if self._few_logits else {}
            with self._autocast():
                self.model(input_ids=ids, use_cache=False, **options)
        finally:
            handle.remove()
        if not outputs:
            raise InputError(
                f"{type(self._bare).__name__}: its decoder was not found; this architecture is not "
                "supported"
            )
        return outputs[0]


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


def _after_head(config: Any, logits: "torch.Tensor") -> "torch.Tensor":
    """Apply what some architectures do to their head's output."""
    config = config.get_text_config()
    if scale := getattr(config, "logit_scale", None):  # Cohere
        logits = logits * scale
    if scale := getattr(config, "logits_scaling", None):  # Granite
        logits = logits / scale
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
        logits = cap * (logits / cap).tanh()
    return logits
