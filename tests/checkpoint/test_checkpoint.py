"""Checkpoints are identified by their content and load from every format."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from gguf_files import write_gguf
from safetensors.torch import load_file, save_file

from kdbench.checkpoint import find_checkpoint, load_checkpoint, pick_device
from kdbench.errors import InputError
from kdbench.toy.models import World


@pytest.fixture
def model(world: World, tmp_path: Path) -> Path:
    shutil.copytree(world.student, tmp_path / "model")
    return tmp_path / "model"


def identity(path: Path) -> str:
    return find_checkpoint(str(path)).sha256


def test_a_copy_has_the_same_identity(world: World, model: Path) -> None:
    assert identity(model) == identity(world.student)


def test_a_run_card_is_read_but_not_in_the_identity(world: World, model: Path) -> None:
    (model / "kdbench.json").write_text(json.dumps({"method": "GKD"}))
    (model / "README.md").write_text("hello")
    assert identity(model) == identity(world.student)
    assert find_checkpoint(str(model)).card["method"] == "GKD"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_weights_configuration_and_tokenizer_are_in_the_identity(
    world: World, model: Path, name: str
) -> None:
    file = model / name
    if name == "model.safetensors":
        weights = load_file(file)
        next(iter(weights.values())).view(-1)[0] += 1e-3
        save_file(weights, file, metadata={"format": "pt"})
    else:
        file.write_text(file.read_text().replace("0.", "1.", 1) + " ")
    assert identity(model) != identity(world.student)


def test_pickle_weights_load_only_on_request(world: World, model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    torch.save(weights, model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    checkpoint = find_checkpoint(str(model), unsafe_pickle=True)
    loaded, _ = load_checkpoint(checkpoint, "auto", "cpu")
    expected, _ = load_checkpoint(find_checkpoint(str(world.student)), "auto", "cpu")
    for name, value in expected.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_number_formats_are_applied(world: World) -> None:
    checkpoint = find_checkpoint(str(world.student))
    assert load_checkpoint(checkpoint, "auto", "cpu")[0].dtype == torch.float32
    assert load_checkpoint(checkpoint, "bfloat16", "cpu")[0].dtype == torch.bfloat16
    assert load_checkpoint(checkpoint, "float16", "cpu")[0].dtype == torch.float32


def test_the_auto_device_exists() -> None:
    device = pick_device("auto")
    assert torch.empty(1, device=device).device.type == device


def test_a_gguf_file_is_a_checkpoint(world: World, tmp_path: Path) -> None:
    """Written with the gguf package from the toy student, read back by transformers."""
    gguf = pytest.importorskip("gguf")
    from transformers import AutoModelForCausalLM

    source = AutoModelForCausalLM.from_pretrained(world.student)
    file = tmp_path / "toy.gguf"
    write_gguf(gguf, source, world.student, file)
    for path in (file, tmp_path):
        checkpoint = find_checkpoint(str(path))
        assert checkpoint.gguf == "toy.gguf"
    loaded, tokenizer = load_checkpoint(find_checkpoint(str(file)), "float32", "cpu")
    ids = torch.tensor([[1, 5, 9, 30]])
    torch.testing.assert_close(loaded(ids).logits, source(ids).logits, atol=1e-4, rtol=1e-4)
    assert tokenizer.decode(tokenizer("Who is older?")["input_ids"]) == "Who is older?"


def test_a_gguf_file_without_a_tensor_is_refused(world: World, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    from transformers import AutoModelForCausalLM

    source = AutoModelForCausalLM.from_pretrained(world.student)
    weights = source.state_dict()
    del weights["model.layers.1.mlp.up_proj.weight"]
    source.state_dict = lambda: weights
    write_gguf(gguf, source, world.student, tmp_path / "toy.gguf")
    line = r"not those of toy.gguf: 1 missing \(model.layers.1.mlp.up_proj.weight\)"
    with pytest.raises(InputError, match=line):
        load_checkpoint(find_checkpoint(str(tmp_path)), "float32", "cpu")
