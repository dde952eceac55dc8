"""Rows whose input embeddings are mixed with those of a partner row, on every view alike.

Each row stays as long as it is. The two are aligned where their responses begin; where the partner
has no token, before its prompt or after its end, the row's own embedding stays.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kdbench.views.rollout import Batch, PromptOf

if TYPE_CHECKING:
    import torch


@contextmanager
def mixed_inputs(
    embeddings: Any, ids: "torch.Tensor", batch: Batch, prompt: PromptOf | None = None
) -> Iterator[None]:
    """Let a model's input embeddings give mixtures, λ e(x) + (1-λ) e(x'), while it runs.

    λ = 1 gives the row's own embeddings to the last bit.

    Args:
        embeddings: The module that embeds input ids.
        ids: What the model is given, (rows, T).
        batch: The rows.
        prompt: Returns the prompt that the view is shown instead of the rollout's.
    """
    if all(row.mix is None for row in batch.rollouts):
        yield
        return
    others, shares = partners(ids, batch, prompt)

    def mix(module: Any, _: Any, output: Any) -> Any:
        import torch

        its = module.forward(others)  # by the module's own code, which no hook sees
        return torch.lerp(its, output, shares[..., None].to(output.dtype))

    handle = embeddings.register_forward_hook(mix)
    try:
        yield
    finally:
        handle.remove()


def partners(
    ids: "torch.Tensor", batch: Batch, prompt: PromptOf | None = None
) -> "tuple[torch.Tensor, torch.Tensor]":
    """The partner's token at each place, (rows, T), and λ there, 1 where it has none."""
    import torch

    others, shares = ids.clone(), torch.ones(ids.shape, device=ids.device)
    for number, row in enumerate(batch.rollouts):
        if row.mix is None:
            continue
        partner = row.mix.partner
        own = len(tuple(prompt(row)) if prompt else row.prompt_ids)
        before = tuple(prompt(partner)) if prompt else partner.prompt_ids
        kept = before[-own:]
        inputs = (*kept, *partner.response_ids[:-1])
        start = own - len(kept)
        end = min(start + len(inputs), own + len(row.response_ids) - 1)
        others[number, start:end] = torch.tensor(inputs[: end - start], device=ids.device)
        shares[number, start:end] = row.mix.share
    return others, shares
