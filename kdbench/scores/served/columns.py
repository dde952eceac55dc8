"""A server's log-probabilities of a text in the cache's form, each number checked."""

import math
from collections.abc import Sequence
from typing import Any

from kdbench.scores.cache import ScoreColumns
from kdbench.scores.served.apis import Position

# A tail below the rounding error of k float32 probabilities means nothing. It must not be 0, or the
# reverse divergences would be infinite. As for the engine of `teacher_scores=engine`.
_LEAST_TAIL = 1e-6
_MOST_MASS = 1 + 1e-3
_LEAST_LOG_P = -9000.0  # vLLM sends -9999 for minus infinity, which JSON lacks


class ScoresError(ValueError):
    """A reply whose numbers are no log-probabilities of the text that was sent."""


def columns_of(
    positions: Sequence[Position], tokens: Sequence[int], top_k: int, vocabulary: int
) -> ScoreColumns:
    """Check a server's scores of a response, and bring them into the cache's form.

    Args:
        positions: What the server says about each of the response's N tokens.
        tokens: The response's tokens.
        top_k: Number k of likeliest tokens.
        vocabulary: Number of tokens of the teacher.

    Returns:
        `log_p` and `ids` (N, k), in descending order; `tail`, the log of the other tokens'
        probability, `target` and `entropy`, which is not known, (N,); float32.

    Raises:
        ScoresError: There are too few positions or tokens, a token is not the one that was sent, or
            a number is not a log-probability.
    """
    import torch

    if len(positions) != len(tokens):
        raise ScoresError(f"{len(positions)} positions for {len(tokens)} tokens of the response")
    rows = [_row(at, token, top_k) for at, token in zip(positions, tokens, strict=True)]
    largest = max((token for row in rows for token, _ in row), default=0)
    if largest >= vocabulary:
        raise ScoresError(f"token {largest} is likely, and the tokenizer has {vocabulary} tokens")
    log_p = torch.tensor([[value for _, value in row] for row in rows])
    rest = 1 - log_p.double().exp().sum(-1)
    return {
        "log_p": log_p,
        "ids": torch.tensor([[token for token, _ in row] for row in rows], dtype=torch.int32),
        "tail": rest.clamp(min=_LEAST_TAIL).log().float(),
        "entropy": torch.full((len(rows),), torch.nan),
        "target": torch.tensor([float(at.log_p) for at in positions]).clamp(max=0.0),
    }


def _row(at: Position, token: int, top_k: int) -> list[tuple[int, float]]:
    """The k likeliest tokens of a position and their log-probabilities, in descending order."""
    if at.token != token:
        given = "none" if at.token is None else str(at.token)
        raise ScoresError(f"a token that was sent as {token} came back as {given}")
    _check(at.log_p, "of the text's own token")
    listed = dict(at.likeliest)
    if len(listed) < len(at.likeliest):
        raise ScoresError("the same token twice among the likeliest of a position")
    for value in listed.values():
        _check(value, "of a likely token")
    # Of as many tokens of equal probability, the server's order decides, as topk's does.
    row = sorted(((key, min(float(value), 0.0)) for key, value in listed.items()), key=_descending)
    if len(row) < top_k:
        raise ScoresError(
            f"{len(row)} likely tokens at a position instead of {top_k}; lower teacher_top_k=, or "
            "let the server give as many"
        )
    mass = math.fsum(math.exp(value) for _, value in row[:top_k])
    if mass > _MOST_MASS:
        raise ScoresError(f"probabilities of a position sum to {mass:.4f}")
    if token in listed and abs(listed[token] - at.log_p) > 1e-3:
        raise ScoresError(f"two log-probabilities of token {token}: {at.log_p}, {listed[token]}")
    return row[:top_k]


def _descending(item: tuple[int, float]) -> float:
    return -item[1]


def _check(value: Any, whose: str) -> None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or math.isnan(value):
        raise ScoresError(f"the log-probability {whose} is {value}")
    if value < _LEAST_LOG_P:
        raise ScoresError(
            f"the log-probability {whose} is minus infinity: the server cuts or masks its "
            "distribution, so let it give raw log-probabilities"
        )
    if value > 1e-3:
        raise ScoresError(f"the log-probability {whose} is {value:.4g}, above 0")
