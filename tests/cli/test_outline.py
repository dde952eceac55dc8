"""Sections of a dry run fit 80 columns and hold nothing that a terminal obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kdbench.cli.outline import outline_lines
from kdbench.system.outline import Fact, Section, excerpt, plain_fields


def lines(*facts: Fact, title: str = "Title") -> list[str]:
    return list(outline_lines([Section(title, facts)]))


def test_values_stand_in_a_column_and_texts_below_their_name() -> None:
    assert lines(Fact("name", "value"), Fact("text", "one\n  two", is_text=True)) == [
        "Title",
        "  name        value",
        "  text",
        "    │ one",
        "    │   two",
    ]


def test_a_long_value_is_wrapped_below_itself_and_a_long_name_stands_alone() -> None:
    shown = lines(Fact("name", " ".join(["word"] * 20)), Fact("n" * 30, "value"))
    assert shown[1].startswith("  name        word")
    assert shown[2] == " " * 14 + " ".join(["word"] * 7)
    assert shown[3:] == [f"  {'n' * 30}", f"{' ' * 14}value"]


def test_sections_are_apart() -> None:
    assert list(outline_lines([Section("One", ()), Section("Two", ())])) == ["One", "", "Two"]


@given(st.text(), st.text(), st.booleans())
def test_every_text_fits_and_is_printable(name: str, value: str, is_text: bool) -> None:
    for line in lines(Fact(name, value, is_text), title=name):
        assert line.isprintable()
        assert cell_len(line) <= 80


@pytest.mark.parametrize("text", ["\x1b[31mred\x07", "\u202ereversed", "a\tb", "\ud800"])
def test_control_characters_are_escaped(text: str) -> None:
    (line,) = lines(Fact("text", text, is_text=True))[2:]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    assert line == f"    │ {escaped}"
    assert "\\" in line


def test_the_words_of_a_long_line_are_kept() -> None:
    text = " ".join(f"word{n}" for n in range(40))
    shown = lines(Fact("text", text, is_text=True))[2:]
    assert "".join(line.removeprefix("    │ ").ljust(74) for line in shown).split() == text.split()


def test_the_middle_of_a_long_text_is_left_out() -> None:
    assert excerpt("abcdef", 3, 3) == "abcdef"
    assert excerpt("abcdefg", 3, 3) == "abc\n… 1 characters …\nefg"


def test_fields_look_as_they_are_typed() -> None:
    fields = {"limit": None, "add_bos": True, "seeds": (1, 2), "options": {"a": 1, "b": False}}
    assert plain_fields(fields) == "limit=none add_bos=true seeds=1,2 options=a=1,b=false"
