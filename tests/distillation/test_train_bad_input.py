"""Bad input to `kdbench train` gives a one-line error and exit code 2, and leaves no files."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import nan_weights, without_a_tensor
from filelock import FileLock
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

import kdbench
from kdbench.cli import verbs as cli
from kdbench.toy.models import World

Broken = Callable[[Path, World], list[str]]  # makes the input in a folder; arguments after `train`
FEW = {
    "steps": 1,
    "batch_size": 2,
    "limit": 4,
    "validation_limit": 2,
    "max_new_tokens": 4,
    "device": "cpu",
}


def few(**changes: object) -> list[str]:
    return [f"{key}={value}" for key, value in (FEW | changes).items()]


def train_arguments(world: World, method: str = "kd", **changes: object) -> list[str]:
    both = {"student": world.student, "teacher": world.teacher, "data": world.data}
    return [f"method={method}", *few(**both | changes)]


def with_arguments(method: str = "kd", **changes: object) -> Broken:
    return lambda folder, world: train_arguments(world, method, **changes)


def with_copy(
    change: Callable[[Path], object], of: str = "student", method: str = "kd", **changes: object
) -> Broken:
    """Student, teacher or data, changed."""

    def make(folder: Path, world: World) -> list[str]:
        copy = folder / "changed"
        shutil.copytree(getattr(world, of), copy)
        change(copy)
        return train_arguments(world, method, **changes, **{of: copy})

    return make


def rewrite(file: Path, change: Callable[[dict], dict]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def swap_tokens(model: Path) -> None:
    def swap(content: dict) -> dict:
        vocabulary = content["model"]["vocab"]
        vocabulary["!"], vocabulary["#"] = vocabulary["#"], vocabulary["!"]
        return content

    rewrite(model / "tokenizer.json", swap)


def more_tokens(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens([f"<more {number}>" for number in range(9)])
    tokenizer.save_pretrained(model)


def one_nan(model: Path) -> None:
    file = model / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, file, metadata={"format": "pt"})


def with_positions(count: int) -> Callable[[Path], None]:
    """A model with learned positions, whose table has no row for a further position."""

    def change(model: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(model)
        known = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
        ends = {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = GPT2Config(**known, **ends, n_positions=count, n_embd=16, n_layer=1, n_head=2)
        (model / "model.safetensors").unlink()
        GPT2LMHeadModel(config).save_pretrained(model)

    return change


def no_folder(folder: Path, world: World) -> list[str]:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.tex").write_text("three years of work")
    return train_arguments(world, out=folder / "out")


def foreign_card(folder: Path, world: World) -> list[str]:
    (folder / "out").mkdir()
    (folder / "out" / "kdbench.json").write_text("{}")
    return train_arguments(world, out=folder / "out")


def broken_card(folder: Path, world: World) -> list[str]:
    (folder / "out").mkdir()
    (folder / "out" / "kdbench.json").write_text("{")
    return train_arguments(world, out=folder / "out")


def file_for_out(folder: Path, world: World) -> list[str]:
    (folder / "out").write_text("")
    return train_arguments(world, out=folder / "out")


def link_for_out(folder: Path, world: World) -> list[str]:
    (folder / "out").symlink_to(folder / "out")
    return train_arguments(world, out=folder / "out")


def recipe_file(text: str) -> Broken:
    def make(folder: Path, world: World) -> list[str]:
        (folder / "recipe.yaml").write_text(text)
        return train_arguments(world, recipe=folder / "recipe.yaml")

    return make


def texts_file(text: str) -> Broken:
    def make(folder: Path, world: World) -> list[str]:
        (folder / "texts.jsonl").write_text(text)
        return train_arguments(world, "sft", pretraining=folder / "texts.jsonl")

    return make


def without_teacher(method: str) -> Broken:
    return lambda folder, world: [
        w for w in train_arguments(world, method) if not w.startswith("teacher=")
    ]


NEED_A_TEACHER = [
    *("kd", "seqkd", "gkd", "minillm", "distillm", "imitkd", "opd", "classmate"),
    *("taid", "akl", "abkd", "jsd", "rkl", "tvd"),
]

CASES: dict[str, tuple[Broken, str]] = {
    **{
        f"no teacher for {method}": (
            without_teacher(method),
            f"teacher= is missing: method={method} learns from one",
        )
        for method in NEED_A_TEACHER
    },
    "no student": (
        lambda folder, world: ["method=sft", f"data={world.data}"],
        "student= is missing",
    ),
    "no method": (lambda folder, world: [f"student={world.student}"], "method= is missing"),
    "teacher that is no checkpoint": (
        lambda folder, world: train_arguments(world, teacher=folder),
        "no checkpoint here",
    ),
    "teacher missing": (with_arguments(teacher="nowhere"), "teacher=nowhere: no such folder"),
    "student missing": (with_arguments(student="nowhere"), "student=nowhere: no such folder"),
    "teacher without weights": (
        with_copy(lambda m: (m / "model.safetensors").unlink(), "teacher"),
        "no weights here",
    ),
    "teacher cut off": (
        with_copy(lambda m: (m / "model.safetensors").write_bytes(b"\0" * 99), "teacher"),
        r"changed/model\.safetensors: cannot be loaded: cut off",
    ),
    "student cut off": (
        with_copy(lambda m: (m / "model.safetensors").write_bytes(b"\0" * 99)),
        r"changed/model\.safetensors: cannot be loaded: cut off",
    ),
    "student without a tensor": (
        with_copy(without_a_tensor),
        r"changed: .*1 missing \(model.norm.weight\)",
    ),
    "teacher without a tensor": (
        with_copy(without_a_tensor, "teacher"),
        r"changed: .*1 missing \(model.norm.weight\)",
    ),
    "student without a tokenizer": (
        with_copy(lambda m: [file.unlink() for file in m.glob("token*")]),
        "changed: no tokenizer here",
    ),
    "student with other tokens": (
        with_copy(swap_tokens),
        r"different tokenizers \('!' is \d+ and \d+\), and method=kd",
    ),
    "student with more tokens than its head": (
        with_copy(more_tokens),
        r"head has \d+ tokens, its tokenizer \d+",
    ),
    "tokenizer of another model": (
        with_copy(more_tokens, method="sft"),
        r"head has \d+ tokens, its tokenizer \d+",
    ),
    "NaN in all weights of the student": (with_copy(nan_weights, method="sft"), "not finite"),
    "NaN in a weight of the student": (with_copy(one_nan, method="sft"), "not finite"),
    "NaN in the weights of the teacher": (with_copy(nan_weights, "teacher"), "not finite"),
    "responses longer than the positions": (
        with_copy(with_positions(128), method="sft", max_new_tokens=200),
        "positions",
    ),
    "training rows longer than the positions": (
        with_copy(with_positions(8), method="sft"),
        "positions",
    ),
    "out that is not ours": (no_folder, "out=.*out: exists, and is not a checkpoint of kdbench"),
    "out with a broken card": (
        broken_card,
        "out=.*out: exists, and is not a checkpoint of kdbench",
    ),
    "out with the card of something else": (foreign_card, "out"),
    "out that is a link to itself": (link_for_out, "out=.*out: a link that leads nowhere"),
    "out that is a file": (file_for_out, "out=.*out: exists, and is not a checkpoint of kdbench"),
    "data missing": (
        lambda folder, world: train_arguments(world, data=folder / "none"),
        r"dolly/train\.jsonl: no such file",
    ),
    "no training set": (
        with_copy(lambda data: (data / "dolly" / "train.jsonl").unlink(), "data"),
        r"dolly/train\.jsonl: no such file",
    ),
    "no validation set": (
        with_copy(lambda data: (data / "dolly" / "valid.jsonl").unlink(), "data"),
        r"dolly/valid\.jsonl: no such file",
    ),
    "empty training set": (
        with_copy(lambda data: (data / "dolly" / "train.jsonl").write_text(""), "data"),
        r"dolly/train\.jsonl: no rows",
    ),
    "broken training set": (
        with_copy(lambda data: (data / "dolly" / "train.jsonl").write_text("{oops\n"), "data"),
        r"dolly/train\.jsonl:1: not JSON",
    ),
    "another set": (with_arguments(train_set="alpaca"), r"alpaca/train\.jsonl: no such file"),
    "every prompt too long": (
        with_arguments(max_prompt_tokens=2),
        "every prompt is longer than 2 tokens",
    ),
    "layers too many": (
        with_arguments(student="prune:teacher,layers=9"),
        "layers=9: the model has 4; give 1 to 3",
    ),
    "no layers": (
        with_arguments(student="prune:teacher,layers=0"),
        "layers=0: the model has 4; give 1 to 3",
    ),
    "layers of no number": (
        with_arguments(student="prune:teacher,layers=x"),
        "must be prune:MODEL,layers=N",
    ),
    "no configuration for random weights": (
        with_arguments(student="random:nowhere"),
        r"student=random:nowhere: no such config\.json",
    ),
    "unknown precision": (
        with_arguments(precision="float16"),
        "precision=float16: input should be",
    ),
    "no such device": (with_arguments(device="cuda:99"), "CUDA_VISIBLE_DEVICES=99"),
    "no rows in a step": (with_arguments(batch_size=0), "batch_size=0: input should be greater"),
    "no step": (with_arguments(steps=0), "steps=0: input should be greater"),
    "steps and epochs": (with_arguments(epochs=2), "give epochs= or steps=, not both"),
    "unknown method": (with_arguments("gdk"), "unknown method 'gdk': did you mean 'gkd'"),
    "unknown key": (with_arguments(learning_rat=1), "unknown key 'learning_rat' of method=kd"),
    "unknown parameter of the method": (
        with_arguments("gkd", student_part=1),
        "unknown key 'student_part' of method=gkd",
    ),
    "parameter of another method": (with_arguments(passes=1), "unknown key 'passes' of method=kd"),
    "parameter out of its range": (with_arguments(kd_ratio=1.5), r"kd_ratio=1\.5: input should be"),
    "parameters too near a limit": (
        with_arguments("abkd", alpha=0.5, beta=-0.499),
        r"the sum of 0\.001 is too near to 0",
    ),
    "unknown recipe": (
        with_arguments(recipe="toy/none"),
        "recipe=toy/none: neither a bundled recipe nor a file",
    ),
    "recipe that is no YAML": (recipe_file("seed: [x"), r"recipe\.yaml: not YAML"),
    "recipe with an unknown key": (recipe_file("sede: 3"), "unknown key 'sede' of method=kd"),
    "prompts as long as the whole": (
        with_arguments(max_prompt_tokens=64, max_length=64),
        "max_prompt_tokens= must be below max_length=",
    ),
    "unknown logger": (with_arguments("sft", report_to="tensorbord"), "report_to=.*tensorbord"),
    "no plain texts": (with_arguments("sft", pretraining="none.jsonl"), "none.jsonl: no such file"),
    "broken plain texts": (texts_file("{oops\n"), r"texts\.jsonl:1: not a line of JSON"),
    "plain texts without text": (texts_file('{"words": ""}\n'), r"texts\.jsonl:1: 'text' must be"),
    "classmate missing": (
        with_arguments("classmate", classmate_model="nowhere"),
        "classmate_model=nowhere: no such folder",
    ),
    "logger that is not installed": (
        with_arguments("sft", report_to="neptune"),
        "report_to=neptune: its package is not installed here",
    ),
    "rank beyond every layer": (
        with_arguments("sft", lora_rank=1_000_000),
        r"lora_rank=1000000: larger than every linear layer of the student; give \d+ at most",
    ),
    "seed of 65 bits": (with_arguments(seed=2**64), "seed=18446744073709551616: input should be"),
    "endless epochs": (with_arguments(steps="none", epochs="inf"), "epochs=inf: input should be"),
    "epochs beyond number": (
        with_arguments(steps="none", epochs="1e300"),
        r"epochs=1e300: input should be",
    ),
    "learning rate that is no number": (
        with_arguments(learning_rate="nan"),
        "learning_rate=nan: input should be a finite number",
    ),
    "out without a name": (with_arguments(out="."), r"out=\.: must be the name of a folder"),
    "out that is empty": (with_arguments(out=""), r"out=: must not be empty"),
    "end token that is none": (with_arguments(end_token="<no>"), "end_token=<no>: not a token"),
    "prompts of no token": (
        with_copy(
            lambda m: (m / "chat_template.jinja").write_text("{{ bos_token[:0] }}"),
            train_format="chat",
        ),
        "a prompt encodes to no tokens",
    ),
    "seqkd with a divergence and other tokens": (
        with_copy(swap_tokens, method="seqkd", kd_ratio=0.5),
        "method=seqkd compares them token by token: leave out kd_ratio=",
    ),
    **{
        f"key of another tool: {key}": (with_arguments(method, **{key: 1}), message)
        for method, key, message in (
            ("gkd", "temperature", "'temperature' .*: here it is sampling_temperature="),
            ("gkd", "lmbda", "'lmbda' .*: here it is student_fraction="),
            ("gkd", "beta", "'beta' .*: here it is teacher_weight="),
            ("distillm", "alpha", "'alpha' .*: here it is skew="),
            ("kd", "deepspeed", "'deepspeed' .*: start it with accelerate launch"),
            ("kd", "gradient_accumulation_steps", "batch_size= is the whole optimiser step"),
        )
    },
    "quantised student": (
        with_copy(
            lambda m: rewrite(
                m / "config.json",
                lambda c: {**c, "quantization_config": {"quant_method": "bitsandbytes"}},
            )
        ),
        "student=.*changed: its weights are quantised, and cannot be trained",
    ),
    "not key=value": (lambda folder, world: ["kd", "x"], "'x' is not key=value"),
}


def complaint(
    arguments: list[str],
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """The one-line error of `kdbench train` in a working folder."""
    work.mkdir(exist_ok=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "argv", ["kdbench", "train", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("kdbench:")]
    assert exit_.value.code == 2, printed
    assert len(lines) == 1, printed
    assert "Traceback" not in printed.err
    return lines[0]


def content(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
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
    arguments = make(inputs, world)
    before = content(inputs)
    line = complaint(arguments, work, monkeypatch, capsys)
    assert re.search(message, line), line
    assert list(work.rglob("*")) == []
    assert content(inputs) == before


MASTER = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
VARIABLES: dict[str, tuple[dict[str, str], str]] = {
    "no master": ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2: MASTER_ADDR is not set"),
    "local rank alone": ({"LOCAL_RANK": "0"}, "LOCAL_RANK=0: MASTER_ADDR is not set"),
    "compiling": ({"ACCELERATE_DYNAMO_BACKEND": "x"}, "compiling is not supported; unset it"),
    "number that is none": ({"LOCAL_RANK": "x"}, "LOCAL_RANK=x: must be a whole number"),
    "no processes": ({"WORLD_SIZE": "-1"}, "WORLD_SIZE=-1: must be a whole number"),
    "rank too high": ({"RANK": "3"}, "RANK=3: must be below WORLD_SIZE=1"),
    "DeepSpeed alone": (
        {"ACCELERATE_USE_DEEPSPEED": "true"},
        "ACCELERATE_USE_DEEPSPEED=true: no launcher has started this process; use torchrun",
    ),
    "FSDP alone": (
        {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"},
        "ACCELERATE_USE_FSDP=true: no launcher has started this process; use torchrun",
    ),
    "FSDP1": (
        {"ACCELERATE_USE_FSDP": "true", "LOCAL_RANK": "0", **MASTER},
        "FSDP1 is not supported; pass --fsdp_version 2 to accelerate launch",
    ),
    "FSDP in other words": ({"ACCELERATE_USE_FSDP": "on"}, "=on: must be true or false"),
    "both": (
        {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_USE_DEEPSPEED": "true"},
        "ACCELERATE_USE_FSDP and ACCELERATE_USE_DEEPSPEED are both true; unset one of them",
    ),
}


@pytest.mark.parametrize("case", VARIABLES)
def test_bad_variables_of_the_environment(
    case: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables, message = VARIABLES[case]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    line = complaint(train_arguments(world), tmp_path / "work", monkeypatch, capsys)
    assert message in line
    assert list((tmp_path / "work").rglob("*")) == []


def test_the_precision_of_the_environment_is_not_that_of_the_run(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp8")
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    assert kdbench.train(method="kd", out=tmp_path / "out", **both, **FEW).steps == 1


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "kd"
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    kdbench.train(method="kd", out=out, **both, **FEW)
    return out


OTHERS: dict[str, tuple[dict[str, object], str]] = {
    "setting": ({"learning_rate": 3e-4}, r"learning_rate \(was 0\.0001, is 0\.0003\)"),
    "parameter": ({"kd_ratio": 1.0}, r"kd_ratio \(was 0\.5, is 1\.0\)"),
    "method": ({"method": "rkl"}, r"(method|kd_ratio|temperature) \(was "),
    "seed": ({"seed": 11}, r"seed \(was 10, is 11\)"),
    "data": ({"limit": 3}, r"(data train \w+|limit) \(was "),
    "student": ({"student": "prune:teacher,layers=1"}, r"student \w+ \(was "),
}


@pytest.mark.parametrize("unfinished", [False, True], ids=["finished", "unfinished"])
@pytest.mark.parametrize("other", OTHERS)
def test_a_run_made_with_other_settings_is_kept(
    other: str,
    unfinished: bool,
    trained: Path,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes, message = OTHERS[other]
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    if unfinished:
        card = json.loads((trained / "kdbench.json").read_text())
        (inputs / "out.unfinished" / "checkpoint-1").mkdir(parents=True)
        (inputs / "out.unfinished" / ".lock").touch()  # as an interrupted run leaves it
        (inputs / "out.unfinished" / "identity.json").write_text(json.dumps(card["training"]))
    else:
        shutil.copytree(trained, inputs / "out")
    before = content(inputs)
    method = str(changes.get("method", "kd"))
    rest = {key: value for key, value in changes.items() if key != "method"}
    arguments = train_arguments(world, method, out=inputs / "out", **rest)
    line = complaint(arguments, tmp_path / "work", monkeypatch, capsys)
    assert re.search(f"was made with a different {message}", line), line
    assert "pass out=… to keep both, or delete the folder" in line
    assert list((tmp_path / "work").rglob("*")) == []
    assert content(inputs) == before


@pytest.mark.parametrize("wrong", ["prune:teacher,layers=9", "other"])
def test_a_corrected_command_runs_after_a_failed_one(
    wrong: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A student that cannot be pruned as requested, or has a different tokenizer."""
    work, out = tmp_path / "work", tmp_path / "out"
    shutil.copytree(world.student, work / "other")
    swap_tokens(work / "other")
    complaint(train_arguments(world, student=wrong, out=out), work, monkeypatch, capsys)
    both = {"student": "prune:teacher,layers=2", "teacher": str(world.teacher), "data": world.data}
    assert kdbench.train(method="kd", out=out, **both, **FEW).steps == 1


def test_a_run_of_another_process_is_not_disturbed(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = train_arguments(world, out=tmp_path / "out")
    (tmp_path / "out.unfinished").mkdir()
    with FileLock(tmp_path / "out.unfinished" / ".lock"):
        line = complaint(arguments, tmp_path / "work", monkeypatch, capsys)
    assert "another kdbench process is training here" in line


def test_a_trained_student_is_not_overwritten(trained: Path, world: World) -> None:
    before = content(trained)
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    again = kdbench.train(method="kd", out=trained, **both, **FEW)
    assert again.steps == 0
    assert content(trained) == before
