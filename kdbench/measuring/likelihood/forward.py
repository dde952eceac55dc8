"""Log-probabilities of given texts under a transformers model.

They do not depend on what else is measured, up to the rounding of the forward pass: rows are padded
on the left under a mask, and models that padding disturbs read one row at a time. Rows that read
the same tokens share one forward pass, as the one-token options of a question do. As in lm-eval,
the softmax is over the whole head; it is computed in float32.
"""

import math
from collections.abc import Sequence
from typing import Any

from kdbench.errors import InputError
from kdbench.measuring.likelihood.encoding import Scored
from kdbench.views import batches_by_length, vocabulary_size
from kdbench.views.padding import last_logits, must_be_alone


def log_likelihoods(
    model: Any, tokenizer: Any, texts: Sequence[Scored]
) -> list[tuple[float, bool]]:
    """Return the log-probability of each target, in nats, and whether it is the greedy text.

    Args:
        model: transformers model in evaluation mode.
        tokenizer: Tokenizer of the model.
        texts: Texts to score.

    Raises:
        InputError: A log-probability is not finite, or a token is not in the model's embedding.
    """
    rows: dict[tuple[int, ...], list[int]] = {}
    for index, text in enumerate(texts):
        rows.setdefault(text.given, []).append(index)
    tokens = model.get_input_embeddings().num_embeddings
    if any(max(text.given + text.target) >= tokens for text in texts):
        raise InputError(
            "the tokenizer has more tokens than the model's embedding: they do not belong together"
        )
    scores: dict[int, tuple[float, bool]] = {}
    distinct = list(rows)
    for batch in batches_by_length(distinct, [len(row) for row in distinct]):
        alone = len(batch) > 1 and must_be_alone(model, vocabulary_size(tokenizer), batch)
        for part in [[row] for row in batch] if alone else [batch]:
            scores |= _scores(model, part, rows, texts)
    return [scores[index] for index in range(len(texts))]


def _scores(
    model: Any,
    batch: Sequence[tuple[int, ...]],
    rows: dict[tuple[int, ...], list[int]],
    texts: Sequence[Scored],
) -> dict[int, tuple[float, bool]]:
    """Return the scores of the texts that read the rows of one forward pass, by index."""
    import torch

    found = {}
    kept = max(len(texts[index].target) for row in batch for index in rows[row])
    with torch.inference_mode():
        logits = last_logits(model, batch, kept)
        for of_row, row in zip(logits, batch, strict=True):
            longest = max(len(texts[index].target) for index in rows[row])
            log_p = torch.log_softmax(of_row[-longest:].float(), dim=-1)
            likeliest = log_p.argmax(dim=-1)
            for index in rows[row]:
                target = torch.tensor(texts[index].target, device=log_p.device)
                chosen = log_p[-len(target) :].gather(-1, target[:, None])
                greedy = bool((likeliest[-len(target) :] == target).all())
                found[index] = float(chosen.sum()), greedy
    for value, _ in found.values():
        if not math.isfinite(value):
            raise InputError(
                "a log-probability is not finite: the weights are broken, or too large for "
                "dtype=float16 (try bfloat16)"
            )
    return found
