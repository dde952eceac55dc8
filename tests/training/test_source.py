"""Data sources: the examples of a step, their shares, and identical resumption."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from kdbench.generate import Row
from kdbench.training.draw import StepDraw
from kdbench.training.mixture import FromMixture
from kdbench.training.source import (
    FromDataset,
    FromStudent,
    FromTeacher,
    Source,
    keyed_uniform,
    sample_without_repetition,
)
from kdbench.training.sources.replay import FromReplay
from kdbench.training.sources.wrapper import WithPretraining
from kdbench.views.rollout import Example, Rollout

EXAMPLES = [Example(f"e{n}", (n, n + 1), (100 + n, 1), (f"text {n}",)) for n in range(40)]


@dataclass
class FakeDraw:
    """A step whose student never answers with the same tokens twice."""

    step: int
    examples: Sequence[Example] = field(default_factory=lambda: EXAMPLES[:4])
    schedule: Mapping[str, float] = field(default_factory=dict)
    u: float | None = None
    rank: int = 0
    seed: int = 7
    asked: list[tuple[int, float]] = field(default_factory=list)
    fresh: list[Rollout] = field(default_factory=list)

    @property
    def size(self) -> int:
        return max(4, len(self.examples))

    def uniform(self, name: str) -> float:
        return keyed_uniform(self.seed, self.step, name) if self.u is None else self.u

    def own_uniform(self, name: str) -> float:
        return keyed_uniform(self.seed, self.step, name, self.rank)

    def more_examples(self, count: int) -> list[Example]:
        return sample_without_repetition(EXAMPLES, count, lambda n: self.own_uniform(f"more {n}"))

    def stream(self, start: int, count: int) -> list[Example]:
        return [EXAMPLES[(2 * number + self.rank) % 40] for number in range(start, start + count)]

    def student_responses(
        self, examples: Sequence[Example], teacher_weight: float = 0.0
    ) -> list[Rollout]:
        self.asked.append((len(examples), teacher_weight))
        self.fresh = [
            Rollout(e.id, e.prompt_ids, (1000 * (self.step + 1) + place, 1), "student")
            for place, e in enumerate(examples)
        ]
        return list(self.fresh)

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        scale = {"student": 1e-3, "teacher": 1e-4}[view]
        return [[-token * scale for token in rollout.response_ids] for rollout in rollouts]


def batch_at(step: int) -> list[Example]:
    start = 4 * step % 40
    return EXAMPLES[start : start + 4]


def of_the_dataset(examples: Sequence[Example]) -> list[Rollout]:
    return [Rollout(e.id, e.prompt_ids, e.response_ids, "dataset") for e in examples]


def record(draw: FakeDraw, rollouts: Sequence[Rollout]) -> list[Rollout]:
    student = draw.target_log_probs(rollouts, "student")
    teacher = draw.target_log_probs(rollouts, "teacher")
    return [
        rollout.with_recorded(old=q, advantage=[b / 3 - a for a, b in zip(q, p, strict=True)])
        for rollout, q, p in zip(rollouts, student, teacher, strict=True)
    ]


def mixture(weight: float = 0.2, batches: int = 3, passes: int = 4) -> FromMixture:
    return FromMixture(weight, batches, passes, record)


def test_the_dataset_gives_its_own_responses() -> None:
    draw = FakeDraw(0)
    assert FromDataset().rollouts(draw) == of_the_dataset(draw.examples)
    assert draw.asked == []
    assert not FromDataset().uses_teacher


def test_teacher_responses_belong_to_the_examples_and_are_marked() -> None:
    draw = FakeDraw(0)
    rollouts = FromTeacher().rollouts(draw)
    assert [rollout.origin for rollout in rollouts] == ["teacher"] * 4
    assert [rollout.response_ids for rollout in rollouts] == [e.response_ids for e in draw.examples]
    assert draw.asked == []


def test_the_student_learns_from_the_samples_just_drawn() -> None:
    source = FromStudent()
    for step in range(30):
        draw = FakeDraw(step, batch_at(step))
        rollouts = source.rollouts(draw)
        assert rollouts == draw.fresh
        assert [rollout.id for rollout in rollouts] == [e.id for e in draw.examples]
        assert draw.asked == [(4, 0.0)]


def test_without_a_share_the_student_never_generates() -> None:
    for step in range(200):
        draw = FakeDraw(step, batch_at(step))
        assert FromStudent(0.0).rollouts(draw) == of_the_dataset(draw.examples)
        assert draw.asked == []


def test_a_share_applies_to_steps_and_a_batch_has_one_source() -> None:
    source, kinds = FromStudent(0.5), Counter()
    for step in range(2000):
        (kind,) = {rollout.origin for rollout in source.rollouts(FakeDraw(step))}
        kinds[kind] += 1
    assert set(kinds) == {"student", "dataset"}
    assert stats.binomtest(kinds["student"], 2000, 0.5).pvalue > 1e-3


def test_the_kind_of_a_batch_is_the_same_on_every_process() -> None:
    for step in range(50):
        kinds = {FromStudent(0.5).rollouts(FakeDraw(step, rank=r))[0].origin for r in range(4)}
        assert len(kinds) == 1


def test_any_share_is_respected() -> None:
    for fraction in (0.1, 0.8):
        steps = [FromStudent(fraction).rollouts(FakeDraw(step))[0].origin for step in range(1500)]
        count = steps.count("student")
        assert stats.binomtest(count, 1500, fraction).pvalue > 1e-3


@pytest.mark.parametrize(
    ("u", "filled", "kind"),
    [
        (0.05, 12, "fresh"),  # u < refresh
        (0.0999, 12, "fresh"),
        (0.1, 12, "buffer"),  # refresh <= u < threshold
        (0.3999, 12, "buffer"),
        (0.4, 12, "dataset"),  # u >= threshold
        (0.9, 12, "dataset"),
        (0.05, 8, "fresh"),
        (0.2, 8, "fresh"),  # the buffer is not full
        (0.2, 0, "fresh"),
        (0.4, 0, "dataset"),
        (0.9, 8, "dataset"),
    ],
)
def test_each_branch_of_the_replay_source(u: float, filled: int, kind: str) -> None:
    source = FromReplay(capacity=12)
    source.buffer = [Rollout(f"b{n}", (n,), (n, 1), "student") for n in range(filled)]
    before = list(source.buffer)
    draw = FakeDraw(3, schedule={"threshold": 0.4, "refresh": 0.1}, u=u)
    rollouts = source.rollouts(draw)
    assert len(rollouts) == 4
    if kind == "fresh":
        assert rollouts == draw.fresh
        assert source.buffer == [*before, *draw.fresh][-12:]
    else:
        assert draw.asked == []
        assert source.buffer == before
    if kind == "buffer":
        assert len({rollout.id for rollout in rollouts}) == 4
        assert all(rollout in before for rollout in rollouts)
    if kind == "dataset":
        assert rollouts == of_the_dataset(draw.examples)


def test_the_replay_source_follows_the_papers_rule() -> None:
    """Follow the rule of the paper's code step by step, with a rising threshold."""
    source, queue, seen = FromReplay(capacity=20), [], Counter()
    for step in range(600):
        threshold = min(1.0, 0.1 * (step // 60))
        refresh = threshold * (1 - step / 600)
        u = keyed_uniform("u", step)
        draw = FakeDraw(step, batch_at(step), {"threshold": threshold, "refresh": refresh}, u)
        before = list(queue)
        rollouts = source.rollouts(draw)
        if u < refresh or (u < threshold and len(before) < 20):
            seen["fresh"] += 1
            assert rollouts == draw.fresh
            queue = [*queue, *draw.fresh][-20:]
        elif u < threshold:
            seen["buffer"] += 1
            assert draw.asked == []
            assert all(rollout in before for rollout in rollouts)
            assert len({rollout.response_ids for rollout in rollouts}) == 4
        else:
            seen["dataset"] += 1
            assert rollouts == of_the_dataset(draw.examples)
        assert source.buffer == queue
    assert min(seen.values()) > 50


def test_without_a_threshold_the_student_never_generates() -> None:
    source = FromReplay()
    for step in range(100):
        draw = FakeDraw(step, schedule={"threshold": 0.0, "refresh": 0.0})
        assert source.rollouts(draw) == of_the_dataset(draw.examples)
        assert draw.asked == []
    assert source.buffer == []


def test_buffer_rows_are_drawn_uniformly_and_differently_by_each_process() -> None:
    source = FromReplay(capacity=16)
    source.buffer = [Rollout(f"b{n}", (n,), (n, 1), "student") for n in range(16)]
    schedule = {"threshold": 1.0, "refresh": 0.0}
    drawn = Counter[str]()
    for step in range(1000):
        drawn.update(rollout.id for rollout in source.rollouts(FakeDraw(step, schedule=schedule)))
    assert len(drawn) == 16
    assert stats.chisquare([*drawn.values()]).pvalue > 1e-3
    ranks = [source.rollouts(FakeDraw(5, schedule=schedule, rank=rank)) for rank in range(2)]
    assert ranks[0] != ranks[1]


def test_every_mixed_rollout_is_used_equally_often() -> None:
    source = mixture(batches=3, passes=4)
    batches, asked = [], []
    for step in range(24):
        draw = FakeDraw(step, batch_at(step))
        batches.append(source.rollouts(draw))
        asked.append(draw.asked)
    assert [number for number, was_asked in enumerate(asked) if was_asked] == [0, 12]
    assert asked[0] == [(12, 0.2)]
    assert all(len(batch) == 4 for batch in batches)
    pools = []
    for start in (0, 12):
        turns = [
            [rollout.response_ids for batch in batches[first : first + 3] for rollout in batch]
            for first in range(start, start + 12, 3)
        ]
        assert all(sorted(turn) == sorted(turns[0]) for turn in turns)
        assert len(set(turns[0])) == 12
        assert len({tuple(turn) for turn in turns}) == 4  # shuffled again
        assert all(turn != sorted(turn) for turn in turns)
        pools.append(set(turns[0]))
    assert not pools[0] & pools[1]


def test_the_prompts_of_rollout_sets_follow_each_other_in_the_stream() -> None:
    source, drawn = mixture(batches=3, passes=2), []
    for step in range(13):
        draw = FakeDraw(step, batch_at(step))
        source.rollouts(draw)
        drawn += [rollout.id for rollout in draw.fresh]
    assert drawn == [example.id for example in FakeDraw(0).stream(0, 36)]
    assert source.drawn == 36


@dataclass
class FakeSampler:
    """Answers each row with its seed and its prompt."""

    def prompts(self, rollouts: Sequence[Rollout], _: str) -> list[tuple[int, ...]]:
        return [rollout.prompt_ids for rollout in rollouts]

    def respond(self, asked: Sequence[Rollout], rows: Sequence[Row], *_: object) -> list[Rollout]:
        tokens = [(row.seed, *row.prompt_ids) for row in rows]
        return [one.answered(answer) for one, answer in zip(asked, tokens, strict=True)]


def step_draw(step: int = 0, process: int = 0, processes: int = 1, size: int = 4) -> StepDraw:
    sampler: Any = FakeSampler()
    examples = EXAMPLES[:size]
    return StepDraw(sampler, 7, step, process, examples, size, EXAMPLES, {}, processes=processes)


def test_the_stream_goes_through_the_training_set_in_a_new_order_each_time() -> None:
    stream = [example.id for example in step_draw().stream(0, 120)]
    epochs = [stream[start : start + 40] for start in (0, 40, 80)]
    everything = sorted(example.id for example in EXAMPLES)
    assert all(sorted(epoch) == everything for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert stream[30:50] == [example.id for example in step_draw(step=9).stream(30, 20)]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_stream_without_a_prompt_in_common(processes: int) -> None:
    shares = [step_draw(0, rank, processes).stream(0, 40 // processes) for rank in range(processes)]
    alone = step_draw().stream(0, 40)
    assert [example for dealt in zip(*shares, strict=True) for example in dealt] == alone
    assert len({example.id for share in shares for example in share}) == 40


@pytest.mark.parametrize("processes", [2, 4])
def test_more_processes_train_on_the_same_batches_of_a_mixture(processes: int) -> None:
    def course(process: int, count: int) -> list[list[Rollout]]:
        source = FromMixture(0.2, 3, 4, lambda draw, rollouts: list(rollouts))
        draws = [step_draw(step, process, count, 8 // count) for step in range(24)]
        return [source.rollouts(draw) for draw in draws]

    def content(batch: Iterable[Rollout]) -> list[tuple[str, tuple[int, ...]]]:
        return sorted((rollout.id, rollout.response_ids) for rollout in batch)

    alone = course(0, 1)
    shares = [course(rank, processes) for rank in range(processes)]
    for step, batch in enumerate(alone):
        assert content(row for share in shares for row in share[step]) == content(batch)
    assert len({tuple(content(batch)) for batch in alone}) == 24  # each pass has other batches


def test_the_batches_of_a_pass_are_in_random_order() -> None:
    """Each rollout of a pool is as likely in each batch."""
    seen = Counter[tuple[int, int]]()
    for number in range(1500):
        source = FromMixture(0.2, 3, 1, lambda draw, rollouts: list(rollouts))
        draw = FakeDraw(number)
        batches = [source.rollouts(draw) for _ in range(3)]
        places = {rollout.response_ids: place for place, rollout in enumerate(draw.fresh)}
        for turn, batch in enumerate(batches):
            seen.update((places[rollout.response_ids], turn) for rollout in batch)
    table = np.array([[seen[place, turn] for turn in range(3)] for place in range(12)])
    assert stats.chisquare(table, axis=1).pvalue.min() > 1e-3


def test_a_step_of_a_mixture_uses_fewer_new_prompts_than_responses() -> None:
    assert mixture(passes=4).prompts_per_step(32) == 8
    assert WithPretraining(mixture(passes=4), texts()).prompts_per_step(32) == 8
    for source in (FromDataset(), FromTeacher(), FromStudent(0.5), FromReplay()):
        assert source.prompts_per_step(32) == 32


def test_a_state_of_earlier_versions_continues_at_the_start_of_the_stream() -> None:
    source = mixture()
    source.rollouts(FakeDraw(0))
    earlier = {"pending": source.state()["pending"], "waiting": []}
    resumed = mixture()
    resumed.restore(json.loads(json.dumps(earlier)))
    assert (resumed.pending, resumed.drawn) == (source.pending, 0)


def test_recorded_scalars_stay_with_their_rollout() -> None:
    source = mixture()
    for step in range(12):
        for rollout in source.rollouts(FakeDraw(step)):
            assert rollout.recorded["old"] == tuple(-token * 1e-3 for token in rollout.response_ids)
            assert rollout.recorded.keys() == {"old", "advantage"}


def test_a_training_set_smaller_than_the_rollouts_is_used_again() -> None:
    source = mixture(batches=20, passes=2)  # 80 rollouts of 40 rows
    count, batches = Counter[tuple[int, ...]](), 0
    while not batches or source.pending:
        batch = source.rollouts(FakeDraw(batches))
        count.update(rollout.response_ids for rollout in batch)
        batches += 1
    assert batches == 40
    assert set(count.values()) == {2}
    assert len(count) == 80


def test_a_mixture_uses_the_teacher() -> None:
    assert mixture().uses_teacher
    assert not FromStudent().uses_teacher
    assert not FromReplay().uses_teacher


def texts() -> list[tuple[int, ...]]:
    return [(200 + n, 300 + n, 400 + n) for n in range(10)]


def test_each_step_has_as_many_plain_texts_as_responses() -> None:
    source = WithPretraining(FromStudent(), texts())
    draw = FakeDraw(0)
    rollouts = source.rollouts(draw)
    assert rollouts[:4] == draw.fresh
    assert [rollout.origin for rollout in rollouts[4:]] == ["pretraining"] * 4
    for rollout in rollouts[4:]:
        assert (*rollout.prompt_ids, *rollout.response_ids) in texts()
        assert len(rollout.prompt_ids) == 1


def test_plain_texts_are_drawn_uniformly_in_each_step() -> None:
    source, drawn = WithPretraining(FromDataset(), texts()), Counter[str]()
    for step in range(1000):
        drawn.update(rollout.id for rollout in source.rollouts(FakeDraw(step))[4:])
    assert stats.chisquare([*drawn.values()]).pvalue > 1e-3
    ranks = [source.rollouts(FakeDraw(3, rank=rank))[4:] for rank in range(2)]
    assert ranks[0] != ranks[1]


def test_a_wrapper_has_the_properties_of_its_source() -> None:
    inner = mixture()
    assert WithPretraining(inner, texts()).inner is inner
    assert WithPretraining(inner, texts()).uses_teacher
    assert not WithPretraining(FromDataset(), texts()).uses_teacher
    assert FromDataset().inner == FromDataset()


SOURCES = {
    "dataset": FromDataset,
    "teacher": FromTeacher,
    "student": lambda: FromStudent(0.5),
    "replay": lambda: FromReplay(capacity=12),
    "mixture": mixture,
    "replay and texts": lambda: WithPretraining(FromReplay(capacity=12), texts()),
    "mixture and texts": lambda: WithPretraining(mixture(), texts()),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("stop", [0, 1, 5, 12, 17])
def test_a_source_resumes_from_its_state_on_disk(kind: str, stop: int) -> None:
    def course(source: Source, steps: range) -> list[list[Rollout]]:
        schedule = {"threshold": 0.7, "refresh": 0.3}
        return [source.rollouts(FakeDraw(step, batch_at(step), schedule)) for step in steps]

    whole = course(SOURCES[kind](), range(30))
    first, second = SOURCES[kind](), SOURCES[kind]()
    before = course(first, range(stop))
    second.restore(json.loads(json.dumps(first.state())))
    assert before + course(second, range(stop, 30)) == whole


def test_a_sample_has_no_repeats_and_can_take_everything() -> None:
    for count in range(12):
        sample = sample_without_repetition(range(8), count, lambda n, c=count: keyed_uniform(c, n))
        assert len(sample) == len(set(sample)) == min(count, 8)
        assert set(sample) <= set(range(8))
    assert sample_without_repetition([], 3, lambda n: 0.0) == []


def test_a_sample_leaves_its_items_unchanged_and_accepts_extreme_uniforms() -> None:
    items = list(range(6))
    assert sample_without_repetition(items, 6, lambda n: 0.0) == items
    almost = math.nextafter(1.0, 0.0)
    assert sorted(sample_without_repetition(items, 6, lambda n: almost)) == items
    assert items == list(range(6))


def test_all_orders_are_equally_likely() -> None:
    orders = Counter(
        tuple(sample_without_repetition("abcd", 4, lambda n, t=turn: keyed_uniform("o", t, n)))
        for turn in range(6000)
    )
    assert stats.chisquare([orders[order] for order in permutations("abcd")]).pvalue > 1e-3


def test_all_items_are_equally_likely_in_a_sample() -> None:
    drawn = Counter[int]()
    for turn in range(4000):
        drawn.update(
            sample_without_repetition(range(10), 3, lambda n, t=turn: keyed_uniform("s", t, n))
        )
    assert stats.chisquare([drawn[item] for item in range(10)]).pvalue > 1e-3


def test_keyed_numbers_are_uniform_and_independent_of_their_neighbours() -> None:
    numbers = [keyed_uniform(10, step, "student or dataset") for step in range(5000)]
    assert all(0 <= number < 1 for number in numbers)
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3
    assert abs(stats.pearsonr(numbers[:-1], numbers[1:]).statistic) < 0.06
    by_seed = [keyed_uniform(seed, 0, "noise") for seed in range(5000)]
    assert stats.kstest(by_seed, "uniform").pvalue > 1e-3


def test_a_keyed_number_depends_on_every_field_of_its_key() -> None:
    assert keyed_uniform(10, 3, "x") == keyed_uniform(10, 3, "x")
    keys = [(10, 3, "x"), (10, 4, "x"), (11, 3, "x"), (10, 3, "y"), (1, 3, "x"), (103, "x"), (10,)]
    assert len({keyed_uniform(*key) for key in keys}) == len(keys)


def test_a_set_sampled_in_a_short_batch_is_complete() -> None:
    source = FromMixture(0.2, 2, 3, lambda draw, rollouts: list(rollouts))
    first = source.rollouts(FakeDraw(step=0, examples=EXAMPLES[:1]))
    assert len(first) == 4
    assert {len(source.rollouts(FakeDraw(step=step))) for step in range(1, 6)} == {4}
    assert source.pending == []
