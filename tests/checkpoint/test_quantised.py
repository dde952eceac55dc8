"""Checkpoints whose weights are quantised in their files."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from gguf_files import write_gguf
from quantised_checkpoints import fp8_copy, quantised_copy
from transformers import AutoModelForCausalLM

from kdbench.checkpoint import (
    check_readable,
    describe_weights,
    disk_bytes,
    find_checkpoint,
    load_checkpoint,
    loaded_bytes,
    loaded_parameters,
    quantised_format,
    served_model,
)
from kdbench.errors import InputError
from kdbench.toy.models import World

GROUPS = {"g": {"weights": {"num_bits": 4, "group_size": 128}}}


def named(world: World, tmp_path: Path, **config: Any) -> Any:
    return find_checkpoint(str(quantised_copy(world.student, tmp_path / "model", **config)))


@pytest.mark.parametrize(
    ("config", "name", "words"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq", "gptq, 4 bits, group 128"),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "gptq", "gptq, 4 bits"),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, "awq", "awq, 4 bits, group 64"),
        (
            {"quant_method": "compressed-tensors", "config_groups": GROUPS},
            "compressed-tensors",
            "compressed-tensors, 4 bits, group 128",
        ),
        ({"load_in_8bit": True}, "bitsandbytes", "bitsandbytes, 8 bits"),
        ({"load_in_4bit": True}, "bitsandbytes", "bitsandbytes, 4 bits"),
        ({"quant_method": "mxfp4"}, "mxfp4", "mxfp4"),
        ({"bits": 4}, "an unnamed format", "an unnamed format, 4 bits"),
    ],
)
def test_a_configuration_names_its_format(
    config: Any, name: str, words: str, world: World, tmp_path: Path
) -> None:
    checkpoint = named(world, tmp_path, **config)
    assert quantised_format(checkpoint) == name
    assert describe_weights(checkpoint) == words
    assert describe_weights(checkpoint, "4bit") == "4bit"


def test_other_weights_have_no_format(world: World) -> None:
    checkpoint = find_checkpoint(str(world.student))
    assert quantised_format(checkpoint) is None
    assert describe_weights(checkpoint) is None
    assert quantised_format(served_model("gpt", "lm_eval")) is None
    assert describe_weights(replace(checkpoint, gguf="m.gguf")) == "gguf"


@pytest.mark.parametrize("key", ["compression_config", "text_config"])
def test_a_format_can_be_in_other_places(key: str, world: World, tmp_path: Path) -> None:
    checkpoint = named(world, tmp_path)
    file = checkpoint.path / "config.json"
    config = json.loads(file.read_text())
    given = {"quant_method": "gptq"}
    config[key] = given if key == "compression_config" else {"quantization_config": given}
    file.write_text(json.dumps(config))
    assert quantised_format(checkpoint) == "gptq"


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("gptq", "which needs gptqmodel and optimum: pip install gptqmodel optimum"),
        ("awq", "which needs gptqmodel: pip install gptqmodel"),
        ("compressed-tensors", "which needs compressed-tensors: pip install compressed-tensors"),
        ("bitsandbytes", "which needs bitsandbytes: pip install bitsandbytes"),
        ("torchao", "which needs torchao: pip install torchao"),
        ("aqlm", r"which needs aqlm\[gpu,cpu\]: pip install 'aqlm\[gpu,cpu\]'"),
        ("higgs", "quantised as higgs, which needs a GPU"),
    ],
)
def test_a_missing_package_or_gpu_is_named_before_anything_is_loaded(
    method: str, line: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = named(world, tmp_path, quant_method=method)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("kdbench.checkpoint.load.load_tokenizer", lambda *_: pytest.fail("loaded"))
    with pytest.raises(InputError, match=rf"^teacher={checkpoint.path}: its weights .*{line}"):
        check_readable(checkpoint, "cpu", "teacher")
    with pytest.raises(InputError, match=rf"^{checkpoint.path}: its weights .*{line}"):
        load_checkpoint(checkpoint, "auto", "cpu")


def test_an_installed_package_is_enough(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = named(world, tmp_path, quant_method="gptq")
    asked: list[str] = []

    def found(module: str) -> object:
        asked.append(module)
        return object()

    monkeypatch.setattr("importlib.util.find_spec", found)
    check_readable(checkpoint, "cpu")
    assert asked == ["gptqmodel", "optimum.gptq"]
    higgs = named(world, tmp_path / "other", quant_method="higgs")
    check_readable(higgs, "cuda")  # of a GPU


def test_eight_bit_floats_are_measured_as_they_are(world: World, tmp_path: Path) -> None:
    """The weights are those that the file holds: 8-bit floats times the scales of blocks."""
    plain = find_checkpoint(str(world.student))
    checkpoint = find_checkpoint(str(fp8_copy(world.student, tmp_path / "fp8")))
    exact, _ = load_checkpoint(plain, "auto", "cpu")
    model, _ = load_checkpoint(checkpoint, "auto", "cpu")
    name = "model.layers.0.mlp.up_proj.weight"
    weight, expected = model.state_dict()[name], exact.state_dict()[name]
    spacing = expected.abs().max() / 448 * 32  # of the largest 8-bit floats
    assert 0 < (weight - expected).abs().max() <= spacing / 2
    assert loaded_parameters(model) == sum(p.numel() for p in exact.parameters())
    assert 0 < (disk_bytes(checkpoint) or 0) < 0.6 * (disk_bytes(plain) or 0)


def test_half_precision_beside_quantised_weights_is_single_on_a_cpu(
    world: World, tmp_path: Path
) -> None:
    """transformers leaves weights of a format that it does not know as they are."""
    checkpoint = named(world, tmp_path, quant_method="none-such")
    file = checkpoint.path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "dtype": "float16"}))
    assert load_checkpoint(checkpoint, "auto", "cpu")[0].dtype == torch.float32
    assert load_checkpoint(checkpoint, "bfloat16", "cpu")[0].dtype == torch.bfloat16


@pytest.mark.parametrize(("kind", "bits"), [("Q8_0", 8), ("Q4_0", 4)])
def test_a_quantised_gguf_file_is_measured_as_it_is(
    kind: str, bits: int, world: World, tmp_path: Path
) -> None:
    """The weights of the loaded model are exactly those that the gguf package reads."""
    gguf = pytest.importorskip("gguf")
    source = AutoModelForCausalLM.from_pretrained(world.student)
    write_gguf(gguf, source, world.student, tmp_path / "toy.gguf", kind)
    checkpoint = find_checkpoint(str(tmp_path / "toy.gguf"))
    model, _ = load_checkpoint(checkpoint, "auto", "cpu")
    own = source.state_dict()["model.layers.1.mlp.down_proj.weight"].numpy()
    raw = gguf.GGMLQuantizationType[kind]
    expected = gguf.quants.dequantize(gguf.quants.quantize(own, raw), raw)
    weight = model.state_dict()["model.layers.1.mlp.down_proj.weight"]
    torch.testing.assert_close(weight, torch.from_numpy(expected), atol=0, rtol=0)
    assert loaded_parameters(model) == sum(p.numel() for p in source.parameters())
    # 16 bits of scale for each block of 32 weights; norms and the tokenizer take little more.
    of_weights = loaded_parameters(model) * (bits + 0.5) / 8
    assert of_weights < (disk_bytes(checkpoint) or 0) < 1.5 * of_weights


def test_packed_weights_count_as_the_weights_that_they_are(world: World) -> None:
    model = AutoModelForCausalLM.from_pretrained(world.student)
    before = sum(parameter.numel() for parameter in model.parameters())
    assert loaded_parameters(model) == before
    layer = model.model.layers[0].mlp.up_proj
    packed = torch.zeros(layer.weight.numel() // 2, 1, dtype=torch.uint8)  # as bitsandbytes packs
    layer.weight = torch.nn.Parameter(packed, requires_grad=False)
    model.is_quantized = True
    assert sum(parameter.numel() for parameter in model.parameters()) < before
    assert loaded_parameters(model) == before


def test_bytes_are_those_of_weights_and_their_constants(world: World) -> None:
    model = AutoModelForCausalLM.from_pretrained(world.student)
    before = loaded_bytes(model)
    assert before == 4 * sum(parameter.numel() for parameter in model.parameters())
    weight = model.model.layers[0].mlp.up_proj.weight
    nested = SimpleNamespace(absmax=torch.zeros(3))
    weight.quant_state = SimpleNamespace(
        absmax=torch.zeros(7, dtype=torch.uint8), state2=nested, offset=torch.zeros(())
    )
    assert loaded_bytes(model) == before + 7 + 4 * 3 + 4
    del weight.quant_state
    weight.SCB = torch.zeros(5)
    assert loaded_bytes(model) == before + 4 * 5


def test_a_tensor_class_of_a_library_is_not_summed(world: World) -> None:
    class Packed(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function: Any, kinds: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            if function is torch.Tensor.sum:
                raise NotImplementedError
            return super().__torch_function__(function, kinds, args, kwargs)

    from kdbench.checkpoint.finite import check_finite

    model = AutoModelForCausalLM.from_pretrained(world.student)
    layer = model.model.layers[0].mlp.up_proj
    layer.weight = torch.nn.Parameter(layer.weight.detach().as_subclass(Packed))
    check_finite(model, Path("m"))
    model.model.norm.weight.data[0] = torch.inf
    with pytest.raises(InputError, match=r"values of model\.norm\.weight"):
        check_finite(model, Path("m"))


@pytest.mark.filterwarnings("default")  # bitsandbytes has its own
@pytest.mark.parametrize(("kind", "bits"), [("8bit", 8), ("4bit", 4)])
def test_bitsandbytes_weights_have_their_real_number_and_size(
    kind: Any, bits: int, world: World, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    checkpoint = find_checkpoint(str(world.student))
    plain, tokenizer = load_checkpoint(checkpoint, "auto", "cpu")
    model, _ = load_checkpoint(checkpoint, "auto", "cpu", quantisation=kind)
    parameters = sum(parameter.numel() for parameter in plain.parameters())
    assert loaded_parameters(model) == parameters
    of_layers = sum(p.numel() for p in plain.model.layers.parameters() if p.ndim == 2)
    exact = 4 * (parameters - of_layers) + of_layers * bits / 8
    assert exact < loaded_bytes(model) < 1.1 * exact
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    again, _ = load_checkpoint(find_checkpoint(str(tmp_path / "saved")), "auto", "cpu")
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, model(ids).logits)
