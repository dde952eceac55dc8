"""The grammar of tolerances."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.comparing.tolerance import Tolerance, format_tolerances, gain_sign, parse_tolerances
from kdbench.errors import InputError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rougeL:0.5", {"rougeL": Tolerance(0.5)}),
        ("rougeL:2%", {"rougeL": Tolerance(2, relative=True)}),
        ("0.5", {"rougeL": Tolerance(0.5)}),
        ("1 %", {"rougeL": Tolerance(1, relative=True)}),
        ("rougeL:1e-1, empty:0", {"rougeL": Tolerance(0.1), "empty": Tolerance(0)}),
        ("acceptance@student:0.02", {"acceptance@student": Tolerance(0.02)}),
        (
            "exact_match,number:2,empty:0",
            {"exact_match,number": Tolerance(2), "empty": Tolerance(0)},
        ),
    ],
)
def test_what_is_read(text: str, wanted: dict[str, Tolerance]) -> None:
    assert parse_tolerances(text) == wanted
    assert list(parse_tolerances(text)) == list(wanted)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rougeL", "'rougeL' is not METRIC:NUMBER"),
        ("rougeL:", "'rougeL:' is not METRIC:NUMBER"),
        (":0.5", "':0.5' is not"),
        ("rougeL:0.5;empty:0", "is not METRIC:NUMBER"),
        ("rougeL:-1", "'-1' is not a number of 0 or more"),
        ("rougeL:1e999", "'1e999' is not a number"),
        ("rougeL:1-2", "'1-2' is not a number"),
        ("rougeL:1,rougeL:2", "'rougeL' is given twice"),
        ("", "must not be empty"),
        ("rougeL:0.5,empty", "'empty' is not"),
    ],
)
def test_what_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=re.escape(complaint)):
        parse_tolerances(text)


names = st.text(st.sampled_from("abL@_,1"), min_size=1).filter(
    lambda name: not name.startswith((",", "1")) and not name.endswith(",")
)
amounts = st.builds(Tolerance, st.integers(0, 999).map(lambda x: x / 8), st.booleans())


@given(st.dictionaries(names, amounts, min_size=1, max_size=4))
def test_formatted_tolerances_are_parsed_again(tolerances: dict[str, Tolerance]) -> None:
    assert parse_tolerances(format_tolerances(tolerances)) == tolerances


def test_percent_refers_to_the_base() -> None:
    assert Tolerance(2, relative=True).in_units(25.0) == 0.5
    assert Tolerance(2, relative=True).in_units(-25.0) == 0.5
    assert Tolerance(2).in_units(25.0) == 2


def test_the_direction_decides_what_a_gain_is() -> None:
    assert (gain_sign("m", "higher"), gain_sign("m", "lower")) == (1, -1)
    with pytest.raises(InputError, match="neither direction of this metric is better"):
        gain_sign("response_length", "none")
