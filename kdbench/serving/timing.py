"""Timing a load: rounds of simultaneous requests, each until its last token.

A round submits as many requests as the load's concurrency at once, and the next round starts when
all have their last token. With responses of one length, that is what as many clients see that each
send a request as soon as the last one is answered.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kdbench.errors import InputError
from kdbench.generate import Backend, Row, Sample
from kdbench.serving.requests import make_requests
from kdbench.store.speeds import SpeedLoad, Spread

Clock = Callable[[], float]
"""A function that returns seconds, of which only differences count."""


@dataclass(frozen=True)
class TimedRound:
    """What a round took.

    Attributes:
        tokens: Number of generated tokens.
        seconds: Seconds from the submission to the last token of all.
        latencies: Seconds from the submission to the last token of each request.
    """

    tokens: int
    seconds: float
    latencies: tuple[float, ...]


def rounds_of(load: SpeedLoad) -> int:
    """The number of rounds in a repeat."""
    return math.ceil(load.requests / load.concurrency)


def time_load(
    backend: Backend, load: SpeedLoad, clock: Clock, advance: Callable[[], None]
) -> list[list[TimedRound]]:
    """Time every repeat of a load, after a round that does not count.

    Args:
        backend: Backend that generates.
        load: What it has to do.
        clock: Clock that measures.
        advance: Function to call after each round.

    Returns:
        The rounds of each repeat.

    Raises:
        InputError: The backend fails, or does not tell how many tokens it generates.
    """
    # The first round compiles, allocates and starts engines.
    _round(backend, _rows(backend, load, "warm-up"), clock)
    repeats = []
    for repeat in range(load.repeats):
        rounds = []
        for number in range(rounds_of(load)):
            rounds.append(_round(backend, _rows(backend, load, f"{repeat}-{number}"), clock))
            advance()
        repeats.append(rounds)
    return repeats


def _rows(backend: Backend, load: SpeedLoad, name: str) -> list[Row]:
    return make_requests(
        backend, load.concurrency, load.prompt_tokens, f"{load.concurrency}-{name}"
    )


def _round(backend: Backend, rows: Sequence[Row], clock: Clock) -> TimedRound:
    backend.batch_size = len(rows)
    ends: list[tuple[Sample, float]] = []
    start = clock()
    for batch in backend.batches(rows):
        for sample in backend.generate(batch, ()):
            ends.append((sample, clock() - start))
    seconds = clock() - start
    tokens = sum(_tokens(backend, sample) for sample, _ in ends)
    return TimedRound(tokens, seconds, tuple(latency for _, latency in ends))


def _tokens(backend: Backend, sample: Sample) -> int:
    """The number of generated tokens.

    Raises:
        InputError: It is not known.
    """
    if sample.n_tokens is not None:
        return sample.n_tokens
    if backend.tokenizer is None:
        raise InputError(
            "this backend reports no number of tokens; give the model's tokenizer, as in "
            "backend_options=tokenizer=PATH"
        )
    return len(backend.tokenizer(sample.output, add_special_tokens=False)["input_ids"])


class MeasuredSpeed(NamedTuple):
    """The speed under a load."""

    tokens_per_second: Spread
    latency_p50: Spread
    latency_p95: Spread


def speed_of(repeats: Sequence[Sequence[TimedRound]]) -> MeasuredSpeed:
    """Tokens per second and percentiles of the latency, with their spread over repeats.

    The percentiles interpolate linearly between requests, as numpy does by default.

    Args:
        repeats: The rounds of each repeat.
    """
    import numpy as np

    everything = [one for rounds in repeats for one in rounds]

    def rate(rounds: Sequence[TimedRound]) -> float:
        seconds = sum(one.seconds for one in rounds)
        return sum(one.tokens for one in rounds) / seconds if seconds else 0.0

    def percentile(rounds: Sequence[TimedRound], percent: float) -> float:
        latencies = [latency for one in rounds for latency in one.latencies]
        return float(np.percentile(latencies, percent))

    def spread(of: Callable[[Sequence[TimedRound]], float]) -> Spread:
        single = [of(rounds) for rounds in repeats]
        return Spread(value=of(everything), low=min(single), high=max(single))

    return MeasuredSpeed(
        spread(rate),
        spread(lambda rounds: percentile(rounds, 50)),
        spread(lambda rounds: percentile(rounds, 95)),
    )
