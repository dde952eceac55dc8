"""Teachers whose layers are in main memory until they run."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from kdbench import InputError
from kdbench.distillation.teachers import offload_layers


def test_an_offloaded_teacher_gives_the_same_logits(world) -> None:
    plain = AutoModelForCausalLM.from_pretrained(world.teacher).requires_grad_(False)
    model = AutoModelForCausalLM.from_pretrained(world.teacher).requires_grad_(False)
    offload_layers(model, "cpu")
    ids = torch.arange(5, 25)[None]
    for _ in range(2):  # weights come and go
        assert torch.equal(model(ids).logits, plain(ids).logits)
        places = {parameter.device.type for parameter in model.model.layers.parameters()}
        assert places == {"meta"}
    outside = (model.model.embed_tokens, model.model.norm, model.lm_head)
    assert {module.weight.device.type for module in outside} == {"cpu"}


def test_layers_without_a_name_cannot_be_offloaded() -> None:
    with pytest.raises(InputError, match="does not name its layers"):
        offload_layers(torch.nn.Linear(2, 2), "cpu")
