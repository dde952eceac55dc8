"""Pairs of the data set and of models."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from kdbench.errors import InputError
from kdbench.training.sources.pairs import FromPairs, GeneratedPairs
from kdbench.training.step import micro_batches
from kdbench.views.rollout import Alternative, Example, Rollout

EXAMPLES = [
    Example(
        f"e{n}",
        (n, 50),
        (n, 1),
        fields={"weight": n},
        replies={
            "chosen": Alternative((n, 50), (10 + n,) * (n + 1)),
            "rejected": Alternative((n,), (20 + n,)),
        },
    )
    for n in range(5)
]


@dataclass
class PairDraw:
    """Views answer with their own number, and the student not at all to the third example."""

    examples: Sequence[Example] = field(default_factory=lambda: EXAMPLES)
    notes: list[tuple[str, float]] = field(default_factory=list)

    def responses(
        self, examples: Sequence[Example], view: str = "student", samples: int = 1
    ) -> list[Rollout]:
        first = {"student": 100, "teacher": 200}[view]
        return [
            Rollout(
                e.id, e.prompt_ids, () if view == "student" and n == 2 else (first + n + s,), view
            )
            for n, e in enumerate(examples)
            for s in range(samples)
        ]

    def text(self, rollout: Rollout) -> str:
        return " ".join(map(str, rollout.response_ids))

    def note(self, name: str, value: float) -> None:
        self.notes.append((name, value))


def test_the_pairs_of_the_data_set() -> None:
    rollouts = FromPairs().rollouts(PairDraw())
    assert [row.origin for row in rollouts] == ["chosen", "rejected"] * 5
    assert len({row.group for row in rollouts}) == 5
    assert rollouts[4].prompt_ids == (2, 50)
    assert rollouts[4].response_ids == (12, 12, 12)
    assert (rollouts[5].prompt_ids, rollouts[5].response_ids) == ((2,), (22,))
    assert rollouts[5].weight == 2
    with pytest.raises(InputError, match="row 'e9' has no response 'chosen'"):
        FromPairs().rollouts(PairDraw([Example("e9", (1,), (2,))]))


@pytest.mark.parametrize("size", range(1, 12))
def test_no_micro_batch_tears_a_pair(size: int) -> None:
    batches = micro_batches(FromPairs().rollouts(PairDraw()), size)
    for batch in batches:
        assert len(batch) <= max(2, size)
        assert set(Counter(row.group for row in batch).values()) == {2}
    assert sum(map(len, batches)) == 10


def test_pairs_of_models_leave_out_a_pair_with_an_empty_response() -> None:
    rollouts = GeneratedPairs().rollouts(PairDraw())
    assert {row.id for row in rollouts} == {"e0", "e1", "e3", "e4"}
    assert [row.response_ids for row in rollouts[:2]] == [(200,), (100,)]
    assert [row.origin for row in rollouts[:2]] == ["chosen", "rejected"]
    assert GeneratedPairs().views == ("student", "teacher")
    source = GeneratedPairs(chosen="dataset")
    assert source.views == ("student",)
    assert source.rollouts(PairDraw())[0].response_ids == (0, 1)


def test_a_verifier_ranks_a_pair_and_leaves_out_equal_rewards() -> None:
    draw = PairDraw()
    smaller = GeneratedPairs(verifier=lambda _, text: -float(text or "300"))
    rollouts = smaller.rollouts(draw)
    assert [row.response_ids for row in rollouts[:2]] == [(100,), (200,)]
    assert draw.notes == [("pairs/ranked", 1.0)]
    assert GeneratedPairs(verifier=lambda *_: 1.0).rollouts(draw) == []
    two = GeneratedPairs("teacher", "teacher", verifier=lambda _, text: float(text))
    assert [row.response_ids for row in two.rollouts(draw)[:2]] == [(201,), (200,)]
    for view in ("student", "dataset"):
        with pytest.raises(InputError, match=f"both responses are from '{view}'"):
            GeneratedPairs(view, view)
