"""Columns of size, speed and price, against values by hand."""

from pathlib import Path
from typing import Any

import pytest
from made_speeds import record

from kdbench.config import TableSettings, parse
from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.results import TaskResult
from kdbench.store.speeds import write_speed
from kdbench.tables import build_table

ALL = "parameters,disk,tokens_per_second,latency_p50,latency_p95,cost_per_million_tokens"


def put(results: Path, name: str, **model: Any) -> None:
    folder = RunFolder(results / name / "run")
    folder.write_run(
        {
            "model": {"name": name, "sha256": f"sha of {name}", **model},
            "method": None,
            "setting": "s",
            "protocol": {"name": "minillm"},
            "limit": None,
            "status": "complete",
            "tasks": {},
        }
    )
    folder.write_task(TaskResult({"task": "dolly"}, {}, {"id": []}, {}, 0, "rougeL"))


def table(results: Path, *words: str) -> Any:
    given = [f"results={results}", "tasks=dolly", "published=none", *words]
    return build_table(parse(TableSettings, given))


def cells(drawn: Any) -> dict[str, list[str]]:
    return {row.label: [drawn.text(cell) for cell in row.cells] for row in drawn.rows}


def test_a_run_without_the_tasks_of_the_table_is_no_row_for_its_size_alone(tmp_path: Path) -> None:
    put(tmp_path, "with", parameters=1_000_000)
    put(tmp_path, "without", parameters=2_000_000)
    (tmp_path / "without" / "run" / "dolly.json").rename(tmp_path / "dolly.json")
    assert cells(table(tmp_path, "columns=rougeL,parameters")) == {"with": ["", "1.00"]}
    assert set(cells(table(tmp_path, "columns=parameters"))) == {"with", "without"}


def test_sizes_speeds_and_prices_stand_in_columns(tmp_path: Path) -> None:
    put(tmp_path, "fast", parameters=2_000_000, disk_bytes=4_040_000)
    put(tmp_path, "slow")
    put(tmp_path, "untimed", parameters=1_000_000)
    write_speed(tmp_path / "fast" / "speed-1.json", record("fast", 1000.0))
    write_speed(tmp_path / "slow" / "speed-1.json", record("slow", 250.0))
    write_speed(tmp_path / "slow" / "speed-2.json", record("slow", 99.0, concurrency=1))
    drawn = table(tmp_path, f"columns={ALL}", "price=7.2")
    assert cells(drawn) == {
        "fast": ["2.00", "4.0", "1000.0", "1.000", "2.000", "2.0000"],
        "slow": ["2.50", "5.1", "250.0", "1.000", "2.000", "8.0000"],  # sizes of the speed file
        "untimed": ["1.00", "", "", "", "", ""],
    }
    arrows = [column[-1] for column in drawn.columns]
    assert arrows == ["↓", "↓", "↑", "↓", "↓", "↓"]
    notes = " ".join(drawn.notes())
    assert (
        "Speeds are those of 8 requests at a time, 256 prompt tokens and 128 new tokens each, "
        "backend hf, GPU (bfloat16), prompts included in the time; repeats differ by up to 20.0%."
    ) in notes
    assert "cost_per_million_tokens is the price" in notes
    assert "at 7.2 an hour." in notes
    assert "Other loads are stored (choose with load=): 1 request at a time" in notes
    one = cells(table(tmp_path, "columns=tokens_per_second", "load=concurrency=1"))
    assert one == {"slow": ["99.0"]}


def test_shorter_responses_are_noted(tmp_path: Path) -> None:
    put(tmp_path, "served")
    write_speed(tmp_path / "served" / "speed-1.json", record("served", new_tokens=9.5))
    notes = " ".join(table(tmp_path, "columns=latency_p50").notes())
    assert "Some responses are shorter, down to 9.5 tokens on average" in notes


def test_a_retrained_model_has_no_speed_of_the_old_weights(tmp_path: Path) -> None:
    put(tmp_path, "m", parameters=1_000_000, disk_bytes=1, sha256="new weights")
    put(tmp_path, "n", parameters=2_000_000)
    for name in ("m", "n"):
        write_speed(tmp_path / name / "speed-1.json", record(name))
    drawn = cells(table(tmp_path, "columns=parameters,tokens_per_second"))
    assert drawn == {"m": ["1.00", ""], "n": ["2.00", "100.0"]}


def test_sizes_need_no_speed(tmp_path: Path) -> None:
    put(tmp_path, "m", parameters=1_500_000, disk_bytes=3_000_000)
    drawn = table(tmp_path, "columns=parameters,disk")
    assert cells(drawn) == {"m": ["1.50", "3.0"]}
    assert not [note for note in drawn.notes() if "Speeds" in note]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["columns=cost_per_million_tokens"], "needs price="),
        (["columns=disk", "price=2"], "price= needs columns=cost_per_million_tokens"),
        (["columns=disk", "load=concurrency=8"], "load= needs a column of speed"),
        (
            ["columns=latency_p50"],
            "no speed of these models in .*; run kdbench speed",
        ),
        (["columns=latency_p50", "price=-1"], "price=-1: input should be greater than 0"),
        (["columns=latency"], "did you mean 'latency_p"),
    ],
)
def test_what_is_missing_is_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    put(tmp_path, "m", parameters=1, disk_bytes=1)
    with pytest.raises(InputError, match=message):
        table(tmp_path, *words)


def test_weights_have_the_size_that_loading_gave_them(tmp_path: Path) -> None:
    put(tmp_path, "full", parameters=2_000_000, disk_bytes=8_000_000)
    size = {"weight_bytes": 1_100_000, "quantization": "4bit"}
    put(tmp_path, "loaded", parameters=2_000_000, disk_bytes=8_000_000, **size)
    put(tmp_path, "packed", parameters=2_000_000, disk_bytes=2_125_000, quantization="gptq")
    put(tmp_path, "unknown", disk_bytes=2_000_000)
    drawn = table(tmp_path, "columns=disk,weights,bits_per_weight")
    assert cells(drawn) == {
        "full": ["8.0", "8.0", "32.00"],
        "loaded": ["8.0", "1.1", "4.40"],
        "packed": ["2.1", "2.1", "8.50"],
        "unknown": ["2.0", "2.0", ""],
    }
