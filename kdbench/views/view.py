"""Views: named models that score the response tokens of a batch.

A view first gives a hidden state for each response token, which is small. It then gives the logits,
which are large, for one chunk of tokens at a time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy, deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.errors import InputError
from kdbench.views.head import AfterHead, after_head, check_view, head_input
from kdbench.views.mixing import mixed_inputs
from kdbench.views.packing import PackedInputs, packed_inputs
from kdbench.views.rollout import Batch, PromptOf, Rollout
from kdbench.views.rope import rope_limit

if TYPE_CHECKING:
    import torch

# Elements of a (chunk, V) tensor: few, to fit a CPU's caches; many, to keep a GPU busy.
_ELEMENTS = {"cpu": 2**23}
_ELEMENTS_ELSEWHERE = 2**27
# Logits of student and teacher and their gradient, half of them in float32, while others need room.
_BYTES_PER_ELEMENT, _SHARE_OF_FREE = 16, 0.25
_OWN_FORWARD = "_own_forward_of_kdbench"


class View(Interface):
    """A model as an objective sees it: `teacher`, `classmate` and so on."""

    def states(self, batch: Batch) -> "torch.Tensor":
        """A hidden state for each response token, shape (N, H)."""

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Float32 logits over the tokenizer's vocabulary, shape (n, H) to (n, V)."""


class LayeredView(View, Interface):
    """A view that also gives the states of its layers, and whose head can be trained.

    Attributes:
        vocabulary: Number of tokens V.
    """

    vocabulary: int

    @property
    def head_parameters(self) -> "Sequence[torch.Tensor]":
        """The tensors of the head that are trained."""

    @property
    def finish(self) -> "Callable[[torch.Tensor], torch.Tensor]":
        """What makes logits of the head's output, elementwise, in float32."""

    def autocast(self) -> AbstractContextManager[None]:
        """The precision in which the head runs."""

    def read(
        self, batch: Batch, layers: Collection[int]
    ) -> "tuple[torch.Tensor, Mapping[int, torch.Tensor]]":
        """`states`, and those of some layers, (N, H) each."""

    def raw(self, states: "torch.Tensor") -> "torch.Tensor":
        """The head's own output over the tokenizer's vocabulary, in its own precision, (n, V)."""


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

    def asked(self, prompt: PromptOf) -> "ModelView":
        """The same model as another view, which is shown other prompts."""
        other = copy(self)
        other._prompt = prompt
        return other

    def prompt_ids(self, rollout: Rollout) -> tuple[int, ...]:
        """The prompt of a rollout as this view is shown it."""
        return tuple(self._prompt(rollout)) if self._prompt else rollout.prompt_ids

    def states(self, batch: Batch) -> "torch.Tensor":
        """A hidden state for each response token."""
        return self.read(batch, ())[0]

    def read(
        self, batch: Batch, layers: Collection[int]
    ) -> "tuple[torch.Tensor, Mapping[int, torch.Tensor]]":
        """A hidden state for each response token, and those of some layers, in one forward pass.

        Args:
            batch: The responses.
            layers: 0 are the embeddings, i what layer i returns, -1 what the head is given, and -2
                the same before the final norm.

        Returns:
            What the head is given, (N, H), and the states of each layer, (N, H).
        """
        import torch

        packed = packed_inputs(batch, self._prompt)
        if packed is not None:
            return self._read_packed(packed, batch, layers)
        ids, rows, columns = (given.to(self.bare.device) for given in batch.inputs(self._prompt))
        if len(ids) > 1 and self._rope_limit and ids.shape[1] > self._rope_limit:
            # The longest row would change the positions of all.
            alone = [self.read(Batch([row], batch.device), layers) for row in batch.rollouts]
            hidden = {layer: torch.cat([states[layer] for _, states in alone]) for layer in layers}
            return torch.cat([states for states, _ in alone]), hidden
        embeddings = self.bare.get_input_embeddings()
        with self.autocast(), mixed_inputs(embeddings, ids, batch, self._prompt):
            given = head_input(self.bare, self.model, ids, layers)
        here = batch.device
        hidden = {n: states[rows, columns].to(here) for n, states in given.hidden.items()}
        return given.states[rows, columns].to(here), hidden

    def _read_packed(
        self, packed: PackedInputs, batch: Batch, layers: Collection[int]
    ) -> "tuple[torch.Tensor, Mapping[int, torch.Tensor]]":
        ids, positions, rows, columns = (given.to(self.bare.device) for given in packed)
        with self.autocast():
            given = head_input(self.bare, self.model, ids, layers, positions)
        here = batch.device
        hidden = {n: states[rows, columns].to(here) for n, states in given.hidden.items()}
        return given.states[rows, columns].to(here), hidden

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Float32 logits of some of the states, over V tokens."""
        return self.finish(self.raw(states))

    def raw(self, states: "torch.Tensor") -> "torch.Tensor":
        """The head's own output over V tokens, in its own precision."""
        return self._scores(states)[..., : self.vocabulary]

    @cached_property
    def finish(self) -> AfterHead:
        """What makes logits of the head's output."""
        return after_head(self.bare.config)

    @property
    def head_parameters(self) -> "list[torch.Tensor]":
        """The tensors of the head that are trained."""
        return [parameter for parameter in self.head.parameters() if parameter.requires_grad]

    @property
    def linear_head(self) -> "tuple[torch.Tensor, torch.Tensor | None] | None":
        """Weights (V, H) and bias (V,) of a plain linear head, detached; None for any other.

        Raises:
            InputError: Processes share the head's weights.
        """
        import torch

        kind = torch.nn.Linear
        if not isinstance(self.head, kind) or type(self.head).forward is not kind.forward:
            return None
        rows, weight, bias = slice(self.vocabulary), self.head.weight, self.head.bias
        refuse_divided(weight, "the head's weights")
        dtype = weight.dtype
        with self.autocast():
            if torch.is_autocast_enabled(weight.device.type):
                dtype = torch.get_autocast_dtype(weight.device.type)
        weight = weight.detach()[rows].to(dtype)
        return weight, None if bias is None else bias.detach()[rows].to(dtype)

    def embed(self, tokens: "torch.Tensor") -> "torch.Tensor":
        """The model's input embeddings of tokens of its own, (n,) to (n, H).

        Raises:
            InputError: Processes share the embeddings' weights.
        """
        table = self.bare.get_input_embeddings()
        refuse_divided(table.weight, "embeddings")
        embeddings: torch.Tensor = table(tokens.to(table.weight.device))
        return embeddings

    def log_probs(self, states: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Float32 log-probabilities over V tokens, and the probability that was cut off.

        Args:
            states: Hidden states, (n, H).

        Returns:
            Log-probabilities (n, V), and the probability (n,) that the whole head gives to tokens
            beyond V.
        """
        scores = self.finish(self._scores(states))
        kept = scores[..., : self.vocabulary]
        if kept.shape == scores.shape:
            return kept.log_softmax(-1), scores.new_zeros(len(scores))
        beyond = scores[..., self.vocabulary :].logsumexp(-1) - scores.logsumexp(-1)
        return kept.log_softmax(-1), beyond.exp()

    def _scores(self, states: "torch.Tensor") -> "torch.Tensor":
        """The head's output with its padding."""
        with self.autocast():
            scores: torch.Tensor = self._call_head(states)
        if scores.shape[-1] < self.vocabulary:
            raise InputError(
                f"the model's head has {scores.shape[-1]} tokens, its tokenizer {self.vocabulary}: "
                "they do not belong together"
            )
        return scores

    def _call_head(self, states: "torch.Tensor") -> Any:
        """Call the head; within `inside_head`, its own code, as its hooks have run.

        That may be another view's, as a student without its adapter has the student's head.
        """
        return vars(self.head).get(_OWN_FORWARD, self.head)(states)

    def inside_head(
        self, states: "torch.Tensor", work: "Callable[[], torch.Tensor]"
    ) -> "torch.Tensor":
        """Do some work as if it were the head's forward pass.

        What gathers or moves a head's weights around its forward pass, such as DeepSpeed, then does
        so once, however many chunks the work has.

        Args:
            states: What the head is said to be given.
            work: Returns a tensor, with gradient.
        """
        head = self.head
        kept, own = vars(head).get("forward"), head.forward

        def stand_in(*_: Any, **__: Any) -> "torch.Tensor":
            head.forward = own  # for a model with this head that is run during the work
            return work()

        vars(head)[_OWN_FORWARD], head.forward = own, stand_in
        try:
            result: torch.Tensor = head(states)
        finally:
            del vars(head)[_OWN_FORWARD]
            if kept is None:
                del head.forward
            else:
                head.forward = kept
        return result

    def bring_head(self, device: "torch.device | str") -> None:
        """Have the logits computed on a device, by a copy of a frozen head if it is elsewhere.

        Only states are then moved between devices, which are far smaller than logits.

        Args:
            device: Where the student is.
        """
        import torch

        if torch.empty(0, device=device).device != next(self.head.parameters()).device:
            self.head = deepcopy(self.head).to(device)

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
            return head_input(self.bare, self.model, ids).states


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


def chunk_length(vocabulary: int, device: "torch.device | str") -> int:
    """Number of positions in a chunk.

    Args:
        vocabulary: Number of tokens V.
        device: Where the chunk is; on a GPU its free memory counts as well.
    """
    import torch

    device = torch.device(device)
    elements = _ELEMENTS.get(device.type, _ELEMENTS_ELSEWHERE)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        elements = min(elements, int(_SHARE_OF_FREE * (free + idle) / _BYTES_PER_ELEMENT))
    return max(16, elements // vocabulary)


def bare_model(model: Any) -> Any:
    """The transformers model inside the wrappers of accelerate and peft."""
    from accelerate.utils import extract_model_from_parallel

    model = extract_model_from_parallel(model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def refuse_divided(weight: Any, what: str) -> None:
    """Refuse weights that are read outside of their module, which gathers them for itself alone.

    FSDP2 leaves those of the head whole until the backward pass; ZeRO-3 does not.

    Args:
        weight: The weights.
        what: Their name in the message.

    Raises:
        InputError: A process has a part of them.
    """
    if hasattr(weight, "ds_id") or hasattr(weight, "device_mesh"):
        raise InputError(f"the method reads {what}, which FSDP and DeepSpeed divide up")
