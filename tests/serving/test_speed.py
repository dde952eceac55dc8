"""The verb on a toy model: what it stores, when it measures again, and what it refuses."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from outcomes import run

from kdbench.checkpoint import disk_bytes, find_checkpoint, served_model
from kdbench.config import SpeedSettings, build
from kdbench.serving.speed import SpeedMeasurement, measure_speed
from kdbench.toy.models import World

SMALL = {"prompt_tokens": 12, "new_tokens": 6, "requests": 2, "repeats": 2, "device": "cpu"}


def measure(world: World, results: Path, **keys: Any) -> SpeedMeasurement:
    """Time the toy student with a clock that ticks a second each time it is read."""
    ticks = count()
    given = {
        "model": str(world.student),
        "results": results,
        "concurrency": [1, 3],
        **SMALL,
        **keys,
    }
    return measure_speed(build(SpeedSettings, given), clock=lambda: float(next(ticks)))


def test_each_load_is_a_file_and_is_measured_once(world: World, tmp_path: Path) -> None:
    first = measure(world, tmp_path)
    assert first.measured == 2
    assert [path.name[:16] for path in first.records] == ["speed-p12-n6-c1-", "speed-p12-n6-c3-"]
    one, three = first.records.values()
    assert (one.load.requests, three.load.requests) == (2, 3)
    # A round of c requests reads the clock c + 2 times, so it takes c + 1 ticks for 6 c tokens.
    assert one.tokens_per_second.value == pytest.approx(6 / 2)
    assert three.tokens_per_second.value == pytest.approx(18 / 4)
    assert (three.latency_p50.value, three.latency_p50.low) == (2.0, 2.0)
    assert one.new_tokens == three.new_tokens == 6
    assert one.model.disk_bytes == (world.student / "model.safetensors").stat().st_size
    before = {path: path.read_bytes() for path in first.records}
    again = measure(world, tmp_path)
    assert again.measured == 0
    assert {path: path.read_bytes() for path in again.records} == before
    assert measure(world, tmp_path, concurrency=[1], repeats=1).measured == 1
    assert measure(world, tmp_path, concurrency=[3], again=True).measured == 1
    assert len(list((tmp_path / "student").iterdir())) == 2


def test_a_dry_run_shows_the_loads_and_writes_nothing(world: World, tmp_path: Path) -> None:
    measure(world, tmp_path, concurrency=[1])
    before = sorted(tmp_path.rglob("*"))
    words = [f"model={world.student}", f"results={tmp_path}", "concurrency=1,3", "--dry-run"]
    words += [f"{key}={value}" for key, value in SMALL.items()]
    outcome = run(["speed", *words])
    assert outcome.code == 0
    text = " ".join(outcome.out.split())
    assert "2 repeats of 2 requests, each with 12 tokens of prompt and 6 of response" in text
    assert (text.count("(stored already)"), text.count("(to be timed)")) == (1, 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_responses_go_on_after_an_end_token(world: World, tmp_path: Path) -> None:
    keys = {"concurrency": [2], "new_tokens": 60, "requests": 2, "repeats": 1}
    (record,) = measure(world, tmp_path, **keys).records.values()
    assert record.new_tokens == 60
    assert not record.ends_early


def test_a_run_records_the_size_of_the_weights(world: World) -> None:
    checkpoint = find_checkpoint(str(world.student))
    assert disk_bytes(checkpoint) == (world.student / "model.safetensors").stat().st_size
    assert disk_bytes(served_model("m", "b")) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("concurrency=0", "concurrency=0: input should be greater than or equal to 1"),
        ("concurrency=2,2", "concurrency=2,2: must be different numbers, one at least"),
        ("concurrency=", "concurrency=: must be different numbers, one at least"),
        ("new_tokens=x", "new_tokens=x: input should be a valid integer"),
        ("batch_size=4", "unknown key 'batch_size'"),
        ("prompt_tokens=100000", "prompt_tokens=100000 and new_tokens=128 do not fit into"),
        ("backend=nope", "unknown backend 'nope'"),
        ("backend=lm_eval:local-chat-completions", "need the server's endpoint for completions"),
    ],
)
def test_bad_input_is_one_line(words: str, message: str, world: World, tmp_path: Path) -> None:
    outcome = run(["speed", f"model={world.student}", f"results={tmp_path / 'r'}", words])
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_a_damaged_file_is_named(world: World, tmp_path: Path) -> None:
    (path,) = measure(world, tmp_path, concurrency=[1]).records
    content = json.loads(path.read_text())
    content["tokens_per_second"]["value"] = "fast"
    path.write_text(json.dumps(content))
    words = [f"{key}={value}" for key, value in SMALL.items()]
    command = ["speed", f"model={world.student}", f"results={tmp_path}", "concurrency=1", *words]
    outcome = run(command)
    assert outcome.code == 2
    assert f"{path}: damaged: 'tokens_per_second.value'" in outcome.err
    assert run([*command, "--again"]).code == 0
    printed = run(command).out.splitlines()
    assert printed[0].startswith("student in float32, backend hf, ")
    assert printed[0].endswith("prompts of 12 tokens, responses of 6")
    assert printed[-1] == f"0 measured now, 1 before; results in {path.parent}"
