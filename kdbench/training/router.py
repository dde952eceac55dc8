"""The router loss of a student with experts, which keeps the load of the experts balanced."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.notes import Notes
from kdbench.views.rollout import Rollout, response_tokens
from kdbench.views.view import bare_model

if TYPE_CHECKING:
    import torch


def without_router_logits(model: Any) -> Any:
    """Have a model return no router logits, which it cannot compute while it generates."""
    config = model.config.get_text_config()
    if getattr(config, "output_router_logits", False):
        config.output_router_logits = False
    return model


class RouterLoss:
    """Adds the loss that the architecture itself computes from its routers.

    It is computed in training alone. Padding counts, as the models are given no attention mask.

    Args:
        model: The student.
        weight: The factor of the loss.

    Raises:
        InputError: the student has no routers, or an adapter.
    """

    def __init__(self, model: Any, weight: float):
        self.weight = weight
        self._value: torch.Tensor | None = None
        bare = bare_model(model)
        if not hasattr(bare.config.get_text_config(), "output_router_logits"):
            raise InputError(f"router_loss=: {type(bare).__name__} has no router loss")
        if hasattr(model, "get_base_model"):
            raise InputError("router_loss=: not available with lora_rank=, which trains no router")
        bare.register_forward_pre_hook(self._ask, with_kwargs=True)
        bare.register_forward_hook(self._keep)

    def take(self) -> "torch.Tensor":
        """The loss of the last forward pass, a scalar with gradient.

        Raises:
            InputError: the architecture did not compute one.
        """
        value, self._value = self._value, None
        if value is None:
            raise InputError("router_loss=: this architecture computes no router loss")
        return value

    def share(self, rollouts: Sequence[Rollout], share: float, notes: Notes) -> "torch.Tensor":
        """The last micro-batch's share of the weighted loss, a mean over the step's tokens.

        Args:
            rollouts: The micro-batch.
            share: Its tokens' share of those of the whole step.
            notes: Where the loss is noted for the log.
        """
        tokens, loss = response_tokens(rollouts), self.take()
        notes.add("loss/router", float(loss.detach()) * tokens, tokens)
        return self.weight * loss * share

    @staticmethod
    def _ask(model: Any, args: Any, options: dict[str, Any]) -> Any:
        return args, {**options, "output_router_logits": True} if model.training else options

    def _keep(self, model: Any, _: Any, output: Any) -> None:
        if model.training:
            self._value = getattr(output, "aux_loss", None)
