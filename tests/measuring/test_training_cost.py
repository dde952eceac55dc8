"""The training cost that a run records of a checkpoint's run card."""

from typing import Any

import pytest

from kdbench.measuring.identity import training_cost

CARD: dict[str, Any] = {
    "steps": 3,
    "training": {"settings": {"method": "gkd", "batch_size": 2}},
    "phases": {
        "generate": {"seconds": 1.5, "tokens": 20},
        "validate": {"seconds": 9.0, "tokens": 5},
        "train": {"seconds": 2, "tokens": 9},
    },
}


def test_the_cost_is_read_from_the_card() -> None:
    cost = training_cost(CARD)
    assert cost is not None
    assert len(cost.pop("recipe")) == 16
    assert cost.pop("seed") is None
    assert cost == {
        "method": "gkd",
        "samples": 6,
        "seconds": 3.5,
        "student_tokens": 20,
        "teacher_tokens": 0,
    }


@pytest.mark.parametrize("value", ["x", [1], None, True, -1, float("nan"), float("inf"), 10**400])
def test_a_card_whose_numbers_are_none_has_no_cost(value: Any) -> None:
    phases = {"generate": {"seconds": 1.0, "tokens": value}}
    assert training_cost({**CARD, "steps": value}) is None
    assert training_cost({**CARD, "phases": phases}) is None


@pytest.mark.parametrize("key", ["training", "phases", "steps"])
@pytest.mark.parametrize("value", [1e139, [], "x", None, {"settings": 1}, {"generate": 1}])
def test_a_card_of_another_shape_has_no_cost(key: str, value: Any) -> None:
    assert training_cost({**CARD, key: value}) is None
    assert training_cost({}) is None
