"""The training cost in a run card, also in one that was edited by hand."""

import json
from pathlib import Path

import pytest

from kdbench.checkpoint import describe
from kdbench.errors import InputError
from kdbench.measuring.identity import training_cost

CARD = {
    "steps": 10,
    "training": {"settings": {"method": "gkd", "batch_size": 4}},
    "phases": {"generate": {"seconds": 1.5, "tokens": 7}, "validate": {"seconds": 9, "tokens": 0}},
}


def test_the_cost_of_a_training() -> None:
    cost = training_cost(CARD)
    assert cost is not None
    assert len(cost.pop("recipe")) == 16
    assert cost.pop("seed") is None
    assert cost == {
        "method": "gkd",
        "samples": 40,
        "seconds": 1.5,
        "student_tokens": 7,
        "teacher_tokens": 0,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"steps": "x"},
        {"steps": -1},
        {"steps": float("inf")},
        {"phases": []},
        {"phases": {"generate": {"seconds": "x", "tokens": 1}}},
        {"phases": {"generate": {"seconds": 1, "tokens": float("inf")}}},
        {"training": "x"},
    ],
)
def test_a_card_of_another_form_has_no_cost(change: dict[str, object]) -> None:
    assert training_cost({**CARD, **change}) is None


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[]", json.dumps({"method": "\x1b[31m"}), '{"method": "\\ud800"}', "{"],
)
def test_a_broken_card_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "kdbench.json").write_text(text)
    with pytest.raises(InputError, match=r"kdbench\.json") as caught:
        describe(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
