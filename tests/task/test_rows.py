"""Rows that would end the process in pyarrow are one line that names the file."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.task import load_tasks

YAML = """
task: mine
dataset_path: json
dataset_kwargs: {data_files: {test: "%s"}}
test_split: test
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["x"]}
"""
ROW = '{"q": "1", "a": "2"}'


def written(folder: Path, rows: str, name: str = "rows.jsonl") -> str:
    (folder / name).write_text(rows, encoding="utf-8")
    (folder / "task.yaml").write_text(YAML % (folder / name))
    return str(folder / "task.yaml")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (f"null\n{ROW}\n", "row 1 must be a JSON object"),
        (f"{ROW}\n null\n", "row 2 must be a JSON object"),
        (f"[null, {ROW}]", "row 1 must be a JSON object"),
        (f"{ROW}\n5\n", "row 2 must be a JSON object"),
        ('{"q": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_row_that_is_no_object(tmp_path: Path, rows: str, reason: str) -> None:
    with pytest.raises(InputError, match=rf"rows.jsonl: {reason}"):
        load_tasks([written(tmp_path, rows)])


def test_a_row_of_an_included_yaml(tmp_path: Path) -> None:
    written(tmp_path, "null\n", "row[1].jsonl")
    (tmp_path / "top.yaml").write_text("include: task.yaml\ntask: !function x.y\n")
    with pytest.raises(InputError, match=r"row 1 must be a JSON object"):
        load_tasks([str(tmp_path / "top.yaml")])


@pytest.mark.parametrize("rows", [f"{ROW}\n\n", f"\ufeff{ROW}\n", f"[{ROW},\n{ROW}]", ROW])
def test_rows_are_read_as_before(tmp_path: Path, rows: str) -> None:
    (task,) = load_tasks([written(tmp_path, rows)])
    assert {document.prompt for document in task.documents} == {"1"}
