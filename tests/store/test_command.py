"""The command of a stored run measures the same."""

import shlex
from dataclasses import replace
from pathlib import Path

from made_runs import put_run

from kdbench.config import EvalSettings, parse
from kdbench.store.command import command_of
from kdbench.store.runs import StoredRun, stored_runs


def made(results: Path, **record: object) -> StoredRun:
    put_run(results, "kd", {"dolly": [1], "vicuna": [2]}, **record)
    (run,) = stored_runs(results)
    return run


def with_model(run: StoredRun, model: dict[str, str]) -> StoredRun:
    return replace(run, record={**run.record, "model": model})


def test_the_command_repeats_what_the_run_records(tmp_path: Path) -> None:
    run = made(
        tmp_path,
        method="GKD",
        setting="toy world",
        limit=5,
        protocol={"name": "greedy+max_new_tokens=7+system=be brief"},
        backend={"name": "vllm"},
        teacher={"name": "big", "sha256": "t"},
    )
    command = command_of(run, tmp_path)
    assert command == (
        "kdbench eval model=path/to/kd teacher=path/to/big data=path/to/data tasks=dolly,vicuna "
        "protocol=greedy backend=vllm limit=5 method=GKD 'setting=toy world' max_new_tokens=7 "
        "'system=be brief'"
    )
    keys = parse(EvalSettings, shlex.split(command)[2:])
    assert (keys.tasks, keys.limit, keys.max_new_tokens) == (("dolly", "vicuna"), 5, 7)
    assert command_of(run, None, "my-org/kd").startswith("kdbench eval model=my-org/kd teacher=")


def test_defaults_are_left_out_and_names_move_no_cursor(tmp_path: Path) -> None:
    run = made(tmp_path, method="a\n```\x1b[2J", backend={"name": "hf"})
    assert command_of(run, tmp_path) == (
        "kdbench eval model=path/to/kd data=path/to/data tasks=dolly,vicuna 'method=a ```[2J'"
    )


def test_texts_made_elsewhere_are_scored_again(tmp_path: Path) -> None:
    run = made(tmp_path, backend={"name": "external"})
    folder = tmp_path / "a b"
    assert command_of(run, folder) == f"kdbench score {shlex.quote(f'run={folder}')}"
    assert command_of(run, None) == ""
    assert command_of(made(tmp_path, imported={"from": "lm-eval 0.4.13"}), folder) == ""


def test_weights_quantised_by_loading_are_quantised_again(tmp_path: Path) -> None:
    model = {"name": "kd-4bit", "sha256": "s", "quantization": "4bit"}
    teacher = {"name": "big-8bit", "sha256": "t", "dtype": "auto 8bit"}
    command = command_of(with_model(made(tmp_path, teacher=teacher), model), None)
    start = "kdbench eval model=path/to/kd quantization=4bit teacher=path/to/big "
    assert command.startswith(start + "teacher_quantization=8bit data=")
    keys = parse(EvalSettings, shlex.split(command)[2:])
    assert (keys.quantization, keys.teacher_quantization) == ("4bit", "8bit")


def test_weights_that_are_quantised_in_their_files_are_not(tmp_path: Path) -> None:
    model = {"name": "kd-4bit", "sha256": "s", "quantization": "gptq, 4 bits"}
    command = command_of(with_model(made(tmp_path), model), None)
    assert "model=path/to/kd-4bit " in command
    assert "quantization" not in command
