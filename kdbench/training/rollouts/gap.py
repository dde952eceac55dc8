"""How far an engine's log-probabilities are from the trainer's, and the weights that correct it.

The engine draws a token from its own distribution μ, and the trainer takes it for a sample of the
student q. The two differ by the arithmetic (other kernels, another precision) and, with
`rollout_lag=`, by the steps in between. A policy gradient is an expectation under q, so each token
gets the importance weight q(y)/μ(y), truncated at the top: at most `rollout_weight_clip=`. This is
the per-token truncated importance sampling of public trainers (TRL, verl, OpenRLHF).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

ROLLOUT_WEIGHT = "rollout_weight"
"""Name of the recorded importance weight of a token."""

LogProbs = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Gap:
    """The gap over the tokens of some responses; d = log q(y) - log μ(y) of a token.

    Attributes:
        tokens: Number of tokens.
        absolute: The sum of |d|, nats.
        largest: The largest |d|, nats.
        k1: The sum of -d, whose mean estimates KL(μ‖q) without bias.
        k3: The sum of exp(d) - 1 - d, whose mean estimates the same, is never negative, and varies
            less (Schulman 2020).
    """

    tokens: int
    absolute: float
    largest: float
    k1: float
    k3: float


def gap_of(own: LogProbs, engine: LogProbs) -> Gap:
    """The gap between the trainer's and the engine's log-probabilities, row by row."""
    differences = [
        q - mu
        for own_row, engine_row in zip(own, engine, strict=True)
        for q, mu in zip(own_row, engine_row, strict=True)
    ]
    sizes = [abs(value) for value in differences]
    return Gap(
        len(differences),
        math.fsum(sizes),
        max(sizes, default=0.0),
        -math.fsum(differences),
        math.fsum(math.expm1(min(value, 700.0)) - value for value in differences),
    )


def weights_of(own: LogProbs, engine: LogProbs, clip: float) -> list[list[float]]:
    """The truncated importance weight of each token, min(q(y)/μ(y), `clip`), row by row."""
    most = math.log(clip)
    return [
        [math.exp(min(q - mu, most)) for q, mu in zip(own_row, engine_row, strict=True)]
        for own_row, engine_row in zip(own, engine, strict=True)
    ]
