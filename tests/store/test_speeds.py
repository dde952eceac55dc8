"""Speed files: which load is shown, what a price makes of a speed, what is refused."""

from pathlib import Path

import pytest
from made_speeds import record

from kdbench.errors import InputError
from kdbench.store.speeds import Speeds, read_speed, stored_speeds, write_speed


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "m" / "speed-x.json"
    write_speed(path, record("m", 123.456))
    assert read_speed(path) == record("m", 123.456)
    model = record("m").model.key
    assert stored_speeds(tmp_path, {model}) == [read_speed(path)]
    assert stored_speeds(tmp_path, {("m", "sha of another one")}) == []
    assert stored_speeds(tmp_path / "nowhere", {model}) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"value": 100.0', '"value": -1'),
        ('"value": 100.0', '"value": NaN'),
        ('"concurrency": 8', '"concurrency": true'),
        ('"schema": 1', '"schema": 2'),
        ('"hardware"', '"hard ware"'),
        ("{", ""),
    ],
)
def test_a_damaged_file_is_one_line(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "speed-x.json"
    write_speed(path, record("m"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=r"speed-x\.json: damaged") as caught:
        read_speed(path)
    assert "\n" not in str(caught.value)


def test_the_load_of_most_models_is_shown_and_then_the_highest_concurrency() -> None:
    records = [record("a", concurrency=1), record("a"), record("b", concurrency=1), record("b")]
    assert Speeds(records, {}).condition == record("a").condition
    one_more = [*records, record("c", concurrency=1)]
    speeds = Speeds(one_more, {})
    assert speeds.condition == record("a", concurrency=1).condition
    assert speeds.others == [record("a").condition]
    assert speeds.of("c", "sha of c") == one_more[-1]
    assert speeds.of("c", "another sha") is None


def test_load_chooses_by_its_fields() -> None:
    records = [record("a"), record("a", hardware="CPU"), record("b")]
    chosen = Speeds(records, {"hardware": "CPU", "concurrency": 8})
    assert chosen.records == [records[1]]
    with pytest.raises(InputError, match=r"load=concurrency=9: no such speed .*8 req"):
        Speeds(records, {"concurrency": 9})
    with pytest.raises(InputError, match=r"load=clients=…: .*concurrency"):
        Speeds(records, {"clients": 9})
    with pytest.raises(InputError, match="measured: none; run kdbench speed"):
        Speeds([], {"concurrency": 9})
    assert Speeds([], {}).condition is None


def test_the_latest_of_equal_conditions_counts(tmp_path: Path) -> None:
    write_speed(tmp_path / "m" / "speed-1.json", record("m", 2.0, created="2026-02-01"))
    write_speed(tmp_path / "m" / "speed-2.json", record("m", 1.0, created="2026-01-01"))
    (kept,) = Speeds(stored_speeds(tmp_path, {record("m").model.key}), {}).records
    assert kept.tokens_per_second.value == 2.0


def test_a_price_for_an_hour_becomes_one_for_a_million_tokens() -> None:
    # 1,000 tokens a second are 3.6 million an hour.
    assert record("m", 1000.0).cost_per_million(7.2) == pytest.approx(2.0)
    assert record("m", 0.0).cost_per_million(7.2) is None
