"""The number of parameters, from the headers of a checkpoint's files."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from kdbench.checkpoint import count_parameters, find_checkpoint, served_model
from kdbench.toy.models import World


def test_it_is_that_of_the_loaded_model(world: World) -> None:
    model = AutoModelForCausalLM.from_pretrained(world.student)
    loaded = sum(parameter.numel() for parameter in model.parameters())
    assert count_parameters(find_checkpoint(str(world.student))) == loaded


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
def test_an_adapter_adds_its_own(world: World, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = AutoModelForCausalLM.from_pretrained(world.student)
    before = sum(parameter.numel() for parameter in model.parameters())
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(model, config)
    adapted.save_pretrained(tmp_path / "adapter")
    total = sum(parameter.numel() for parameter in adapted.parameters())
    assert total > before
    assert count_parameters(find_checkpoint(str(tmp_path / "adapter"))) == total


def test_it_is_unknown_where_headers_do_not_tell_it(world: World, tmp_path: Path) -> None:
    checkpoint = find_checkpoint(str(world.student))
    assert count_parameters(served_model("gpt", "lm_eval")) is None
    assert count_parameters(replace(checkpoint, gguf="m.gguf")) is None
    assert count_parameters(replace(checkpoint, pickle=True)) is None
    shutil.copytree(world.student, tmp_path / "quantised")
    file = tmp_path / "quantised" / "config.json"
    plain, given = file.read_text(), '"quantization_config": {"bits": 4}'
    for key in (given, '"compression_config": {"bits": 4}', f'"text_config": {{{given}}}'):
        file.write_text(plain.replace("{", f"{{{key},", 1))
        assert count_parameters(replace(checkpoint, path=tmp_path / "quantised")) is None, key
