"""Merging a further head into that of the finished student."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def merged_weights(
    own: "torch.Tensor", other: "torch.Tensor", weight: float, temperature: float
) -> "torch.Tensor":
    """The head w W_a + (1-w) W_b/β, (V, H), whose softmax is the log-linear mixture of the two."""
    return weight * own + (1 - weight) * other / temperature


def merge_head(weight: float, temperature: float, model: Any, module: Any) -> None:
    """Mix a linear head without bias into a model's, which is not the embeddings' any more.

    A bias of the model's head is mixed with that of the other one, which is 0.

    Args:
        weight: w, that of the model's own head.
        temperature: β, divides the other head's logits.
        model: The student's model.
        module: The other head, of the first rows of the model's.
    """
    import torch

    head = model.get_output_embeddings()
    weights = head.weight.detach().clone()
    other = module.weight.to(weights.dtype)
    weights[: len(other)] = merged_weights(weights[: len(other)], other, weight, temperature)
    head.weight = torch.nn.Parameter(weights)
    if getattr(head, "bias", None) is not None:
        with torch.no_grad():
            head.bias[: len(other)] *= weight
    model.config.get_text_config().tie_word_embeddings = False
    model.config.tie_word_embeddings = False
