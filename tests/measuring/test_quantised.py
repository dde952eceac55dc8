"""Evaluations of quantised models."""

from pathlib import Path
from typing import Any

import pytest
from outcomes import run
from quantised_checkpoints import fp8_copy, quantised_copy

import kdbench
from kdbench.checkpoint import disk_bytes, find_checkpoint
from kdbench.config import EvalSettings, build
from kdbench.measuring.measurement import prepare
from kdbench.measuring.quantised import default_name
from kdbench.store.folder import RunFolder, generated_run_id
from kdbench.toy.models import World


def given(world: World, results: Path, **keys: Any) -> dict[str, Any]:
    small = {"tasks": ("dolly",), "limit": 3, "max_new_tokens": 12, "seeds": (10,)}
    return {"data": world.data, "results": results, "device": "cpu", **small, **keys}


def test_a_quantised_student_is_measured_beside_its_full_model(
    world: World, tmp_path: Path
) -> None:
    model = fp8_copy(world.student, tmp_path / "student-fp8")
    keys = given(world, tmp_path / "r", metrics=("fkl@ref", "top1@ref"))
    done = kdbench.evaluate(model, teacher=world.student, **keys)
    metrics = done.results["dolly"].metrics
    assert 0 < metrics["fkl@ref"].value < 0.1
    assert 0.7 < metrics["top1@ref"].value <= 1
    recorded = RunFolder(done.run).read_run()["model"]
    full = find_checkpoint(str(world.student))
    teacher = next(iter((tmp_path / "r" / "student").iterdir()))
    of_full = RunFolder(teacher).read_run()["model"]
    assert recorded["quantization"] == "fp8"
    assert recorded["parameters"] == of_full["parameters"]
    assert recorded["disk_bytes"] < 0.6 * (disk_bytes(full) or 0)
    assert not {"quantization", "weight_bytes"} & set(of_full)
    shown = run(["show", str(done.run)]).out
    assert "quantised (fp8)" in shown
    assert "bits a weight" in " ".join(shown.split())


def test_a_run_without_quantisation_keeps_its_folder(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())  # bitsandbytes
    student = str(world.student)
    plain = prepare(build(EvalSettings, given(world, tmp_path, model=student)))
    four = prepare(build(EvalSettings, given(world, tmp_path, model=student, quantization="4bit")))
    assert (plain.name, four.name) == ("student", "student-4bit")
    identity = (plain.checkpoint.sha256, plain.protocol.as_dict(), 3)
    assert plain.run.path.name == generated_run_id(*identity, "auto", "hf")
    assert four.run.path.name == generated_run_id(*identity, "auto 4bit", "hf")
    assert default_name(plain.checkpoint, "8bit") == "student-8bit"


def test_a_quantised_teacher_is_another_teacher(world: World) -> None:
    keys = {"model": "a", "teacher": "b", "quantization": "4bit", "undistilled": "c"}
    settings = build(EvalSettings, {**keys, "teacher_quantization": "8bit"})
    assert settings.precision == "auto 4bit"
    assert settings.of_teacher((1,)).precision == "auto 8bit"
    floor = settings.of_undistilled()
    assert floor is not None
    assert floor.precision == "auto"
    assert settings.of_teacher((1,)).teacher_quantization is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "quantization=4bit",
            "quantization= needs bitsandbytes: pip install 'kdbench[q",
        ),
        ("quantization=3bit", "quantization=3bit"),
        ("quantization=4bit backend=vllm", "quantization= quantises with transformers"),
        ("teacher_quantization=4bit", "teacher_quantization= needs teacher="),
        ("teacher=cache:c teacher_quantization=4bit", "has no effect with teacher=cache:DIR"),
    ],
)
def test_bad_keys_are_one_line(
    words: str, message: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    base = ["eval", f"model={world.student}", f"data={world.data}", f"results={tmp_path / 'r'}"]
    outcome = run([*base, *words.split()])
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("key", ["model", "teacher", "undistilled"])
def test_a_missing_package_is_named_before_anything_is_generated(
    key: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = quantised_copy(world.student, tmp_path / "awq", quant_method="awq")
    monkeypatch.setattr("kdbench.checkpoint.quantised._is_installed", lambda _: False)
    monkeypatch.setattr("kdbench.generate.hf.load_checkpoint", lambda *_: pytest.fail("loaded"))
    models = {"model": world.student, "teacher": world.teacher, key: broken}
    words = [f"{name}={value}" for name, value in models.items()]
    base = ["eval", f"data={world.data}", f"results={tmp_path / 'r'}", "tasks=dolly"]
    outcome = run([*base, *words])
    line = f"{key}={broken}: its weights are quantised as awq, which needs gptqmodel"
    assert (outcome.code, line in outcome.err) == (2, True), outcome.err


def test_a_quantised_teacher_of_a_training_is_checked_early(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = quantised_copy(world.teacher, tmp_path / "awq", quant_method="awq")
    base = ["train", "method=kd", f"student={world.student}", f"data={world.data}", "steps=1"]
    command = [*base, f"teacher={broken}", f"out={tmp_path / 'out'}", "device=cpu"]
    monkeypatch.setattr("kdbench.checkpoint.quantised._is_installed", lambda _: False)
    outcome = run(command)
    assert outcome.code == 2
    assert f"teacher={broken}: its weights are quantised as awq" in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("default")  # bitsandbytes has its own
def test_weights_are_quantised_as_they_are_loaded(world: World, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    keys = given(world, tmp_path / "r", metrics=("fkl@ref",))
    done = kdbench.evaluate(world.student, teacher=world.student, quantization="4bit", **keys)
    assert 0 < done.results["dolly"].metrics["fkl@ref"].value < 1
    recorded = RunFolder(done.run).read_run()["model"]
    assert (recorded["name"], recorded["quantization"]) == ("student-4bit", "4bit")
    assert recorded["weight_bytes"] < 0.5 * recorded["disk_bytes"]
