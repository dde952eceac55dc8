"""The head of a model: what goes into it, what follows it, and whether that is all of it."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.errors import InputError, reason_of
from kdbench.views.probe import distance, plain_logits, plainly, probe_tokens, tolerance
from kdbench.views.rollout import Batch, Rollout

if TYPE_CHECKING:
    import torch

# Settings that are named like those of other architectures, and do not follow the head.
_BEFORE_OR_UNUSED = {("minicpm3", "logits_scaling"), ("mpt", "logit_scale")}
# Logits of this size (root mean square) show any cap that a softmax would feel.
_LARGE = 50.0
_LENGTHS = (9, 4)
BEFORE_NORM = -2  # the number of the last layer's own output
_PROMPT = 2


class HeadView(Interface):
    """A view of a model through its head.

    Attributes:
        bare: the transformers model.
        head: its output embeddings.
        vocabulary: number of tokens V.
    """

    bare: Any
    head: Any
    vocabulary: int

    def autocast(self) -> AbstractContextManager[None]:
        """The precision in which model and head run."""

    def last_hidden(self, ids: "torch.Tensor") -> "torch.Tensor":
        """The head's input at each position, (rows, T, H)."""

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Float32 logits of some of the states, over V tokens."""


@dataclass(frozen=True)
class HeadInput:
    """What a forward pass gives at each position.

    Attributes:
        states: The states that the head is given, (rows, T, H).
        hidden: The states of the layers that were asked for, (rows, T, H) each; 0 are the
            embeddings, i what layer i returns, -1 the states that the head is given, and -2 the
            same before the final norm.
    """

    states: "torch.Tensor"
    hidden: "Mapping[int, torch.Tensor]"


def head_input(
    bare: Any,
    model: Any,
    ids: "torch.Tensor",
    layers: Collection[int] = (),
    positions: "torch.Tensor | None" = None,
) -> HeadInput:
    """Run a model up to its head.

    The head itself computes one position only, so that no logits of all positions are made.

    Args:
        bare: a transformers model.
        model: as it is called, perhaps wrapped.
        ids: (rows, T), padded on the right.
        layers: The layers whose states are returned as well, without a further forward pass.
        positions: The position of each token, where a row has several texts; None counts them.

    Raises:
        InputError: the head is not given a state for each position, or there is no such layer.
    """
    seen: list[torch.Tensor] = []

    def take(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        seen.append(given[0])
        # A copy and no slice: torch would copy the head's weights once for each row of a slice of
        # a frozen model's states.
        return (given[0][:, :1].contiguous(), *given[1:])

    before_norm: list[torch.Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        before_norm.append(output[0] if isinstance(output, tuple) else output)

    inner = [layer for layer in layers if layer not in (-1, BEFORE_NORM)]
    options: dict[str, Any] = {"output_hidden_states": True} if inner else {}
    options |= {} if positions is None else {"position_ids": positions}
    handles = [bare.get_output_embeddings().register_forward_pre_hook(take)]
    if BEFORE_NORM in layers:
        handles.append(_last_layer(bare).register_forward_hook(keep))
    try:
        output = model(input_ids=ids, use_cache=False, **options)
    finally:
        for handle in handles:
            handle.remove()
    if len(seen) != 1 or seen[0].shape[:-1] != ids.shape:
        raise InputError(
            f"{type(bare).__name__}: its head is not given one state for each token; this "
            "architecture is not supported"
        )
    hidden = {-1: seen[0]} if -1 in layers else {}
    if BEFORE_NORM in layers:
        hidden[BEFORE_NORM] = before_norm[-1]
    return HeadInput(seen[0], hidden | {layer: _layer(bare, output, layer) for layer in inner})


def _last_layer(bare: Any) -> Any:
    """The module of the last layer, whose output goes through the final norm."""
    from torch.nn import ModuleList

    count = bare.config.get_text_config().num_hidden_layers
    for module in bare.get_decoder().modules():
        if isinstance(module, ModuleList) and len(module) == count:
            return module[-1]
    raise InputError(
        f"{type(bare).__name__}: its {count} layers are in no list, so its states before the final "
        "norm are not known"
    )


def _layer(bare: Any, output: Any, layer: int) -> "torch.Tensor":
    states = getattr(output, "hidden_states", None)
    if not states:
        raise InputError(f"{type(bare).__name__} returns no hidden states of its layers")
    if not -len(states) <= layer < len(states):
        raise InputError(f"layer {layer}: {type(bare).__name__} has layers 0 to {len(states) - 1}")
    found: torch.Tensor = states[layer]
    return found


@dataclass(frozen=True)
class AfterHead:
    """What some architectures do to their head's output.

    Attributes:
        factor: Multiplies the logits.
        caps: Soft caps c, each of which makes the logits c tanh(logits / c).
    """

    factor: float
    caps: tuple[float, ...]

    def __call__(self, logits: "torch.Tensor") -> "torch.Tensor":
        """The model's logits, float32."""
        logits = logits.float()
        if self.factor != 1:
            logits = logits * self.factor
        for cap in self.caps:
            logits = cap * (logits / cap).tanh()
        return logits


def after_head(config: Any) -> AfterHead:
    """What a configuration says about it."""
    config, factor = config.get_text_config(), 1.0
    if scale := _number(config, "logit_scale"):  # Cohere
        factor *= scale
    if scale := _number(config, "logits_scaling"):  # Granite divides, HyperCLOVA X multiplies
        factor = factor * scale if config.model_type == "hyperclovax" else factor / scale
    if scale := _number(config, "lm_head_multiplier"):  # Falcon-H1
        factor *= scale
    # Gemma 2, RecurrentGemma, xLSTM
    names = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
    caps = tuple(cap for name in names if (cap := _number(config, name)))
    return AfterHead(factor, caps)


def _number(config: Any, name: str) -> float | None:
    """A setting of a configuration if it is a number that follows the head."""
    value = getattr(config, name, None)
    usable = isinstance(value, int | float) and (config.model_type, name) not in _BEFORE_OR_UNUSED
    return value if usable else None


def check_view(view: HeadView) -> None:
    """Compare a view's logits with the model's own.

    Small logits, as a model has before training, hide a cap; so the head's input is also scaled
    until they are large.

    Args:
        view: of a model; its mode is left as it is.

    Raises:
        InputError: they differ, or they are not finite.
    """
    bare = view.bare
    name = type(bare).__name__
    with plainly(bare):
        try:
            _check_rows(view)
            _check_large(view)
        except (RuntimeError, IndexError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, InputError) or _is_out_of_memory(error):
                raise
            raise InputError(
                f"{name}: its logits are not its head's output, which is computed in chunks; this "
                f"architecture is not supported ({type(error).__name__}: {reason_of(error, 200)})"
            ) from error


def _check_rows(view: HeadView) -> None:
    """Rows of two lengths, padded, against each of them alone."""
    import torch

    tokens = probe_tokens(view.bare, view.vocabulary, _LENGTHS)
    rollouts = [Rollout("", row[:_PROMPT], row[_PROMPT:], "dataset") for row in tokens]
    with view.autocast():
        alone = [plain_logits(view.bare, row)[_PROMPT - 1 : -1] for row in tokens]
    whole = torch.cat(alone)
    if not torch.isfinite(whole).all():
        raise InputError(
            f"{view.bare.name_or_path}: the logits are not finite: the weights are broken"
        )
    ids, rows, columns = Batch(rollouts, view.bare.device).inputs()
    states = view.last_hidden(ids)[rows, columns]
    limit = max(tolerance(states.dtype), tolerance(view.head(states).dtype))
    _compare(view, states, whole, limit)


def _check_large(view: HeadView) -> None:
    """One row whose states are scaled on their way into the head."""
    import torch

    (tokens,) = probe_tokens(view.bare, view.vocabulary, _LENGTHS[:1])
    ids = torch.tensor([tokens], device=view.bare.device)
    states = view.last_hidden(ids)[0]
    with view.autocast():
        small = view.head(states)
    size = float(small.float().square().mean().sqrt())
    factor = min(_LARGE / max(size, 1e-6), 1e4 / max(float(states.abs().max()), 1e-6))
    handle = view.head.register_forward_pre_hook(lambda _, given: (factor * given[0], *given[1:]))
    try:
        with view.autocast():
            whole = plain_logits(view.bare, tokens)
    finally:
        handle.remove()
    limit = max(1e-4, 8 * torch.finfo(small.dtype).eps)
    _compare(view, factor * states, whole, limit)


def _compare(view: HeadView, states: "torch.Tensor", whole: "torch.Tensor", limit: float) -> None:
    difference = distance(view.logits(states), whole[:, : view.vocabulary])
    if not difference <= limit:
        raise InputError(
            f"{type(view.bare).__name__}: its logits are not its head's output, which is computed "
            f"in chunks (they differ by {difference:.2g} of their spread); this architecture is "
            "not supported"
        )


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError)
