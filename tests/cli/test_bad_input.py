"""Bad input is one line that names file, line or key; exit 2; nothing is written."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import nan_weights, without_a_tensor
from safetensors.torch import load_file

from kdbench.cli import verbs as cli
from kdbench.toy.models import World

Broken = Callable[[Path, World], list[str]]  # makes the input in a folder; the verb's arguments


def copy_data(folder: Path, world: World) -> Path:
    shutil.copytree(world.data, folder / "data")
    return folder / "data" / "dolly" / "test.jsonl"


def copy_model(folder: Path, world: World) -> Path:
    shutil.copytree(world.student, folder / "model")
    return folder / "model"


def with_data(change: Callable[[list[str]], list[str]]) -> Broken:
    def make(folder: Path, world: World) -> list[str]:
        file = copy_data(folder, world)
        lines = change(file.read_text().splitlines())
        file.write_text("".join(f"{line}\n" for line in lines))
        return ["eval", f"model={world.student}", f"data={folder / 'data'}", "tasks=dolly"]

    return make


def with_model(change: Callable[[Path], object]) -> Broken:
    def make(folder: Path, world: World) -> list[str]:
        model = copy_model(folder, world)
        change(model)
        return ["eval", f"model={model}", f"data={world.data}", "tasks=dolly", "device=cpu"]

    return make


def with_arguments(*arguments: str) -> Broken:
    def make(folder: Path, world: World) -> list[str]:
        return ["eval", f"model={world.student}", f"data={world.data}", "tasks=dolly", *arguments]

    return make


def with_samples(*lines: str, task: str = "dolly") -> Broken:
    def make(folder: Path, world: World) -> list[str]:
        file = folder / "texts.jsonl"
        file.write_text("".join(f"{line}\n" for line in lines))
        return ["score", f"samples={file}", f"task={task}", f"data={world.data}"]

    return make


def change_row(number: int, **fields: object) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        row = {**json.loads(lines[number]), **fields}
        return [*lines[:number], json.dumps(row), *lines[number + 1 :]]

    return change


def without_eos(model: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (model / name).exists():
            content = json.loads((model / name).read_text())
            content.pop("eos_token", None)
            (model / name).write_text(json.dumps(content))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def pickled(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    torch.save(weights, model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()


def sharded_with_a_hole(model: Path) -> None:
    index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


def config_file(text: str) -> Broken:
    def make(folder: Path, world: World) -> list[str]:
        (folder / "eval.yaml").write_text(text)
        return ["eval", f"config={folder / 'eval.yaml'}"]

    return make


def yaml_task(text: str) -> Broken:
    def make(folder: Path, world: World) -> list[str]:
        (folder / "mine.yaml").write_text(text)
        return ["eval", f"model={world.student}", f"tasks={folder / 'mine.yaml'}"]

    return make


FIRST = '{"id": "toy-dolly-test-0000", "output": "x", "seed": 1}'

CASES: dict[str, tuple[Broken, str]] = {
    "malformed JSONL": (with_data(lambda x: [*x[:3], "{oops", *x[3:]]), r"test\.jsonl:4: not JSON"),
    "a line that is no object": (
        with_data(lambda x: ["[1]", *x]),
        r"test\.jsonl:1: not a JSON obj",
    ),
    "empty data": (with_data(lambda _: []), r"test\.jsonl: no rows"),
    "duplicate ids": (with_data(lambda x: [*x, x[0]]), r"test\.jsonl:13: id .* occurs twice"),
    "empty reference": (with_data(change_row(2, output=[""])), r"test\.jsonl:3: 'output' must be"),
    "no references": (with_data(change_row(2, output=[])), r"test\.jsonl:3: 'output' must be"),
    "no instruction": (with_data(change_row(1, instruction="")), r"test\.jsonl:2: 'instruction'"),
    "input of another type": (with_data(change_row(1, input=["3"])), r"test\.jsonl:2: 'input'"),
    "data folder missing": (with_arguments("limit=1", "data=/no/such"), "data= is given twice"),
    "set missing": (
        lambda folder, world: ["eval", f"model={world.student}", f"data={folder}", "tasks=vicuna"],
        r"vicuna/test\.jsonl: no such file; put the data set there",
    ),
    "unknown task": (
        lambda folder, world: ["eval", f"model={world.student}", "tasks=doly"],
        "unknown task 'doly'.*did you mean 'dolly'",
    ),
    "task of lm-eval without its prefix": (
        lambda folder, world: ["eval", f"model={world.student}", "tasks=lm_eval:arc_easy,gsm8k"],
        "unknown task 'gsm8k'.*; lm-eval's own tasks are lm_eval:NAME$",
    ),
    "task of another output type": (
        yaml_task("task: x\noutput_type: loglikelihood\ndataset_path: json\n"),
        r"mine\.yaml: ",
    ),
    "task YAML broken": (yaml_task("task: [x\n"), r"mine\.yaml: "),
    "task YAML without a task": (yaml_task("dataset_path: json\n"), r"mine\.yaml: "),
    "unknown metric": (
        with_arguments("metrics=rouge"),
        "unknown metric 'rouge': did you mean 'rougeL'",
    ),
    "unknown backend": (with_arguments("backend=hg"), "unknown backend 'hg'"),
    "unknown protocol": (with_arguments("protocol=minilm"), "did you mean 'minillm'"),
    "unknown key": (
        with_arguments("batchsize=3"),
        "unknown key 'batchsize': did you mean 'batch_size'",
    ),
    "value of another type": (with_arguments("limit=many"), "limit=many: "),
    "a name that is a path": (
        with_arguments("name=../x"),
        "name=../x: must be the name",
    ),
    "bad shard": (with_arguments("shard=4/4"), "shard=4/4: must be I/N"),
    "not key=value": (with_arguments("dolly"), "'dolly' is not key=value"),
    "seeds twice": (with_arguments("seeds=1,1"), "seeds=1,1: seeds must be unique"),
    "greedy with seeds": (with_arguments("temperature=0"), "where all seeds give the same text"),
    "greedy with top_k": (
        with_arguments("protocol=greedy", "top_k=5"),
        "top_k= has no effect with temperature=0",
    ),
    "no such device": (with_arguments("device=cuda:99"), "device=cuda:99: not available"),
    "revision of a folder": (
        with_arguments("revision=main"),
        "revision= is for models on the Hub, and model=.* is on this disk",
    ),
    "teacher key without a teacher": (
        with_arguments("undistilled_name=x"),
        "undistilled_name= needs teacher=",
    ),
    "prompt too long for the model": (with_arguments("max_new_tokens=512"), "positions; lower"),
    "folder that is no checkpoint": (
        lambda folder, world: ["eval", f"model={folder}", f"data={world.data}"],
        "no checkpoint here",
    ),
    "checkpoint missing": (
        lambda folder, world: ["eval", "model=no-such-model", f"data={world.data}"],
        "model=no-such-model: no such folder",
    ),
    "hub out of reach": (
        lambda folder, world: ["eval", "model=org/name", f"data={world.data}"],
        "model=org/name: no such folder, and it cannot be downloaded from the Hub",
    ),
    "a file for a model": (
        lambda folder, world: [
            "eval",
            f"model={world.student / 'config.json'}",
            f"data={world.data}",
        ],
        r"config\.json: not a \.gguf file",
    ),
    "weights missing": (
        with_model(lambda m: (m / "model.safetensors").unlink()),
        "no weights here",
    ),
    "interrupted download": (
        with_model(lambda m: truncate(m / "model.safetensors")),
        "cannot be loaded",
    ),
    "shard missing": (
        with_model(sharded_with_a_hole),
        "model-00001-of-00002.safetensors is missing",
    ),
    "pickle weights": (with_model(pickled), "only pickle weights.*unsafe_pickle=true"),
    "config broken": (
        with_model(lambda m: (m / "config.json").write_text("{")),
        "model/config.json: cannot be loaded: not JSON",
    ),
    "no tokenizer": (
        with_model(lambda m: [f.unlink() for f in m.glob("token*")]),
        "model: no tokenizer here",
    ),
    "a tensor missing": (
        with_model(without_a_tensor),
        r"1 missing \(model.norm.weight\)",
    ),
    "tokenizer without EOS": (with_model(without_eos), "no end-of-sequence token"),
    "NaN logits": (
        with_model(nan_weights),
        "model: weights are not finite: ",
    ),
    "run card broken": (
        with_model(lambda m: (m / "kdbench.json").write_text("x")),
        "kdbench.json: not JSON",
    ),
    "config file missing": (
        lambda folder, world: ["eval", "config=/no/such.yaml"],
        "config=/no/such.yaml: No such file",
    ),
    "config file broken": (config_file("model: [x"), r"eval\.yaml: not YAML"),
    "config file of a list": (config_file("- model"), "must hold key: value lines"),
    "config with an unknown key": (config_file("modell: x"), "unknown key 'modell'"),
    "sample of no document": (
        with_samples('{"id": "x", "output": ""}'),
        r":1: task 'dolly' has no",
    ),
    "sample twice": (
        with_samples(FIRST, FIRST),
        r"texts\.jsonl:2: document .* two samples of seed 1",
    ),
    "samples missing": (with_samples(FIRST), "11 of 12 samples are missing, the first for"),
    "samples malformed": (with_samples("{"), r"texts\.jsonl:1: not a line of JSON"),
    "samples empty": (with_samples(), r"texts\.jsonl: has no samples"),
    "sample without output": (with_samples('{"id": "x"}'), r":1: 'output' must be a string"),
    "score without task": (
        lambda folder, world: ["score", f"samples={world.data / 'dolly' / 'test.jsonl'}"],
        "task= is missing",
    ),
    "score without samples": (lambda folder, world: ["score", "task=dolly"], "give samples=FILE"),
    "run that is none": (
        lambda folder, world: ["score", f"run={folder}"],
        "not the record of a run",
    ),
    "a key that a stored run fixes": (
        lambda folder, world: ["score", f"run={folder}", "name=x"],
        "name= has no effect with run=, which records it",
    ),
    "nothing to draw": (
        lambda folder, world: ["table", "published=none"],
        "no result with metric 'rougeL'",
    ),
    "table of unknown form": (lambda folder, world: ["table", "out=x.docx"], "ending 'docx'"),
    "check without a file": (
        lambda folder, world: ["table", "--check"],
        "check=true needs out=FILE",
    ),
    "baselines missing": (
        lambda folder, world: ["table", "baselines=/no/such.yaml"],
        "baselines=/no/such.yaml: No such file",
    ),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input(
    case: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make, message = CASES[case]
    inputs, work = tmp_path / "inputs", tmp_path / "work"
    inputs.mkdir()
    work.mkdir()
    arguments = make(inputs, world)
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "argv", ["kdbench", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("kdbench:")]
    assert exit_.value.code == 2, printed
    assert len(lines) == 1, printed
    assert "Traceback" not in printed.err
    assert re.search(message, lines[0]), lines[0]
    assert list(work.rglob("*")) == []


def test_a_full_disk_gives_a_one_line_error_and_the_run_resumes_later(
    world: World, tmp_path: Path
) -> None:
    """A limit on file size simulates the full disk: writing fails half-way."""
    results = tmp_path / "results"
    arguments = [sys.executable, "-m", "kdbench", "eval", f"model={world.student}"]
    arguments += [f"data={world.data}", "tasks=dolly", "seeds=1,2,3", "device=cpu"]
    arguments += [f"results={results}", "batch_size=4"]
    full = subprocess.run(
        ["bash", "-c", 'ulimit -f 3; trap "" XFSZ; exec "$@"', "-", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    last = full.stderr.splitlines()[-1]
    assert full.returncode == 2, full.stderr
    assert last.startswith("kdbench: ")
    assert "too large" in last
    subprocess.run(arguments, check=True, capture_output=True)
    (folder,) = results.glob("student/*")
    samples = (folder / "samples" / "dolly.jsonl").read_text().splitlines()
    assert len(samples) == 36
    assert not [file for file in folder.rglob(".*") if "lock" not in file.name]
