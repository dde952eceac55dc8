"""Length, share cut off and share empty; None where unknown."""

import pytest

from kdbench.metrics import Answer, metrics


def score(name, **known):
    return metrics.get(name)().score(
        Answer(known.pop("text", "some text"), ("reference",), **known)
    )


@pytest.mark.parametrize(("tokens", "value"), [(0, 0.0), (7, 7.0), (None, None)])
def test_the_length_is_the_number_of_tokens(tokens, value):
    assert score("response_length", n_tokens=tokens) == value


@pytest.mark.parametrize(("finish", "value"), [("length", 1.0), ("stop", 0.0), (None, None)])
def test_a_response_that_reached_the_limit_is_cut_off(finish, value):
    assert score("cut_off", finish=finish) == value


@pytest.mark.parametrize(
    ("finish", "tokens", "value"),
    [
        ("stop", (5, 6, 2), 1.0),  # the model chose the end token 2
        ("stop", (5, 6), 0.0),  # a stop string of the task ended it
        ("length", (5, 6), 0.0),
        ("length", None, 0.0),
        ("stop", None, None),
        (None, (5, 6), None),
    ],
)
def test_a_response_that_the_model_ended_has_an_end_token(finish, tokens, value):
    assert score("eos_rate", finish=finish, tokens=tokens, n_tokens=2) == value


@pytest.mark.parametrize(("text", "value"), [("", 1.0), (".", 0.0), ("words", 0.0)])
def test_a_response_without_text_is_empty(text, value):
    assert score("empty", text=text, n_tokens=3) == value


@pytest.mark.parametrize(
    ("name", "unit", "direction"),
    [
        ("response_length", "tokens", "none"),
        ("cut_off", "rate", "lower"),
        ("empty", "rate", "lower"),
        ("eos_rate", "rate", "higher"),
    ],
)
def test_unit_and_direction_are_declared(name, unit, direction):
    metric = metrics.get(name)
    assert (metric.name, metric.unit, metric.direction) == (name, unit, direction)
