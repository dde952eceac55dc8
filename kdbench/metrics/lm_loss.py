"""Language-model loss on the first reference.

Metric: mean over the reference's tokens, EOS included, of -log q(token | prompt, tokens before);
        then the mean over documents; nats. A reference longer than the protocol's response limit
        is cut there, without EOS.
Source: logged beside ROUGE-L by MiniLLM's evaluation.
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
    """Mean token loss on the first reference."""

    name = "lm_loss"
    unit = "nats"
    direction = "lower"

    def batches(
        self, tokenizer: Any, references: Sequence[Reference], limit: int
    ) -> list[list[Reference]]:
        """Longest sequences first, a bounded number of tokens each."""

        def length(one: Reference) -> int:
            return len(one.prompt_ids) + len(reference_tokens(tokenizer, one.text, limit))

        return batches_by_length(references, [length(one) for one in references])

    def measure(
        self, model: Any, tokenizer: Any, batch: Sequence[Reference], limit: int
    ) -> list[float]:
        """Mean token loss of each reference."""
        pairs = [(one.prompt_ids, reference_tokens(tokenizer, one.text, limit)) for one in batch]
        losses = _losses(model, vocabulary_size(tokenizer), pairs)
        for one, loss in zip(batch, losses, strict=True):
            if not math.isfinite(loss):
                raise InputError(
                    f"lm_loss of document '{one.document}' is not finite: broken weights?"
                )
        return losses


def _losses(
    model: Any, vocabulary: int, pairs: Sequence[tuple[tuple[int, ...], list[int]]]
) -> list[float]:
    """Padded on the left, so that all responses end together and few logits are needed."""
    import torch

    longest = max(len(prompt) + len(target) for prompt, target in pairs)
    ids = torch.zeros(len(pairs), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (prompt, target) in enumerate(pairs):
        whole = [*prompt, *target]
        ids[row, longest - len(whole) :] = torch.tensor(whole)
        mask[row, longest - len(whole) :] = 1
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
    wanted = torch.tensor(target, device=logits.device)
    return torch.nn.functional.cross_entropy(predictions, wanted)
