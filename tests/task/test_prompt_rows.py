"""Every format gives the same rows, and a bad row is named by its place."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import InputError
from kdbench.task import prompt_rows
from kdbench.task.prompt_rows import read_rows

ROWS = [
    {"id": "007", "prompt": 'Say "a,b".\nNow.', "reference": "1e5", "category": "01"},
    {"id": "008", "prompt": "Größe?\t→", "reference": None, "category": "b"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    name = path.name.lower()
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if name.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif name.endswith(".jsonl"):
        path.write_text("\ufeff\n" + lines.replace("\n", "\r\n\r\n"), encoding="utf-8", newline="")
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            delimiter = "\t" if name.endswith(".tsv") else ","
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "json", "csv", "tsv", "parquet", "JSONL"])
def test_every_format_gives_the_same_rows(ending: str, tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / f"p.{ending}", ROWS))
    known = [{key: value for key, value in row.items() if value is not None} for row in ROWS]
    assert [row.fields for row in rows] == known


def test_places_are_lines_or_rows(tmp_path: Path) -> None:
    places = {
        "jsonl": [":2", ":4"],  # blank lines count
        "csv": [":2", ":4"],  # a cell has two lines
        "json": [": row 1", ": row 2"],
        "parquet": [": row 1", ": row 2"],
    }
    for ending, expected in places.items():
        path = write(tmp_path / f"p.{ending}", ROWS)
        assert [row.place.removeprefix(str(path)) for row in read_rows(path)] == expected


def test_numbers_stay_as_they_are_written_and_nan_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "x", "id": 1.50, "category": 1e400, "reference": NaN}\n')
    assert read_rows(path)[0].fields == {"prompt": "x", "id": "1.50", "category": "1e400"}


def test_a_missing_number_of_a_parquet_column_is_missing(tmp_path: Path) -> None:
    import pandas as pd

    rows = [{"prompt": "x", "category": float("nan")}, {"prompt": "y", "category": 2.0}]
    pd.DataFrame(rows).to_parquet(tmp_path / "p.parquet")
    fields = [row.fields for row in read_rows(tmp_path / "p.parquet")]
    assert fields == [{"prompt": "x"}, {"prompt": "y", "category": 2.0}]


def test_a_cell_of_messages_is_json(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}]
    path = write(tmp_path / "p.csv", [{"messages": json.dumps(turns)}])
    assert read_rows(path)[0].fields == {"messages": turns}
    write(path, [{"messages": str(turns)}])
    with pytest.raises(InputError, match=r"p\.csv:2: messages: not JSON"):
        read_rows(path)


def test_a_long_cell_is_read_and_the_limit_of_csv_is_restored(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    path = write(tmp_path / "p.csv", [{"prompt": "x" * (limit + 1)}])
    assert len(read_rows(path)[0].fields["prompt"]) == limit + 1
    assert csv.field_size_limit() == limit


BAD = {
    ("a.jsonl", b""): "has no rows",
    ("a.jsonl", b'{"prompt": "x"}\n{"prompt": '): r"a\.jsonl:2: not JSON",
    ("a.jsonl", b"null"): r"a\.jsonl:1: must be a JSON object",
    ("b.jsonl", b'["x"]'): "row 1: must be a JSON object",
    (
        "a.jsonl",
        b'{"prompt": "x", "prompt": "y"}',
    ): r"a\.jsonl:1: the field 'prompt' is given twice",
    ("a.jsonl", b'{"prompt": "\\ud800"}'): r"a\.jsonl:1: not text: surrogates",
    ("a.jsonl", b'{"prompt": ' + b"[" * 100_000): r"a\.jsonl:1: nested too deeply",
    ("a.jsonl", '{"prompt": "é"}'.encode("latin-1")): "not UTF-8 text .*save it as UTF-8",
    ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid"): "Git LFS pointer",
    ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid"): "Git LFS pointer",
    ("a.parquet", b"PAR1 is not enough"): "not a Parquet file",
    ("a.jsonl.gz", b"plain"): "damaged gzip file",
    ("a.jsonl.gz", gzip.compress(b'{"prompt": "x"}\n' * 999)[:50]): "damaged gzip file",
    ("a.json", b'{\n "prompt": "x"\n}'): r"a\.json:1: an object over several lines",
    ("a.json", b'[{"prompt": "x"}'): r"a\.json: not JSON",
    ("a.csv", b"prompt;reference\nx;y\n"): r"a\.csv:1: the columns are separated by semicolons",
    ("a.csv", b"prompt\treference\nx\ty\n"): r"a\.csv:1: .*rename the file to \.tsv",
    ("a.csv", b"prompt,prompt\nx,y\n"): r"a\.csv:1: the column 'prompt' is given twice",
    ("a.csv", b"prompt,reference\nx,y\nz,1,2\n"): r"a\.csv:3: has 3 cells, but the header has 2",
    ("a.csv", b'prompt\n"x\n'): r"a\.csv:2: unexpected end of data",
}


@pytest.mark.parametrize(
    ("file", "message"), BAD.items(), ids=[f"{n}-{m}" for (n, _), m in BAD.items()]
)
def test_a_damaged_file_is_named(file: tuple[str, bytes], message: str, tmp_path: Path) -> None:
    (tmp_path / file[0]).write_bytes(file[1])
    with pytest.raises(InputError, match=message) as error:
        read_rows(tmp_path / file[0])
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "x"}\n' * 20))
    monkeypatch.setattr(prompt_rows, "_MOST_ROWS", 10)
    with pytest.raises(InputError, match="more than 10 rows"):
        read_rows(path)
    monkeypatch.setattr(prompt_rows, "_MOST_BYTES", 100)
    with pytest.raises(InputError, match="larger than 1 GB"):
        read_rows(path)
