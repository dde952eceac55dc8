"""A selection keeps the best share of a pool, and groups whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from kdbench.errors import InputError
from kdbench.training.source import Source
from kdbench.training.sources.selection import FromSelection
from kdbench.views.rollout import Rollout

SCORES = {"a": [3.0, 1.0], "b": [5.0], "c": [0.5, 0.5], "d": [1.0]}
GROUPS = {"a": None, "b": None, "c": None, "d": None}


@dataclass
class Pool(Source):
    groups: dict[str, str | None] = field(default_factory=lambda: GROUPS)

    def rollouts(self, _) -> list[Rollout]:
        rows = [
            Rollout(name, (1,), (2,) * len(scores), "pool", group=self.groups[name])
            for name, scores in SCORES.items()
        ]
        return [*rows, Rollout("empty", (1,), (), "pool")]


class ScoreDraw:
    def __init__(self) -> None:
        self.notes: list[tuple[str, float]] = []

    def entropies(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        assert view == "teacher"
        return [SCORES[row.id] for row in rollouts]

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        assert view == "teacher"
        return [[-value for value in SCORES[row.id]] for row in rollouts]

    def note(self, name: str, value: float) -> None:
        self.notes.append((name, value))


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, "ab"),
        ({"share": 0.25}, "b"),
        ({"share": 0.01}, "b"),
        ({"share": 1}, "abcd"),
        ({"largest": False}, "cd"),
        ({"by": "log_prob"}, "cd"),
        ({"source": Pool({**GROUPS, "b": "x", "c": "x"}), "share": 0.4}, "abc"),
        # The mean over tokens is 2 of one group, 5/3 of the other.
        ({"source": Pool({**GROUPS, "c": "x", "b": "x", "a": "y", "d": "y"}), "share": 0.5}, "bc"),
    ],
)
def test_the_best_share_of_the_pool(settings: dict, kept: str) -> None:
    source = FromSelection(**{"source": Pool(), "view": "teacher", **settings})
    draw = ScoreDraw()
    chosen = source.rollouts(draw)
    assert "".join(sorted(row.id for row in chosen)) == kept
    assert all(row.response_ids for row in chosen)
    assert len(draw.notes) == 1


def test_a_share_of_nothing_is_refused() -> None:
    for share in (0, -1, 1.5):
        with pytest.raises(InputError, match="share="):
            FromSelection(share=share)
