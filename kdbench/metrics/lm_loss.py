"""Language-model loss on the first reference.

Metric: mean over the reference's tokens, EOS included, of -log q(token | prompt, previous tokens);
        then the mean over documents; nats. A reference longer than the protocol's response limit
        is cut there, without EOS.
Source: logged along with ROUGE-L by MiniLLM's evaluation, which does not count EOS.
"""

import inspect
import math
from collections.abc import Sequence
from typing import Any

from kdbench.errors import InputError
from kdbench.metrics import ForwardMetric, Reference, metrics
from kdbench.views import batches_by_length, reference_tokens, vocabulary_size


@metrics.register("lm_loss")
class LMLoss(ForwardMetric):
    """Mean cross-entropy per token of the first reference."""

    name = "lm_loss"
    unit = "nats"
    direction = "lower"

    def batches(
        self, tokenizer: Any, references: Sequence[Reference], limit: int
    ) -> list[list[Reference]]:
        """Group references by length, longest first, with a bounded number of tokens per batch."""
        lengths = [
            len(reference.prompt_ids) + len(reference_tokens(tokenizer, reference.text, limit))
            for reference in references
        ]
        return batches_by_length(references, lengths)

    def measure(
        self, model: Any, tokenizer: Any, batch: Sequence[Reference], limit: int
    ) -> list[float]:
        """Return the mean token loss of each reference."""
        pairs = [
            (reference.prompt_ids, reference_tokens(tokenizer, reference.text, limit))
            for reference in batch
        ]
        losses = _losses(model, vocabulary_size(tokenizer), pairs)
        for reference, loss in zip(batch, losses, strict=True):
            if not math.isfinite(loss):
                raise InputError(
                    f"the lm_loss of document '{reference.document}' is not finite: the model's "
                    "weights may be broken"
                )
        return losses


def _losses(
    model: Any, vocabulary: int, pairs: Sequence[tuple[tuple[int, ...], list[int]]]
) -> list[float]:
    """Compute the mean loss of each target after its prompt.

    Sequences are padded on the left, so that all targets end together and few logits are needed.
    """
    import torch

    longest = max(len(prompt) + len(target) for prompt, target in pairs)
    ids = torch.zeros(len(pairs), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (prompt, target) in enumerate(pairs):
        tokens = [*prompt, *target]
        ids[row, longest - len(tokens) :] = torch.tensor(tokens)
        mask[row, longest - len(tokens) :] = 1
    accepts = inspect.signature(model.forward).parameters
    inputs = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
    if "position_ids" in accepts:
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    kept = max(len(target) for _, target in pairs) + 1
    extra = {"logits_to_keep": kept} if "logits_to_keep" in accepts else {}
    with torch.inference_mode():
        logits = model(**inputs, use_cache=False, **extra).logits[..., :vocabulary]
        return [float(_cross_entropy(logits[row], target)) for row, (_, target) in enumerate(pairs)]


def _cross_entropy(logits: Any, target: list[int]) -> Any:
    import torch

    predictions = logits[-len(target) - 1 : -1].float()
    targets = torch.tensor(target, device=logits.device)
    return torch.nn.functional.cross_entropy(predictions, targets)
