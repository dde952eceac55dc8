"""Groups: advantages, what is recorded, and which groups are learned."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from kdbench.errors import InputError
from kdbench.training.sources.groups import FromGroups, group_advantages
from kdbench.views.rollout import Example, Rollout

EXAMPLES = [Example(f"e{n}", (n,), (9,), (str(n),)) for n in range(3)]


def parity(example: Example, text: str) -> float:
    return float(int(text) % 2 == 0 or example.id == "e1")


@dataclass
class GroupDraw:
    """Each response is the number of how many there were before it."""

    step: int = 0
    examples: Sequence[Example] = field(default_factory=lambda: EXAMPLES)
    size: int = len(EXAMPLES)
    asked: list[tuple[str, int]] = field(default_factory=list)
    notes: list[tuple[str, float]] = field(default_factory=list)

    def responses(self, examples: Sequence[Example], view: str, samples: int) -> list[Rollout]:
        self.asked.append((view, samples))
        first = 100 * self.step
        asked = [example for example in examples for _ in range(samples)]
        return [
            Rollout(e.id, e.prompt_ids, (first + n, 1), view, example=e)
            for n, e in enumerate(asked)
        ]

    def stream(self, start: int, count: int) -> list[Example]:
        assert start % self.size == 0  # whole steps
        return list(EXAMPLES[:count])

    def text(self, rollout: Rollout) -> str:
        return str(rollout.response_ids[0])

    def note(self, name: str, value: float) -> None:
        self.notes.append((name, value))

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        assert view == "student"
        return [[-float(token) for token in rollout.response_ids] for rollout in rollouts]


def test_advantages_of_a_group() -> None:
    assert group_advantages([1, 0, 0, 1]) == [1, -1, -1, 1]
    assert group_advantages([1, 0, 0, 0]) == pytest.approx([math.sqrt(3), *[-1 / math.sqrt(3)] * 3])
    assert group_advantages([1, 0, 0, 1], scaled=False) == [0.5, -0.5, -0.5, 0.5]
    rewards = [3.0, -1.0, 2.5]
    alone = group_advantages(rewards, scaled=False, leave_one_out=True)
    others = [statistics.mean(rewards[:n] + rewards[n + 1 :]) for n in range(3)]
    assert alone == pytest.approx([r - o for r, o in zip(rewards, others, strict=True)])


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1, -1e9, 1 / 3])
@pytest.mark.parametrize("scaled", [True, False])
def test_equal_rewards_have_no_advantage(reward: float, scaled: bool) -> None:
    assert group_advantages([reward] * 7, scaled) == [0.0] * 7


def test_each_token_records_the_advantage_and_where_it_was_sampled() -> None:
    draw = GroupDraw()
    rollouts = FromGroups(parity, samples=4).rollouts(draw)
    assert draw.asked == [("student", 4)]
    assert [row.group for row in rollouts[::4]] == ["group 0", "group 1", "group 2"]
    assert [row.recorded["advantage"] for row in rollouts[:4]] == [(1, 1), (-1, -1)] * 2
    assert [row.recorded["advantage"] for row in rollouts[4:8]] == [(0, 0)] * 4
    assert rollouts[2].recorded["log_sampled"] == (-2.0, -1.0)
    means = {
        name: statistics.mean(value for known, value in draw.notes if known == name)
        for name in ("reward", "groups/solved", "groups/with_signal")
    }
    assert means == pytest.approx(
        {"reward": 2 / 3, "groups/solved": 1, "groups/with_signal": 2 / 3}
    )


def test_groups_without_a_signal_can_be_left_out_up_to_an_empty_step() -> None:
    source = FromGroups(parity, samples=2, skip_constant=True)
    assert {row.id for row in source.rollouts(GroupDraw())} == {"e0", "e2"}
    assert source.rollouts(GroupDraw(examples=EXAMPLES[1:2])) == []


def test_groups_are_learned_several_times_also_after_a_resume() -> None:
    def steps(source: FromGroups, numbers: range) -> list[list[Rollout]]:
        return [source.rollouts(GroupDraw(number)) for number in numbers]

    whole = steps(FromGroups(parity, passes=3), range(7))
    assert whole[0] == whole[1] == whole[2] != whole[3] == whole[5] != whole[6]
    for stop in range(7):
        first, second = (FromGroups(parity, passes=3) for _ in range(2))
        before = steps(first, range(stop))
        second.restore(json.loads(json.dumps(first.state())))
        assert before + steps(second, range(stop, 7)) == whole


def test_settings_without_a_meaning_are_refused() -> None:
    with pytest.raises(InputError, match="two samples or more"):
        FromGroups(parity, samples=1)
    with pytest.raises(InputError, match="passes="):
        FromGroups(parity, passes=0)
    with pytest.raises(InputError, match="scaled=False"):
        FromGroups(parity, leave_one_out=True)
