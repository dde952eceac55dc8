# ruff: noqa: E501 - one line per case
"""Rows of the five tasks: what is read, what becomes text, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import InputError
from kdbench.task import Task, load_tasks

GOOD = {"id": "a", "instruction": "Add.", "input": "3, 6", "output": ["9"]}


def load(folder: Path, content: str | bytes) -> Task:
    (folder / "dolly").mkdir(exist_ok=True)
    file = folder / "dolly" / "test.jsonl"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    (task,) = load_tasks(["dolly"], folder)
    return task


def row(**fields: Any) -> str:
    content = {key: value for key, value in {**GOOD, **fields}.items() if value != "left out"}
    return json.dumps(content) + "\n"


@pytest.mark.parametrize("content", ["\ufeff" + row(), row() + "\n", row() + "  \n\n"])
def test_a_byte_order_mark_and_blank_lines_change_nothing(content: str, tmp_path: Path) -> None:
    plain = load(tmp_path, row())
    again = load(tmp_path, content)
    assert (again.data, again.prompts_sha256) == (plain.data, plain.prompts_sha256)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"[{row().strip()}]", r"a JSON array; .*one JSON object per line, as jq -c"),
        ("[\n" + row() + "]", "a JSON array"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer.*git lfs pull"),
        ("", "no rows"),
        ("\n", "no rows"),
        (row(input=float("nan")), "NaN is not text"),
        (row(input=True), "'input' must be a string"),
        (row(output=None), "'output' must be a non-empty reference"),
        (row(output=[None]), "'output' must be a non-empty reference"),
        (row(output="left out", response="9"), "unknown field 'response': did you mean 'output'"),
        (row(input="left out", context="3, 6"), "unknown field 'context': did you mean 'input'"),
        (row(input="left out", passage="3, 6"), "unknown field 'passage': did you mean 'input'"),
        (row(input="left out", inptu="3, 6"), "unknown field 'inptu': did you mean 'input'"),
        (row(instruction="left out", Instruction="x"), "unknown field 'Instruction': did you mean"),
        (row(instruction="left out", question="x"), "unknown field 'question': did you mean"),
    ],
)  # fmt: skip
def test_the_cause_is_named(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        load(tmp_path, content)
    assert "\n" not in str(error.value)
    assert "dolly/test.jsonl" in str(error.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [(0, "0"), (2.50, "2.5"), (None, ""), ("", ""), ("<noinput>", ""), (" <NoInput> ", "")],
)
def test_an_input_is_text(given: object, text: str, tmp_path: Path) -> None:
    (document,) = load(tmp_path, row(input=given)).documents
    assert document.fields["input"] == text
    assert ("### Input:" in document.prompt) == bool(text)


def test_a_number_is_the_text_that_is_written(tmp_path: Path) -> None:
    line = '{"id": 7, "instruction": 5, "input": 1.50, "output": [0, 1e3]}\n'
    (document,) = load(tmp_path, line).documents
    assert (document.id, document.references) == ("7", ("0", "1e3"))
    assert document.message == "5\n\n1.50"


def test_other_fields_are_left_alone(tmp_path: Path) -> None:
    plain = load(tmp_path, row())
    assert load(tmp_path, row(category="sums", context="more")).data == plain.data


def test_a_row_that_is_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(InputError, match=r"test\.jsonl:1: .*recursion"):
        load(tmp_path, row().replace("}", f', "m": {deep}}}'))
