"""The student on disk for an engine, and the folder that holds it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.training.rollouts.export import StudentExport, plain_weights
from kdbench.training.rollouts.held_folder import HeldFolder
from kdbench.training.rollouts.worker import refresh_tied


@pytest.fixture
def student(world):
    return AutoModelForCausalLM.from_pretrained(world.student)


def test_what_is_written_is_the_student_and_goes_again(world, student) -> None:
    export = StudentExport(student, AutoTokenizer.from_pretrained(world.student), "float32")
    folder = export.checkpoint()
    ids = torch.arange(5)[None]
    again = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(again(ids).logits, student(ids).logits)
    with torch.no_grad():
        next(student.parameters()).add_(1.0)
    file = export.weights(7)
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        "lock",
        "start",
        "step-7.safetensors",
    ]
    tensors = load_file(file)
    assert tensors.keys() <= student.state_dict().keys()
    again.load_state_dict(tensors, strict=False)
    assert torch.equal(again(ids).logits, student(ids).logits)
    export.close()
    assert not folder.parent.exists()


def test_weights_are_in_the_engines_precision(student) -> None:
    written = plain_weights(student, "bfloat16")
    assert {tensor.dtype for tensor in written.values()} == {torch.bfloat16}
    assert next(student.parameters()).dtype == torch.float32


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_an_adapter_is_merged_and_the_student_stays_as_it_is(student) -> None:
    peft = pytest.importorskip("peft")
    modules = ["q_proj", "down_proj"]
    adapted = peft.get_peft_model(student, peft.LoraConfig(r=2, target_modules=modules))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    before = {name: tensor.clone() for name, tensor in adapted.state_dict().items()}
    given = plain_weights(adapted, "float32")
    written = {name: tensor.clone() for name, tensor in given.items()}  # before it is merged below
    assert all(torch.equal(before[name], value) for name, value in adapted.state_dict().items())
    merged = adapted.merge_and_unload().state_dict()
    assert written.keys() == merged.keys()
    for name, tensor in merged.items():
        assert torch.allclose(written[name], tensor, atol=1e-6)


def test_a_killed_process_leaves_no_folder_for_ever(tmp_path) -> None:
    code = (
        "import sys, time; from pathlib import Path;"
        "from kdbench.training.rollouts.held_folder import HeldFolder;"
        "held = HeldFolder(Path(sys.argv[1])); print(held.path, flush=True); time.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    left = Path(os.fsdecode(other.stdout.readline()).strip())
    while_it_lives = HeldFolder(tmp_path)
    assert left.is_dir()
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()
    after = HeldFolder(tmp_path)
    assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([while_it_lives.path, after.path])
    for one in (while_it_lives, after):
        one.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["a file", "a folder", "another user"])
def test_what_others_put_there_stays_as_it_is(tmp_path, monkeypatch, kind) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "lock").write_text("precious")
    planted = tmp_path / "kdbench-rollouts-planted"
    if kind == "a folder":
        planted.symlink_to(theirs)
    else:
        planted.mkdir()
        (planted / "lock").symlink_to(theirs / "lock")
    if kind == "another user":
        (planted / "lock").unlink()
        (planted / "lock").write_text("precious")
        monkeypatch.setattr(os, "getuid", lambda: planted.stat().st_uid + 1)
    HeldFolder(tmp_path).close()
    assert (theirs / "lock").read_text() == "precious"
    assert (planted / "lock").read_text() == "precious"


class Prepared:
    """What vLLM has at a layer: it prepares its weights when they are loaded."""

    def __init__(self):
        self.layers: list[torch.nn.Module] = []

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        self.layers.append(layer)


def test_layers_that_share_weights_are_prepared_again() -> None:
    model, method = torch.nn.Module(), Prepared()
    model.embeddings, model.other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    model.head = torch.nn.Linear(2, 3)
    for layer in (model.embeddings, model.other, model.head):
        layer.quant_method = method
    refresh_tied(model)
    assert method.layers == []
    model.head.weight = model.embeddings.weight
    refresh_tied(model)
    assert method.layers == [model.embeddings, model.head]
