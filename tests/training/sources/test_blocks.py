"""Blocks of responses: each is learned once, in its step, also in a resumed run."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import pytest

from kdbench.training.source import Draw
from kdbench.training.sources.blocks import Choice, FromBlocks, everywhere
from kdbench.training.sources.confidence import FromConfident
from kdbench.training.sources.influence import FromInfluence
from kdbench.views.rollout import Example, Rollout


@dataclass
class Stream:
    """A draw of a step whose stream is 0, 1, 2, …, dealt out to the processes."""

    step: int
    size: int = 2
    process: int = 0
    processes: int = 1
    asked: list[int] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)
    examples: Sequence[Example] = ()

    def stream(self, start: int, count: int) -> list[Example]:
        self.asked.append(start)
        numbers = [n * self.processes + self.process for n in range(start, start + count)]
        return [Example(str(n), (1,), (n % 5,), fields={"in_world": n % 2}) for n in numbers]

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value

    def sum_over_processes(self, numbers: Sequence[float]) -> list[float]:
        return list(numbers)

    def target_log_probs(self, rows: Sequence[Rollout], view: str) -> list[list[float]]:
        return [[-float(row.id) % 7 if view == "teacher" else 0.0] for row in rows]

    def divergences(self, rows: Sequence[Rollout], view: str) -> list[list[float]]:
        assert view == "teacher"
        return [[float(row.id)] for row in rows]


class Odd(FromBlocks):
    """Learns the responses of odd places, with their place as the weight."""

    def choose(self, _: Draw, rows: Sequence[Rollout]) -> list[Choice]:
        self.facts["size"] = float(len(rows))
        return [(place, float(place)) for place in range(len(rows)) if place % 2]


def taken(source: FromBlocks, steps: Sequence[int]) -> list[list[tuple[str, float]]]:
    draws = [Stream(step) for step in steps]
    found = [[(row.id, row.weight) for row in source.rollouts(draw)] for draw in draws]  # type: ignore[arg-type]
    assert all(draw.notes for draw in draws)
    return found


def test_what_is_chosen_of_a_block_is_divided_among_its_steps() -> None:
    source = Odd(steps=3, share=0.5)
    assert source.prompts_per_step(2) == 4
    found = taken(source, range(6))
    assert [[int(name) for name, _ in step] for step in found] == [
        [1, 3],
        [5, 7],
        [9, 11],
        [13, 15],
        [17, 19],
        [21, 23],
    ]
    assert [weight for step in found[:3] for _, weight in step] == [1, 3, 5, 7, 9, 11]


def test_a_resumed_block_is_the_same_and_is_not_chosen_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = taken(Odd(steps=3, share=0.5), range(5))
    source = Odd(steps=3, share=0.5)
    taken(source, range(4))
    state = json.loads(json.dumps(source.state()))
    again = Odd(steps=3, share=0.5)
    again.restore(state)
    monkeypatch.setattr(Odd, "choose", None)
    assert taken(again, [4]) == whole[4:]


def test_values_of_all_processes_are_in_their_order() -> None:
    given, barrier = ([1.0, 2.0], [3.0, 4.0, 5.0]), Barrier(2, timeout=10)
    asked: list[Sequence[float]] = [(), ()]

    def found_by(process: int) -> tuple[list[float], slice]:
        def sums(numbers: Sequence[float]) -> list[float]:
            asked[process] = numbers
            barrier.wait()  # both have asked
            total = [sum(pair) for pair in zip(*asked, strict=True)]
            barrier.wait()  # both have read
            return total

        draw: Any = Stream(0, process=process, processes=2)
        draw.sum_over_processes = sums
        return everywhere(draw, given[process])

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(found_by, range(2)))
    assert found == [([1, 2, 3, 4, 5], slice(0, 2)), ([1, 2, 3, 4, 5], slice(2, 5))]


def test_the_surest_are_kept_and_the_rest_is_logged() -> None:
    source, draw = FromConfident(steps=2, share=0.5), Stream(0)
    first: Any = source.rollouts(draw)  # type: ignore[arg-type]
    # Of the places 0 to 7, -place mod 7 is largest at 1, 2, 3 and 4.
    assert [row.id for row in first] == ["1", "2"]
    assert draw.notes == {
        "confidence/kl_kept": 2.5,
        "confidence/kl_left_out": (0 + 5 + 6 + 7) / 4,
        "confidence/in_world": 0.5,
    }
    assert {"teacher", "student"} <= set(source.views)


def test_without_a_column_nothing_is_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    source, draw = FromConfident(steps=2, share=0.5, label="nothing"), Stream(0)
    source.rollouts(draw)  # type: ignore[arg-type]
    assert "confidence/nothing" not in draw.notes
    assert str(FromInfluence()) == "dataset by influence"
