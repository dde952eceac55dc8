"""Data sources: what a step learns from, how often, and the same after a resume."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from scipy import stats

from kdbench.training.mixture import FromMixture
from kdbench.training.source import (
    FromDataset,
    FromReplay,
    FromStudent,
    FromTeacher,
    Source,
    WithPretraining,
    keyed_uniform,
    sample_without_repetition,
)
from kdbench.views.rollout import Example, Rollout

EXAMPLES = [Example(f"e{n}", (n, n + 1), (100 + n, 1), (f"text {n}",)) for n in range(40)]


@dataclass
class FakeDraw:
    """A step whose student answers with tokens that are never the same twice."""

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
        return [[-token * scale for token in one.response_ids] for one in rollouts]


def batch_at(step: int) -> list[Example]:
    start = 4 * step % 40
    return EXAMPLES[start : start + 4]


def of_the_dataset(examples: Sequence[Example]) -> list[Rollout]:
    return [Rollout(e.id, e.prompt_ids, e.response_ids, "dataset") for e in examples]


def record(draw: FakeDraw, rollouts: Sequence[Rollout]) -> list[Rollout]:
    student = draw.target_log_probs(rollouts, "student")
    teacher = draw.target_log_probs(rollouts, "teacher")
    return [
        one.with_recorded(old=q, advantage=[b / 3 - a for a, b in zip(q, p, strict=True)])
        for one, q, p in zip(rollouts, student, teacher, strict=True)
    ]


def mixture(weight: float = 0.2, batches: int = 3, passes: int = 4) -> FromMixture:
    return FromMixture(weight, batches, passes, record)


def test_the_dataset_gives_its_own_responses() -> None:
    draw = FakeDraw(0)
    assert FromDataset().rollouts(draw) == of_the_dataset(draw.examples)
    assert draw.asked == []
    assert not FromDataset().uses_teacher


def test_the_teachers_responses_are_those_of_the_examples_and_marked() -> None:
    draw = FakeDraw(0)
    found = FromTeacher().rollouts(draw)
    assert [one.origin for one in found] == ["teacher"] * 4
    assert [one.response_ids for one in found] == [e.response_ids for e in draw.examples]
    assert draw.asked == []


def test_the_student_learns_from_the_samples_just_drawn() -> None:
    source = FromStudent()
    for step in range(30):
        draw = FakeDraw(step, batch_at(step))
        found = source.rollouts(draw)
        assert found == draw.fresh
        assert [one.id for one in found] == [e.id for e in draw.examples]
        assert draw.asked == [(4, 0.0)]


def test_without_a_share_the_student_is_never_asked() -> None:
    for step in range(200):
        draw = FakeDraw(step, batch_at(step))
        assert FromStudent(0.0).rollouts(draw) == of_the_dataset(draw.examples)
        assert draw.asked == []


def test_a_share_is_of_steps_and_a_batch_is_of_one_kind() -> None:
    source, kinds = FromStudent(0.5), Counter()
    for step in range(2000):
        (kind,) = {one.origin for one in source.rollouts(FakeDraw(step))}
        kinds[kind] += 1
    assert set(kinds) == {"student", "dataset"}
    assert stats.binomtest(kinds["student"], 2000, 0.5).pvalue > 1e-3


def test_the_kind_of_a_batch_is_the_same_on_every_process() -> None:
    for step in range(50):
        kinds = {FromStudent(0.5).rollouts(FakeDraw(step, rank=r))[0].origin for r in range(4)}
        assert len(kinds) == 1


def test_a_share_of_any_size_is_kept() -> None:
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
    found = source.rollouts(draw)
    assert len(found) == 4
    if kind == "fresh":
        assert found == draw.fresh
        assert source.buffer == [*before, *draw.fresh][-12:]
    else:
        assert draw.asked == []
        assert source.buffer == before
    if kind == "buffer":
        assert len({one.id for one in found}) == 4
        assert all(one in before for one in found)
    if kind == "dataset":
        assert found == of_the_dataset(draw.examples)


def test_the_replay_source_is_the_papers_over_a_whole_course() -> None:
    """Against the rule of the paper's code, step by step, with a threshold that rises."""
    source, queue, seen = FromReplay(capacity=20), [], Counter()
    for step in range(600):
        threshold = min(1.0, 0.1 * (step // 60))
        refresh = threshold * (1 - step / 600)
        u = keyed_uniform("u", step)
        draw = FakeDraw(step, batch_at(step), {"threshold": threshold, "refresh": refresh}, u)
        before = list(queue)
        found = source.rollouts(draw)
        if u < refresh or (u < threshold and len(before) < 20):
            seen["fresh"] += 1
            assert found == draw.fresh
            queue = [*queue, *draw.fresh][-20:]
        elif u < threshold:
            seen["buffer"] += 1
            assert draw.asked == []
            assert all(one in before for one in found)
            assert len({one.response_ids for one in found}) == 4
        else:
            seen["dataset"] += 1
            assert found == of_the_dataset(draw.examples)
        assert source.buffer == queue
    assert min(seen.values()) > 50


def test_without_a_threshold_the_student_is_never_asked() -> None:
    source = FromReplay()
    for step in range(100):
        draw = FakeDraw(step, schedule={"threshold": 0.0, "refresh": 0.0})
        assert source.rollouts(draw) == of_the_dataset(draw.examples)
        assert draw.asked == []
    assert source.buffer == []


def test_rows_of_the_buffer_are_drawn_alike_and_differently_by_each_process() -> None:
    source = FromReplay(capacity=16)
    source.buffer = [Rollout(f"b{n}", (n,), (n, 1), "student") for n in range(16)]
    schedule = {"threshold": 1.0, "refresh": 0.0}
    drawn = Counter[str]()
    for step in range(1000):
        drawn.update(one.id for one in source.rollouts(FakeDraw(step, schedule=schedule)))
    assert len(drawn) == 16
    assert stats.chisquare([*drawn.values()]).pvalue > 1e-3
    ranks = [source.rollouts(FakeDraw(5, schedule=schedule, rank=rank)) for rank in range(2)]
    assert ranks[0] != ranks[1]


def test_a_set_of_mixed_rollouts_serves_each_exactly_so_often() -> None:
    source = mixture(batches=3, passes=4)
    batches, asked = [], []
    for step in range(24):
        draw = FakeDraw(step, batch_at(step))
        batches.append(source.rollouts(draw))
        asked.append(draw.asked)
    assert [number for number, one in enumerate(asked) if one] == [0, 12]
    assert asked[0] == [(12, 0.2)]
    assert all(len(batch) == 4 for batch in batches)
    pools = []
    for start in (0, 12):
        turns = [
            [one.response_ids for batch in batches[first : first + 3] for one in batch]
            for first in range(start, start + 12, 3)
        ]
        assert all(sorted(turn) == sorted(turns[0]) for turn in turns)
        assert len(set(turns[0])) == 12
        assert len({tuple(turn) for turn in turns}) == 4  # shuffled anew
        assert all(turn != sorted(turn) for turn in turns)
        pools.append(set(turns[0]))
    assert not pools[0] & pools[1]


def test_the_prompts_of_a_set_hold_the_steps_own_and_others() -> None:
    source = mixture(batches=3, passes=1)
    draw = FakeDraw(0)
    source.rollouts(draw)
    assert [one.id for one in draw.fresh[:4]] == [e.id for e in draw.examples]
    assert len(draw.fresh) == 12


def test_the_next_set_has_the_examples_of_the_steps_between() -> None:
    """They would be thrown away otherwise, and others drawn twice."""
    source = mixture(batches=3, passes=2)
    for step in range(6):
        source.rollouts(FakeDraw(step, batch_at(step)))
    draw = FakeDraw(6, batch_at(6))
    source.rollouts(draw)
    expected = [*batch_at(6), *batch_at(4), *batch_at(5)]
    assert [one.id for one in draw.fresh] == [example.id for example in expected]
    assert source.waiting == []


def test_scalars_recorded_at_sampling_stay_with_their_rollout() -> None:
    source = mixture()
    for step in range(12):
        for one in source.rollouts(FakeDraw(step)):
            assert one.recorded["old"] == tuple(-token * 1e-3 for token in one.response_ids)
            assert one.recorded.keys() == {"old", "advantage"}


def test_a_training_set_smaller_than_the_rollouts_is_used_up() -> None:
    source = mixture(batches=20, passes=2)  # 4 + 76 of 40 rows
    count, batches = Counter[tuple[int, ...]](), 0
    while not batches or source.pending:
        batch = source.rollouts(FakeDraw(batches))
        count.update(one.response_ids for one in batch)
        batches += 1
    assert batches == 22
    assert set(count.values()) == {2}
    assert len(count) == 44


def test_a_mixture_uses_the_teacher() -> None:
    assert mixture().uses_teacher
    assert not FromStudent().uses_teacher
    assert not FromReplay().uses_teacher


def texts() -> list[tuple[int, ...]]:
    return [(200 + n, 300 + n, 400 + n) for n in range(10)]


def test_plain_texts_come_beside_the_responses_and_as_many() -> None:
    source = WithPretraining(FromStudent(), texts())
    draw = FakeDraw(0)
    found = source.rollouts(draw)
    assert found[:4] == draw.fresh
    assert [one.origin for one in found[4:]] == ["pretraining"] * 4
    for one in found[4:]:
        assert (*one.prompt_ids, *one.response_ids) in texts()
        assert len(one.prompt_ids) == 1


def test_plain_texts_are_drawn_alike_and_anew_in_each_step() -> None:
    source, drawn = WithPretraining(FromDataset(), texts()), Counter[str]()
    for step in range(1000):
        drawn.update(one.id for one in source.rollouts(FakeDraw(step))[4:])
    assert stats.chisquare([*drawn.values()]).pvalue > 1e-3
    ranks = [source.rollouts(FakeDraw(3, rank=rank))[4:] for rank in range(2)]
    assert ranks[0] != ranks[1]


def test_a_wrapper_is_what_it_wraps() -> None:
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
def test_a_source_goes_on_from_its_state_on_disk(kind: str, stop: int) -> None:
    def course(source: Source, steps: range) -> list[list[Rollout]]:
        schedule = {"threshold": 0.7, "refresh": 0.3}
        return [source.rollouts(FakeDraw(step, batch_at(step), schedule)) for step in steps]

    whole = course(SOURCES[kind](), range(30))
    first, second = SOURCES[kind](), SOURCES[kind]()
    before = course(first, range(stop))
    second.restore(json.loads(json.dumps(first.state())))
    assert before + course(second, range(stop, 30)) == whole


def test_a_sample_repeats_nothing_and_takes_all_there_is() -> None:
    for count in range(12):
        found = sample_without_repetition(range(8), count, lambda n, c=count: keyed_uniform(c, n))
        assert len(found) == len(set(found)) == min(count, 8)
        assert set(found) <= set(range(8))
    assert sample_without_repetition([], 3, lambda n: 0.0) == []


def test_a_sample_leaves_its_items_and_bears_the_ends_of_the_uniform() -> None:
    items = list(range(6))
    assert sample_without_repetition(items, 6, lambda n: 0.0) == items
    almost = math.nextafter(1.0, 0.0)
    assert sorted(sample_without_repetition(items, 6, lambda n: almost)) == items
    assert items == list(range(6))


def test_every_order_is_as_likely_as_every_other() -> None:
    orders = Counter(
        tuple(sample_without_repetition("abcd", 4, lambda n, t=turn: keyed_uniform("o", t, n)))
        for turn in range(6000)
    )
    assert stats.chisquare([orders[one] for one in permutations("abcd")]).pvalue > 1e-3


def test_every_item_is_as_likely_in_a_sample_as_every_other() -> None:
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


def test_a_key_has_its_number_and_every_part_of_it_counts() -> None:
    assert keyed_uniform(10, 3, "x") == keyed_uniform(10, 3, "x")
    keys = [(10, 3, "x"), (10, 4, "x"), (11, 3, "x"), (10, 3, "y"), (1, 3, "x"), (103, "x"), (10,)]
    assert len({keyed_uniform(*key) for key in keys}) == len(keys)


def test_a_set_sampled_in_a_short_batch_is_not_short_for_ever() -> None:
    source = FromMixture(0.2, 2, 3, lambda draw, rollouts: list(rollouts))
    first = source.rollouts(FakeDraw(step=0, examples=EXAMPLES[:1]))
    assert len(first) == 4
    assert {len(source.rollouts(FakeDraw(step=step))) for step in range(1, 6)} == {4}
    assert source.pending == []
