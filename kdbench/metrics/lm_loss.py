"""Language-model loss on the first reference.

Metric: mean over the reference's tokens, EOS included, of -log q(token | prompt, previous tokens);
        then the mean over documents; nats. A reference longer than the protocol's response limit
        is cut there, without EOS.
Source: logged along with ROUGE-L by MiniLLM's evaluation, which does not count EOS.
"""

import math
from collections.abc import Sequence
from typing import Any

from kdbench.errors import InputError
from kdbench.metrics import ForwardMetric, Reference, metrics
from kdbench.views import batches_by_length, reference_tokens, vocabulary_size
from kdbench.views.padding import last_logits, must_be_alone


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
        vocabulary = vocabulary_size(tokenizer)
        if len(pairs) > 1 and must_be_alone(model, vocabulary, _rows(pairs)):
            losses = [_losses(model, vocabulary, [pair])[0] for pair in pairs]
        else:
            losses = _losses(model, vocabulary, pairs)
        for reference, loss in zip(batch, losses, strict=True):
            if not math.isfinite(loss):
                raise InputError(
                    f"the lm_loss of document '{reference.document}' is not finite: the model's "
                    "weights may be broken"
                )
        return losses


Pair = tuple[tuple[int, ...], list[int]]


def _losses(model: Any, vocabulary: int, pairs: Sequence[Pair]) -> list[float]:
    """Of each pair of prompt and target."""
    import torch

    with torch.inference_mode():
        kept = max(len(target) for _, target in pairs) + 1
        logits = last_logits(model, _rows(pairs), kept)[..., :vocabulary]
        return [float(_cross_entropy(logits[row], target)) for row, (_, target) in enumerate(pairs)]


def _rows(pairs: Sequence[Pair]) -> list[list[int]]:
    return [[*prompt, *target] for prompt, target in pairs]


def _cross_entropy(logits: Any, target: list[int]) -> Any:
    import torch

    predictions = logits[-len(target) - 1 : -1].float()
    targets = torch.tensor(target, device=logits.device)
    return torch.nn.functional.cross_entropy(predictions, targets)
