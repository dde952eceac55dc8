"""A model is measured only if all of its tensors come from the checkpoint, and all are used."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import Weights, change_json, change_weights, shard, write_index

from kdbench.checkpoint import find_checkpoint, load_checkpoint, prove_checkpoint
from kdbench.checkpoint.proof import LoadReport
from kdbench.errors import InputError
from kdbench.toy.models import World


@pytest.fixture
def model(world: World, tmp_path: Path) -> Path:
    return shutil.copytree(world.student, tmp_path / "model")


def refusal(folder: Path, dtype: str = "auto") -> str:
    with pytest.raises(InputError) as error:
        load_checkpoint(find_checkpoint(str(folder)), dtype, "cpu")
    return str(error.value)


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + name: weight for name, weight in weights.items()}


def without(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: w for name, w in weights.items() if part not in name}


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model.", "student."])
def test_a_prefix_before_all_names_is_named(model: Path, prefix: str) -> None:
    change_weights(model, prefixed(prefix))
    line = refusal(model)
    assert "20 missing (model.embed_tokens.weight, " in line
    assert f"20 unexpected ({prefix}model.embed_tokens.weight" in line
    assert f"strip the prefix '{prefix}' from the names" in line


@pytest.mark.parametrize("tensor", ["model.norm.weight", "model.layers.1.mlp.up_proj.weight"])
def test_a_missing_tensor_is_named(model: Path, tensor: str) -> None:
    change_weights(model, without(tensor))
    assert refusal(model).endswith(f"config.json: 1 missing ({tensor})")


def test_a_missing_head_is_named(model: Path) -> None:
    change_json(model / "config.json", tie_word_embeddings=False)
    assert "1 missing (lm_head.weight)" in refusal(model)


def test_layers_more_or_fewer_than_in_the_configuration(model: Path) -> None:
    change_json(model / "config.json", num_hidden_layers=3)
    assert "9 missing (model.layers.2." in refusal(model)
    change_json(model / "config.json", num_hidden_layers=1)
    assert "9 unexpected (model.layers.1." in refusal(model)


def test_tensors_of_another_shape_are_named_with_both_shapes(model: Path) -> None:
    change_json(model / "config.json", intermediate_size=100)
    line = refusal(model)
    assert (
        "6 of another shape (model.layers.0.mlp.down_proj.weight: [64, 128] for [64, 100]" in line
    )


@pytest.mark.parametrize("key", ["hidden_size", "vocab_size", "intermediate_size"])
def test_a_huge_size_is_refused_without_allocating_it(model: Path, key: str) -> None:
    change_json(model / "config.json", head_dim=16, **{key: 10**10})
    assert "of another shape" in refusal(model)


def test_an_unexpected_name_is_printable(model: Path) -> None:
    change_weights(model, lambda weights: weights | {"\x1b[31mred": torch.zeros(2)})
    assert "1 unexpected ([31mred)" in refusal(model)


def test_masks_that_are_computed_today_are_not_missed(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = {"model.layers.0.attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.bool)}
    change_weights(model, lambda weights: weights | stored)
    load_checkpoint(find_checkpoint(str(model)), "auto", "cpu")
    assert "does not use: model.layers.0.attn.bias" in capsys.readouterr().err


def test_other_parts_of_a_multimodal_checkpoint_may_be_left_out() -> None:
    info = {"missing_keys": set(), "mismatched_keys": set()}
    info |= {"unexpected_keys": {"vision_model.a.weight", "model.visual.b", "model.layers.9.c"}}
    part = LoadReport.of_transformers(None, info, text_part=True)
    assert part.unused == ("model.visual.b", "vision_model.a.weight")
    assert part.unexpected == ("model.layers.9.c",)
    assert len(LoadReport.of_transformers(None, info, text_part=False).unexpected) == 3


def test_no_tensors_at_all(model: Path) -> None:
    change_weights(model, lambda weights: {})
    assert "model.safetensors: cannot be loaded: holds no tensors" in refusal(model)


def test_an_index_without_a_tensor(model: Path) -> None:
    index = shard(model)
    (model / "model.safetensors").unlink()
    place = index.pop("model.norm.weight")
    write_index(model, index)
    assert f"does not name model.norm.weight of {place}" in refusal(model)


def test_an_index_with_a_tensor_that_its_shard_lacks(model: Path) -> None:
    index = shard(model)
    (model / "model.safetensors").unlink()
    write_index(model, index | {"other.weight": index["model.norm.weight"]})
    assert "does not hold other.weight" in refusal(model)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_named(model: Path, value: float) -> None:
    name = "model.layers.1.mlp.up_proj.weight"

    def broken(weights: Weights) -> Weights:
        weights[name][3, 5] = value
        return weights

    change_weights(model, broken)
    assert refusal(model).endswith(f"not finite: 1 of 8192 values of {name} (float32)")


def test_large_finite_weights_are_accepted(model: Path) -> None:
    """Their float32 sum overflows."""
    large = torch.full((64,), 3e38)
    change_weights(model, lambda weights: weights | {"model.norm.weight": large})
    load_checkpoint(find_checkpoint(str(model)), "float32", "cpu")


def test_the_proof_needs_no_weights(world: World, model: Path) -> None:
    prove_checkpoint(find_checkpoint(str(world.student)))
    change_weights(model, without("layers.1"))
    with pytest.raises(InputError, match="9 missing"):
        prove_checkpoint(find_checkpoint(str(model)))


def test_warnings_of_transformers_reach_stderr(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    change_weights(
        model,
        lambda weights: weights | {"lm_head.weight": weights["model.embed_tokens.weight"] + 1},
    )
    try:
        load_checkpoint(find_checkpoint(str(model)), "auto", "cpu")
    finally:
        assert logging.get_verbosity() == logging.ERROR
        logging.set_verbosity(verbosity)
    assert f"{model}: transformers: The tied weights mapping" in capsys.readouterr().err


def test_an_encoder_is_refused(world: World, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=512, num_hidden_layers=1, **sizes)
    folder = shutil.copytree(world.student, tmp_path / "bert")
    (folder / "generation_config.json").unlink()
    BertForMaskedLM(config).save_pretrained(folder)
    assert "model_type=bert is an encoder" in refusal(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "bert"


def test_integers_are_not_taken_for_weights(model: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    change_weights(model, lambda weights: {**weights, name: (weights[name] * 9).to(torch.int8)})
    assert f"{name} holds integers" in refusal(model)
