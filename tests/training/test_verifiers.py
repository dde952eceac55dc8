"""Verifiers: what counts as right."""

import math

import pytest

from kdbench.errors import InputError
from kdbench.training.verifiers import last_number, reward_of, verifier
from kdbench.views.rollout import Example


def example(*references: str) -> Example:
    return Example("e1", (1,), (2,), references)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It is 12.", 12.0),
        ("7-3 is 4", 4.0),
        ("7-3", 3.0),
        ("minus: -3", -3.0),
        ("x=-3.50", -3.5),
        ("1,234,567.5 euros", 1234567.5),
        ("lists: 1,2", 2.0),
        ("12,34", 34.0),
        ("about .5", 0.5),
        ("version 2.", 2.0),
        ("+8", 8.0),
        ("none", None),
        ("", None),
    ],
)
def test_the_last_number_of_a_text(text: str, number: float | None) -> None:
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("name", "references", "text", "reward"),
    [
        ("exact_match", ["Ann Lee."], " ann lee\n", 1.0),
        ("exact_match", ["Ann", "Lee"], "Lee!", 1.0),
        ("exact_match", ["Ann"], "Ann Lee", 0.0),
        ("exact_match", ["Ann"], "", 0.0),
        ("number", ["The sum is 1,200."], "I get 7, no, 1200.0", 1.0),
        ("number", ["12"], "21", 0.0),
        ("number", ["12"], "twelve", 0.0),
        ("number", ["none", "5"], "5", 1.0),
        ("rougeL>=0.8", ["the cat sat"], "the cat sat", 1.0),
        ("rougeL>=0.8", ["the cat sat"], "the cat", 1.0),  # 2 · 1 · ⅔ / (1 + ⅔) = 0.8
        ("rougeL>=0.81", ["the cat sat"], "the cat", 0.0),
        ("rougeL>=0", ["the cat sat"], "", 1.0),
    ],
)
def test_what_is_right(name: str, references: list[str], text: str, reward: float) -> None:
    assert verifier(name)(example(*references), text) == reward


def test_wrong_names_limits_and_rewards_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown verifier 'numbers'.*number"):
        verifier("numbers")
    for limit in ("", "x", "1.2", "nan", "-1"):
        with pytest.raises(InputError, match="a number of 0 to 1"):
            verifier(f"rougeL>={limit}")
    with pytest.raises(InputError, match="row 'e1': no reference has a number"):
        verifier("number")(example("Ann"), "3")
    for value in (math.nan, math.inf, None, "right"):
        with pytest.raises(InputError, match="row 'e1': the verifier gave"):
            reward_of(lambda *_, given=value: given, example("a"), "a")
    assert reward_of(lambda *_: True, example("a"), "a") == 1.0
