"""MiniLLM's files become a folder for data=: rows, ids and order, and files that are not theirs."""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from minillm_hub import lines, put, row
from typer.testing import CliRunner

from kdbench.cli.verbs import app
from kdbench.errors import InputError
from kdbench.exchange.papers.convert import convert
from kdbench.exchange.papers.numbers import numbers
from kdbench.exchange.settings import DataSettings
from kdbench.system.bundled import load_module
from kdbench.task import load_tasks

SHARED = Path("/work/shared/data")
FOLDERS = {
    "dolly": "dolly",
    "self_instruct": "self-inst",
    "vicuna": "vicuna",
    "super_natural": "sinst/11_",
    "unnatural": "uinst/11_",
}


def write(source: Path, folder: str, rows: Sequence[dict[str, Any]], name: str = "valid") -> Path:
    file = source / folder / f"{name}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lines(rows))
    return file


def converted(source: Path, out: Path, **keys: Any) -> Any:
    return convert(DataSettings(source=source, out=out, **keys))


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_rows_get_ids_and_lists_and_keep_their_texts(tmp_path: Path) -> None:
    rows = [
        {**row(0), "topic": "task1_naïve"},
        {**row(1), "output": ["one answer", " another\n"], "topic": "task2"},
    ]
    write(tmp_path / "raw", "sinst/11_", rows)
    (file,) = converted(tmp_path / "raw", tmp_path / "data").files
    assert (file.name, file.of_papers) == ("super_natural/test.jsonl", False)
    first, second = read(tmp_path / "data/super_natural/test.jsonl")
    assert first == {
        "id": "super-natural-test-0000",
        "instruction": rows[0]["instruction"],
        "input": "",
        "output": [rows[0]["output"]],
        "task": "task1_naïve",
    }
    assert (second["id"], second["output"]) == ("super-natural-test-0001", rows[1]["output"])
    assert "naïve" in (tmp_path / "data/super_natural/test.jsonl").read_text("utf-8")
    (task,) = load_tasks(["super_natural"], tmp_path / "data")
    assert [document.prompt for document in task.documents] == [row["prompt"] for row in rows]


def test_unnatural_is_its_first_ten_thousand_rows(tmp_path: Path) -> None:
    write(tmp_path, "uinst/11_", [row(number) for number in range(10_003)])
    (file,) = converted(tmp_path, tmp_path / "data").files
    assert (len(file.rows), file.notes) == (10_000, ())
    assert file.rows[-1]["id"] == "unnatural-test-9999"
    assert file.rows[-1]["instruction"] == row(9999)["instruction"]


def test_fewer_rows_and_other_prompts_are_noted(tmp_path: Path) -> None:
    rows = [row(0), {**row(1), "prompt": "<|im_start|>x"}, row(2)]
    write(tmp_path, "uinst/11_", rows)
    (file,) = converted(tmp_path, tmp_path / "data").files
    assert file.notes == (
        "1 prompt of the file differ from those that kdbench makes, the first in row 2",
        "the papers use the first 10000 rows, and here are 3",
    )


def test_dollys_raw_file_is_its_validation_and_training_rows(tmp_path: Path) -> None:
    write(tmp_path, "dolly", [row(5)])
    write(tmp_path, "dolly", [row(number) for number in range(1002)], "raw")
    files = {file.name: file for file in converted(tmp_path, tmp_path / "data").files}
    assert {name: len(file.rows) for name, file in files.items()} == {
        "dolly/test.jsonl": 1,
        "dolly/valid.jsonl": 1000,
        "dolly/train.jsonl": 2,
    }
    assert files["dolly/valid.jsonl"].rows[999]["id"] == "dolly-valid-0999"
    ids = [row["id"] for row in read(tmp_path / "data/dolly/train.jsonl")]
    assert ids == ["dolly-raw-01000", "dolly-raw-01001"]


@pytest.mark.parametrize(
    ("folder", "rows", "message"),
    [
        ("uinst/0_2", [row(0)], r"uinst: no folder '11_'.*it has 0_2$"),
        ("uinst", [row(0, words=2), row(1, words=2)], "half of the references have 2 words"),
        ("sinst/11_", [{"id": 1, **row(0)}, {"id": 1, **row(1)}], r"jsonl:2: id '1' occurs twice"),
        ("vicuna", [{"instruction": "x"}], r"valid\.jsonl:1: 'output' must be"),
        ("uinst/11_", [], "no rows"),
        ("alpaca", [row(0)], "no folder of the papers' data in it: dolly, self-inst"),
    ],
)
def test_what_is_not_the_papers_is_refused(
    folder: str, rows: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    write(tmp_path, folder, rows)
    write(tmp_path, "dolly", [row(0)]) if folder != "alpaca" else None
    with pytest.raises(InputError, match=message):
        converted(tmp_path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_the_hubs_cache_is_a_source(tmp_path: Path) -> None:
    for commit, count in (("a" * 40, 2), ("b" * 40, 3)):  # the later one is main
        files = {"11_/valid.jsonl": lines(map(row, range(count))), "11_/valid.txt": b"x"}
        place = put(tmp_path / "hub", "MiniLLM/sinst", commit, files, "dataset")
    (file,) = converted(tmp_path / "hub", tmp_path / "data").files
    assert (len(file.rows), file.source) == (3, place / "11_/valid.jsonl")
    main = tmp_path / "hub/datasets--MiniLLM--sinst/refs/main"
    main.unlink()
    with pytest.raises(InputError, match=r"several commits and no main; give the folder of one"):
        converted(tmp_path / "hub", tmp_path / "data")


def test_a_file_is_written_once_and_never_replaced(tmp_path: Path) -> None:
    file = write(tmp_path, "sinst/11_", [row(0)])
    plan = converted(tmp_path, tmp_path / "data", dry_run=True)
    assert (plan.written, (tmp_path / "data").exists()) == ((), False)
    assert converted(tmp_path, tmp_path / "data").written == ("super_natural/test.jsonl",)
    assert converted(tmp_path, tmp_path / "data").written == ()
    file.write_bytes(lines([row(1)]))
    with pytest.raises(InputError, match=r"exists with another content; give another out="):
        converted(tmp_path, tmp_path / "data")


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    write(tmp_path, "uinst/11_", [row(0)])
    out = tmp_path / "data"
    result = CliRunner().invoke(app, ["data", str(tmp_path), f"out={out}", "--json"])
    document = json.loads(result.output)
    assert (document["written"], document["absent"]) == (
        ["unnatural/test.jsonl"],
        ["dolly", "self_instruct", "vicuna", "super_natural"],
    )
    result = CliRunner().invoke(app, ["data", str(tmp_path), f"out={out}", "sets=uinst"])
    assert result.exit_code == 2
    assert "sets=uinst: " in result.stderr


def test_rows_get_the_numbers_and_the_order_of_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits: the start of SHA-256 of `["Say the words of line 0.", "", ["word00"]]` and so on."""
    digits = "".join(
        hashlib.sha256(
            f'["Say the words of line {number}.", "", ["word{number}0"]]'.encode()
        ).hexdigest()[:6]
        for number in range(3)
    )
    monkeypatch.setattr("kdbench.exchange.papers.numbers._KNOWN", {"vicuna": (1, digits)})
    write(tmp_path, "vicuna", [row(2, words=1), row(0, words=1)])
    (file,) = converted(tmp_path, tmp_path / "data").files
    numbered = [(made["id"], made["instruction"]) for made in file.rows]
    assert numbered == [
        ("vicuna-test-0001", "Say the words of line 0."),
        ("vicuna-test-0003", "Say the words of line 2."),
    ]


def test_an_unknown_row_leaves_all_without_numbers() -> None:
    known = {"instruction": "x", "input": "", "output": ["y"]}
    assert numbers("vicuna", [known]) is None
    assert numbers("dolly", [known]) is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the papers' rows")
@pytest.mark.parametrize("task", FOLDERS)
def test_the_authors_files_give_the_known_bytes(task: str, tmp_path: Path) -> None:
    """From rows in MiniLLM's layout, in Vicuna's case in another order, the files of this place."""
    known = SHARED / task / "test.jsonl"
    text = load_module("tasks/instruction.py").doc_to_text
    rows = []
    for made in read(known):
        references, topic = made["output"], made.get("category", made.get("task"))
        output = references[0] if len(references) == 1 else references
        raw = {"instruction": made["instruction"], "input": made["input"], "output": output}
        rows.append({**raw, "prompt": text(made), **({} if topic is None else {"topic": topic})})
    if task in ("vicuna", "self_instruct"):
        random.Random(0).shuffle(rows)
    write(tmp_path, FOLDERS[task], rows)
    (file,) = converted(tmp_path, tmp_path / "data").files
    assert (tmp_path / "data" / task / "test.jsonl").read_bytes() == known.read_bytes()
    assert file.of_papers is (None if task == "unnatural" else True)
