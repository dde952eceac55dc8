"""A load's numbers by hand, with a clock that only the model's work moves."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from kdbench.errors import InputError
from kdbench.generate import Backend, Prompt, Row, Sample
from kdbench.serving.requests import make_requests
from kdbench.serving.timing import TimedRound, rounds_of, speed_of, time_load
from kdbench.store.speeds import SpeedLoad

TOKENS = 10


class Metronome(Backend):
    """Takes the next of the given seconds for each response; one token per letter of a prompt."""

    def __init__(self, seconds: Sequence[float], reports: bool = True):
        self._seconds, self._reports = list(seconds), reports
        self.now = 100.0
        self.prompts: list[tuple[int, ...]] = []
        self.sizes: list[int | None] = []

    def encode(self, prompt: str, message: Any) -> Prompt:  # noqa: ARG002
        self.now += 1000  # encoding is not timed
        return Prompt(tuple(map(ord, prompt))[:30], True)

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        self.sizes.append(self.batch_size)
        yield list(rows)

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        assert until == ()
        for row in rows:
            self.prompts.append(row.prompt_ids)
            self.now += self._seconds.pop(0)
            yield Sample(row.document, row.seed, "", TOKENS if self._reports else None)

    def clock(self) -> float:
        return self.now


def load(concurrency: int, requests: int, repeats: int) -> SpeedLoad:
    return SpeedLoad(
        prompt_tokens=30,
        new_tokens=TOKENS,
        concurrency=concurrency,
        requests=requests,
        repeats=repeats,
    )


def test_latency_runs_from_the_submission_and_the_warm_up_does_not_count() -> None:
    backend = Metronome([50, 50, 1, 2, 3, 1, 1, 1, 2, 2])
    advanced: list[int] = []
    repeats = time_load(backend, load(2, 4, 2), backend.clock, lambda: advanced.append(1))
    assert [[one.latencies for one in rounds] for rounds in repeats] == [
        [(1, 3), (3, 4)],
        [(1, 2), (2, 4)],
    ]
    assert len(advanced) == 4
    assert set(backend.sizes) == {2}
    speed = speed_of(repeats)
    # 40 tokens in 3 + 4 seconds, and 40 in 2 + 4.
    assert speed.tokens_per_second.value == pytest.approx(80 / 13)
    assert speed.tokens_per_second.low == pytest.approx(40 / 7)
    assert speed.tokens_per_second.high == pytest.approx(40 / 6)
    # All latencies in order: 1 1 2 2 3 3 4 4. The 95th percentile is at 0.95 * 7 = 6.65.
    assert speed.latency_p50.value == pytest.approx(2.5)
    assert speed.latency_p95.value == pytest.approx(4.0)
    assert (speed.latency_p50.low, speed.latency_p50.high) == pytest.approx((2.0, 3.0))


def test_percentiles_interpolate_between_requests() -> None:
    rounds = [TimedRound(1, latency, (latency,)) for latency in (1.0, 2.0, 3.0, 5.0)]
    speed = speed_of([rounds])
    assert speed.latency_p50.value == pytest.approx(2.5)
    assert speed.latency_p95.value == pytest.approx(3 + 0.85 * 2)
    assert speed.tokens_per_second.value == pytest.approx(4 / 11)


def test_requests_are_rounded_up_to_whole_rounds() -> None:
    assert [rounds_of(load(c, r, 1)) for c, r in ((1, 5), (4, 5), (8, 1), (5, 10))] == [5, 2, 1, 2]


def test_prompts_have_the_length_and_never_come_twice() -> None:
    backend = Metronome([1.0] * 10)
    time_load(backend, load(2, 4, 2), backend.clock, lambda: None)
    assert {len(prompt) for prompt in backend.prompts} == {30}
    assert len(set(backend.prompts)) == 10
    again = Metronome([1.0] * 10)
    time_load(again, load(2, 4, 2), again.clock, lambda: None)
    assert again.prompts == backend.prompts


def test_words_that_make_no_tokens_are_refused() -> None:
    class Mute(Metronome):
        def encode(self, prompt: str, message: Any) -> Prompt:  # noqa: ARG002
            return Prompt((1,), False)

    with pytest.raises(InputError, match=r"prompt_tokens=3: .* words do not make so many tokens"):
        make_requests(Mute([]), 1, 3, "r")


def test_a_backend_that_counts_no_tokens_needs_a_tokenizer() -> None:
    backend = Metronome([1.0] * 10, reports=False)
    with pytest.raises(InputError, match="reports no number of tokens; give the model's tokenizer"):
        time_load(backend, load(1, 1, 1), backend.clock, lambda: None)

    class Letters:
        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            assert not add_special_tokens
            return {"input_ids": [*map(ord, text), 1, 2, 3]}

    backend.tokenizer = Letters()
    (rounds,) = time_load(backend, load(1, 1, 1), backend.clock, lambda: None)
    assert [one.tokens for one in rounds] == [3]
