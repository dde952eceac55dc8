"""The wording of errors that other code raises."""

from kdbench.errors import reason_of


def test_a_reason_is_one_line() -> None:
    assert reason_of(ValueError("first\n  second\tthird")) == "first second third"


def test_a_reason_is_no_longer_than_asked() -> None:
    assert reason_of(ValueError("x" * 500), longest=7) == "x" * 7


def test_an_error_without_text_is_named_by_its_type() -> None:
    assert reason_of(StopIteration()) == "StopIteration"
