"""A table is written to its file completely, and a stale file is reported."""

import os
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.system.files import put_text
from kdbench.tables.write import form_of, stale_diff, whole_file

BEGIN, END = "<!-- kdbench:begin table -->", "<!-- kdbench:end table -->"

TABLE = "| a |\n|--:|\n"


def readme(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("out", "form", "expected"),
    [
        (None, None, "terminal"),
        (None, "csv", "csv"),
        (Path("t.md"), None, "md"),
        (Path("a/t.b.tex"), None, "tex"),
        (Path("t.html"), None, "html"),
        (Path("t.csv"), None, "csv"),
        (Path("t.txt"), "md", "md"),
        (Path("t.md"), "csv", "csv"),
    ],
)
def test_the_format_is_given_or_follows_the_ending(out, form, expected):
    assert form_of(out, form) == expected


@pytest.mark.parametrize("out", ["t.txt", "t", "t.xlsx"])
def test_an_unknown_ending_is_refused(out):
    with pytest.raises(InputError, match=rf"^out={out}: ending '.*; or give format="):
        form_of(Path(out), None)


def test_a_new_markdown_file_gets_the_table_and_the_markers(tmp_path):
    assert whole_file(tmp_path / "new.md", "md", TABLE) == f"{BEGIN}\n{TABLE}{END}\n"


def test_the_text_around_the_markers_is_kept(tmp_path):
    before, after = "# Title\n\ntext é ", "\n\nmore\n<!-- end -->\nno newline at the end"
    out = readme(tmp_path, f"{before}{BEGIN}\nold\n| x |\n{END}{after}")
    text = whole_file(out, "md", TABLE)
    assert text == f"{before}{BEGIN}\n{TABLE}{END}{after}"
    put_text(out, text)
    assert whole_file(out, "md", TABLE) == text == out.read_text("utf-8")


@pytest.mark.parametrize(
    "text",
    ["", "prose", BEGIN, END, END + BEGIN, BEGIN + BEGIN + END, BEGIN + END + END],
)
def test_a_markdown_file_without_its_two_markers_is_refused(tmp_path, text):
    out = readme(tmp_path, text)
    with pytest.raises(
        InputError, match=r"README\.md: needs one line '<!-- kdbench:begin table -->'"
    ):
        whole_file(out, "md", TABLE)
    assert out.read_text() == text


def test_the_text_around_the_markers_keeps_its_line_endings(tmp_path):
    out = readme(tmp_path, f"one\r\n{BEGIN}\r\n{END}\r\ntwo\r\n")
    put_text(out, whole_file(out, "md", TABLE))
    assert out.read_bytes() == f"one\r\n{BEGIN}\n{TABLE}{END}\r\ntwo\r\n".encode()
    assert stale_diff(out, whole_file(out, "md", TABLE)) == ""


def test_other_line_endings_are_a_difference(tmp_path):
    out = readme(tmp_path, "same\r\nold\r\n")
    assert stale_diff(out, "same\r\nold\r\n") == ""
    assert "-old\r\n+old\n" in stale_diff(out, "same\r\nold\n")


def test_a_text_keeps_its_line_endings(tmp_path):
    put_text(tmp_path / "t.csv", "a\nb\r\nc\r")
    assert (tmp_path / "t.csv").read_bytes() == b"a\nb\r\nc\r"


def test_a_markdown_file_that_is_not_utf8_is_refused(tmp_path):
    out = tmp_path / "README.md"
    out.write_bytes(f"café\n{BEGIN}\n{END}\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"README\.md: not UTF-8: "):
        whole_file(out, "md", TABLE)
    with pytest.raises(InputError, match=r"README\.md: not UTF-8: "):
        stale_diff(out, TABLE)


@pytest.mark.parametrize("form", ["csv", "tex", "html"])
def test_other_formats_replace_the_whole_file(tmp_path, form):
    out = tmp_path / f"t.{form}"
    out.write_text("whatever was there")
    assert whole_file(out, form, "new\n") == "new\n"


def test_a_stale_file_gives_a_diff(tmp_path):
    out = readme(tmp_path, "same\nold\n")
    lines = stale_diff(out, "same\nnew\n").splitlines()
    assert lines[:2] == [f"--- {out}", f"+++ {out} (new)"]
    assert lines[-3:] == [" same", "-old", "+new"]


def test_a_missing_file_is_stale(tmp_path):
    assert "+new" in stale_diff(tmp_path / "no.csv", "new\n")


def test_an_up_to_date_file_has_no_diff(tmp_path):
    assert stale_diff(readme(tmp_path, "é same\n"), "é same\n") == ""


def test_missing_folders_are_created(tmp_path):
    put_text(tmp_path / "a" / "b" / "t.csv", "x é\n")
    assert (tmp_path / "a" / "b" / "t.csv").read_bytes() == "x é\n".encode()


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    out = tmp_path / "t.csv"
    put_text(out, "old\n")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        put_text(out, "new\n")
    assert out.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_can_hold_several_tables(tmp_path):
    other = "<!-- kdbench:begin b -->\nold\n<!-- kdbench:end b -->\n"
    out = readme(tmp_path, f"{BEGIN}\nfirst\n{END}\n{other}")
    text = whole_file(out, "md", TABLE, "b")
    assert text == f"{BEGIN}\nfirst\n{END}\n" + other.replace("old\n", TABLE)
    with pytest.raises(InputError, match="needs one line '<!-- kdbench:begin c -->'"):
        whole_file(out, "md", TABLE, "c")
