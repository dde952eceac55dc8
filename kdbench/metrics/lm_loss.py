"""Language-model loss on the first reference.

Metric: mean over the reference's tokens, EOS included, of -log q(token | prompt, previous tokens);
        then the mean over documents; nats. A reference longer than the protocol's response limit
        is cut there, without EOS.
Source: logged along with ROUGE-L by MiniLLM's evaluation, which does not count EOS.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from kdbench.errors import InputError
from kdbench.metrics import ForwardMetric, Reference, metrics
from kdbench.views import batches_by_length, reference_tokens, vocabulary_size
from kdbench.views.probe import accepts, distance, plainly, probe_tokens, tolerance
from kdbench.views.rope import rope_limit

if TYPE_CHECKING:
    import torch


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
        if len(pairs) > 1 and _must_be_alone(model, vocabulary, pairs):
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
# What is known of models, each checked once: whether padding on the left changes their logits.
_KNOWN: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def _losses(model: Any, vocabulary: int, pairs: Sequence[Pair]) -> list[float]:
    """Of each pair of prompt and target."""
    import torch

    with torch.inference_mode():
        logits = _logits(model, pairs)[..., :vocabulary]
        return [float(_cross_entropy(logits[row], target)) for row, (_, target) in enumerate(pairs)]


def _must_be_alone(model: Any, vocabulary: int, pairs: Sequence[Pair]) -> bool:
    """Whether rows have other losses in a batch."""
    limit = rope_limit(model.config)
    longest = max(len(prompt) + len(target) for prompt, target in pairs)
    too_long = limit is not None and longest > limit
    return too_long or _padding_disturbs(model, vocabulary)


def _padding_disturbs(model: Any, vocabulary: int) -> bool:
    """Whether a short row has other logits in a batch with a long one."""
    if model not in _KNOWN:
        with plainly(model):
            rows = probe_tokens(model, vocabulary, (4, 17))
            pairs = [(row[:1], list(row[1:])) for row in rows]
            together = _logits(model, pairs)[0, -4:, :vocabulary].float()
            alone = _logits(model, pairs[:1])[0, -4:, :vocabulary].float()
            _KNOWN[model] = distance(together, alone) > tolerance(model.dtype)
    return _KNOWN[model]


def _logits(model: Any, pairs: Sequence[Pair]) -> "torch.Tensor":
    """Padded on the left, so that all responses end together and few logits are needed."""
    import torch

    longest = max(len(prompt) + len(target) for prompt, target in pairs)
    ids = torch.zeros(len(pairs), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (prompt, target) in enumerate(pairs):
        whole = [*prompt, *target]
        ids[row, longest - len(whole) :] = torch.tensor(whole)
        mask[row, longest - len(whole) :] = 1
    inputs = {"input_ids": ids.to(model.device)}
    if accepts(model, "attention_mask"):
        inputs["attention_mask"] = mask.to(model.device)
    if accepts(model, "position_ids"):
        inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0).to(model.device)
    kept = max(len(target) for _, target in pairs) + 1
    extra = {"logits_to_keep": kept} if accepts(model, "logits_to_keep") else {}
    logits: torch.Tensor = model(**inputs, use_cache=False, **extra).logits
    return logits


def _cross_entropy(logits: Any, target: list[int]) -> Any:
    import torch

    predictions = logits[-len(target) - 1 : -1].float()
    targets = torch.tensor(target, device=logits.device)
    return torch.nn.functional.cross_entropy(predictions, targets)
