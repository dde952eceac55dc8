"""The verb: a quantised toy model and its full one over plain text."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from gguf_files import write_gguf
from outcomes import run
from quantised_checkpoints import fp8_copy, quantised_copy
from transformers import AutoModelForCausalLM, AutoTokenizer

import kdbench
from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.toy.models import World

CONTEXT = 32


@pytest.fixture(scope="module")
def text(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = (world.data / "dolly" / "test.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n".join(f"{row['instruction']}\n{row['output'][0]}" for row in rows))
    return file


@pytest.fixture(scope="module")
def quantised(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fp8_copy(world.student, tmp_path_factory.mktemp("models") / "student-fp8")


def words(world: World, quantised: Path, text: Path, *more: str) -> list[str]:
    given = [f"model={quantised}", f"teacher={world.student}", f"text={text}"]
    return ["kld", *given, f"context={CONTEXT}", "device=cpu", *more]


def test_the_figures_are_those_of_the_two_models(world: World, quantised: Path, text: Path) -> None:
    """Against a whole forward pass of each chunk and a softmax in float64."""
    found = kdbench.kld(
        quantised, teacher=world.student, text=text, context=CONTEXT, chunks=3, device="cpu"
    )
    models = [
        load_checkpoint(find_checkpoint(str(place)), "auto", "cpu")[0]
        for place in (quantised, world.student)
    ]
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    ids = tokenizer(text.read_text(), add_special_tokens=False)["input_ids"]
    kls, same = [], []
    for row in range(3):
        chunk = torch.tensor([ids[row * CONTEXT : (row + 1) * CONTEXT]])
        with torch.no_grad():
            logits = [model(chunk).logits[0, CONTEXT // 2 : -1].double() for model in models]
        log_q, log_p = (scores.log_softmax(-1) for scores in logits)
        kls.append((log_p.exp() * (log_p - log_q)).sum(-1))
        same.append((log_p.argmax(-1) == log_q.argmax(-1)).double())
    kl = torch.cat(kls)
    assert found.figures.positions == len(kl) == 3 * (CONTEXT // 2 - 1)
    assert found.figures.kl.value == pytest.approx(float(kl.mean()), abs=1e-6)
    assert found.figures.kl.value > 1e-5
    assert found.figures.kl_quantiles[1.0] == pytest.approx(float(kl.max()), abs=1e-6)
    assert found.figures.same_top.value == pytest.approx(100 * float(torch.cat(same).mean()))
    assert found.model.quantisation == "fp8"
    assert found.teacher.bits_per_weight == pytest.approx(32, rel=0.02)
    assert found.model.bits_per_weight is not None
    assert 8 < found.model.bits_per_weight < 20  # embeddings are in 32 bits


def test_a_quantised_gguf_file_beside_its_full_model(
    world: World, text: Path, tmp_path: Path
) -> None:
    gguf = pytest.importorskip("gguf")
    source = AutoModelForCausalLM.from_pretrained(world.student)
    full, means = tmp_path / "student.gguf", {}
    write_gguf(gguf, source, world.student, full)
    for kind in ("Q8_0", "Q4_0"):
        file = tmp_path / f"student.{kind}.gguf"
        write_gguf(gguf, source, world.student, file, kind)
        given = [f"model={file}", f"teacher={full}", f"text={text}", "chunks=2", "device=cpu"]
        outcome = run(["kld", *given, f"context={CONTEXT}", "--json"])
        assert outcome.code == 0, outcome.err
        document = json.loads(outcome.out)
        means[kind] = document["figures"]["kl"]["value"]
        assert document["model"]["quantisation"] == "gguf"
    assert 0 < means["Q8_0"] < 0.01
    assert 10 * means["Q8_0"] < means["Q4_0"] < 1


def test_a_damaged_gguf_file_is_named(world: World, text: Path, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    file = tmp_path / "student.gguf"
    write_gguf(gguf, AutoModelForCausalLM.from_pretrained(world.student), world.student, file)
    os.truncate(file, 1000)
    outcome = run(["kld", f"model={file}", f"teacher={world.student}", f"text={text}"])
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert f"{file}: cannot be loaded: " in outcome.err


def test_it_prints_what_it_measured_and_resumes(
    world: World, quantised: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "values.jsonl"
    first = run(words(world, quantised, text, "chunks=2", f"out={out}"))
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert lines[0].startswith("student-fp8 (fp8, ")
    assert " bits a weight) compared with student (" in " ".join(lines[:2])
    assert "KL(teacher‖model), nats" in first.out
    assert f"2 chunks measured now, 0 before; values in {out}" in first.out
    whole = out.read_bytes()
    again = run(words(world, quantised, text, "chunks=2", f"out={out}"))
    assert "0 chunks measured now, 2 before" in again.out
    assert again.out.splitlines()[:-1] == lines[:-1]
    assert out.read_bytes() == whole
    refused = run(words(world, quantised, text, "chunks=3", f"out={out}"))
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert f"out={out}: was made with another text" in refused.err


def test_a_killed_comparison_ends_in_the_same_bytes(
    world: World, quantised: Path, text: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    assert run(words(world, quantised, text, f"out={whole}")).code == 0
    assert whole.read_bytes().count(b"\n") > 4
    command = [sys.executable, "-m", "kdbench", *words(world, quantised, text, f"out={out}")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 600  # a loaded machine
    while not (out.exists() and out.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None or out.exists()
        assert time.monotonic() < limit
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert run(words(world, quantised, text, f"out={out}")).code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_dry_run_loads_and_writes_nothing(
    world: World, quantised: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kdbench.fidelity.plain.compare.load_checkpoint", lambda *_: pytest.fail("loaded")
    )
    out = tmp_path / "values.jsonl"
    outcome = run(words(world, quantised, text, f"out={out}", "chunks=2", "--dry-run"))
    assert outcome.code == 0, outcome.err
    assert "2 chunks of 32 tokens, 2 to be measured" in " ".join(outcome.out.split())
    assert "quantised (fp8)" in outcome.out
    assert not out.exists()


def test_bad_input_is_one_line(
    world: World, quantised: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kdbench.fidelity.plain.compare.load_checkpoint", lambda *_: pytest.fail("loaded")
    )
    gptq = quantised_copy(world.student, tmp_path / "gptq", quant_method="spqr")
    faults = {
        f"text={tmp_path}/none.txt": "give a file of plain text",
        "context=100000": "fewer than a chunk",
        "context=2": "greater than or equal to 4",
        f"model={gptq}": "quantised as spqr, which needs a GPU",
        f"teacher={tmp_path}": "no checkpoint here",
        "teacher=cache:somewhere": "teacher=cache:somewhere: both models run here",
        "teacher=http://u:secret@localhost:1": "teacher=http://***@localhost:1: both models",
    }
    base = words(world, quantised, text, f"out={tmp_path / 'out.jsonl'}")
    for fault, message in faults.items():
        key = fault.partition("=")[0]
        kept = [word for word in base if not word.startswith(f"{key}=")]
        outcome = run([*kept, fault])
        assert outcome.code == 2, fault
        assert message in outcome.err, outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_more_positions_than_the_model_has_are_refused(
    world: World, quantised: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "kdbench.fidelity.plain.compare.load_checkpoint"
    monkeypatch.setattr(name, lambda *_: pytest.fail("loaded"))
    file = tmp_path / "long.txt"
    file.write_text(" ".join(map(str, range(3000))))
    kept = [word for word in words(world, quantised, file) if "context=" not in word]
    outcome = run([*kept, "context=1024"])
    assert outcome.code == 2
    assert "context=1024: model=student-fp8 has 512 positions" in outcome.err
