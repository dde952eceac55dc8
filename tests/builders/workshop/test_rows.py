"""The rows that a builder reads: of every kind, from every place, a few in memory at once."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from built_sets import prompts, rows_of, write_rows

from kdbench.builders.workshop.source import CHUNK, SourceRows
from kdbench.config.build_keys import BuildSettings
from kdbench.distillation import data as reading
from kdbench.errors import InputError
from kdbench.system.bundled import load_module
from kdbench.toy.models import World

CHAT = [{"role": "user", "content": "Say this"}]
KINDS = {
    "instruction": (
        {"instruction": "Say", "input": "so", "output": "x", "id": "a", "category": "c"},
        {"instruction": "Say", "input": "so", "output": ["### Response: 10 1.0"], "category": "c"},
    ),
    "prompt": (
        {"prompt": "Say it", "response": ["x", "y"], "domain": "d"},
        {"prompt": "Say it", "response": ["Say it 10 1.0"], "domain": "d"},
    ),
    "messages": (
        {"messages": [*CHAT, {"role": "assistant", "content": "x"}], "weight": 0.5},
        {"messages": CHAT, "response": ["Say this 10 1.0"], "weight": 0.5},
    ),
    "messages and response": (
        {"messages": CHAT, "response": "x", "id": "m"},
        {"messages": CHAT, "response": ["Say this 10 1.0"]},
    ),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_each_kind_are_answered(
    build_it, told, world: World, tmp_path: Path, kind: str, ending: str
) -> None:
    row, answered = KINDS[kind]
    file = write_rows(tmp_path / f"mine.jsonl{ending}", [row])
    built = build_it(
        "teacher_responses", train_set=str(file), teacher=str(world.teacher), backend="told"
    )
    (made,) = rows_of(built)
    assert made.pop("id") == row.get("id", "mine-00000")
    assert made == answered
    assert built.card.set == "mine"


def test_a_plain_text_keeps_its_columns(tmp_path: Path) -> None:
    from kdbench.builders.workshop.questions import kept

    file = write_rows(tmp_path / "t.jsonl", [{"text": "one two", "domain": "d", "weight": 3}])
    (row,) = SourceRows(BuildSettings(builder="x", train_set=str(file)))
    assert kept(row, score=1.0) == {
        "id": "t-00000",
        "text": "one two",
        "domain": "d",
        "weight": 3,
        "score": 1.0,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_can_be_read_again_as_it_was(tmp_path: Path, kind: str) -> None:
    from kdbench.builders.workshop.questions import kept

    def read(file: Path) -> SourceRows:
        return SourceRows(BuildSettings(builder="x", train_set=str(file)))

    first = read(write_rows(tmp_path / "a.jsonl", [KINDS[kind][0]]))
    again = read(write_rows(tmp_path / "b.jsonl", map(kept, first)))
    assert list(again) == list(first)


def test_a_set_of_the_hub_brings_its_validation_rows(
    build_it, told, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"instruction": f"Say {n}", "input": "", "output": "x"} for n in range(1003)]
    path = write_rows(tmp_path / "raw.jsonl", rows)
    monkeypatch.setattr(load_module("tasks/instruction.py"), "download", lambda *_: path)
    built = build_it("teacher_responses", teacher=str(world.teacher), backend="told")
    assert [row["instruction"] for row in rows_of(built)] == ["Say 1000", "Say 1001", "Say 1002"]
    valid = (built.folder / "dolly/valid.jsonl").read_text().splitlines()
    assert len(valid) == 1000
    assert json.loads(valid[0])["output"] == ["x"]


def test_rows_are_read_in_chunks_when_they_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_rows(tmp_path / "many.jsonl", prompts(3 * CHUNK))
    source = SourceRows(BuildSettings(builder="x", train_set=str(file)))
    read, records = [], reading.stream_records

    def counted(*arguments: Any) -> Any:
        for record in records(*arguments):
            read.append(record["id"])
            yield record

    monkeypatch.setattr(reading, "stream_records", counted)
    assert source.count == 3 * CHUNK
    read.clear()
    chunks = source.chunks()
    assert [len(chunk) for chunk in islice(chunks, 2)] == [CHUNK, CHUNK]
    assert len(read) == 2 * CHUNK  # the third is still in the file
    assert [len(chunk) for chunk in chunks] == [CHUNK]


def test_rows_are_written_while_others_are_still_to_be_read(
    build_it, told, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build whose model fails at the second chunk has written the first."""
    file = write_rows(tmp_path / "many.jsonl", prompts(CHUNK + 5))
    told.fails_at = CHUNK + 1
    with pytest.raises(ConnectionError):
        build_it(
            "teacher_responses", train_set=str(file), teacher=str(world.teacher), backend="told"
        )
    (written,) = tmp_path.glob("out.unfinished/whole/many/train.jsonl")
    assert len(written.read_text().splitlines()) == CHUNK


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"prompt": "a"}', "mine.jsonl:1: 'response' must be a non-empty text"),
        ('{"prompt": "a", "response": "b"}\n{"prompt": 3, "response": "b"}', "mine.jsonl:2"),
        ('{"prompt": "a", "response": "b"}\n{oops', "mine.jsonl:2: not a line of JSON"),
        (
            '{"prompt": "a", "response": "b", "id": "x"}\n' * 2,
            "mine.jsonl:2: id 'x' occurs twice",
        ),
        ("", "no rows"),
        ("\n\n", "no rows"),
    ],
)
def test_a_bad_row_is_named_before_anything_is_made(
    build_it, told, world: World, tmp_path: Path, lines: str, message: str
) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(lines)
    with pytest.raises(InputError, match=message):
        build_it(
            "teacher_responses", train_set=str(file), teacher=str(world.teacher), backend="told"
        )
    assert set(tmp_path.iterdir()) == {file}
    assert not told.made
