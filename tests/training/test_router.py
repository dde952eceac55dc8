"""The router loss of a student with experts is left out and said so, or added."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, MixtralConfig, MixtralForCausalLM

import kdbench
from kdbench.toy.models import World
from kdbench.training.router import RouterLoss


def mixtral(world: World) -> MixtralForCausalLM:
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    torch.manual_seed(0)
    return MixtralForCausalLM(
        MixtralConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            num_local_experts=3,
            num_experts_per_tok=1,
            output_router_logits=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def test_the_router_loss_is_the_models_own_and_of_training_alone(world: World) -> None:
    model = mixtral(world)
    ids = torch.tensor([[5, 6, 7]])
    expected = model(input_ids=ids).aux_loss.detach()
    model.config.output_router_logits = False
    router = RouterLoss(model, 0.01)
    model.eval()
    model(input_ids=ids)
    with pytest.raises(kdbench.InputError, match="computes no router loss"):
        router.take()
    model.train()
    model(input_ids=ids)
    found = router.take()
    assert float(found.detach()) == pytest.approx(float(expected))
    assert found.requires_grad


def test_a_student_with_experts_is_trained_with_and_without_it(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(world.student, student, ignore=shutil.ignore_patterns("*.safetensors"))
    mixtral(world).save_pretrained(student)
    settings: dict[str, Any] = {
        "method": "gkd",
        "student": str(student),
        "teacher": str(world.teacher),
        "data": world.data,
        "student_fraction": 1,
        "steps": 1,
        "batch_size": 4,
        "limit": 8,
        "max_new_tokens": 6,
        "validation_limit": 2,
        "device": "cpu",
    }
    kdbench.train(**settings, out=tmp_path / "without")
    assert "router_loss= adds it" in capsys.readouterr().err
    kdbench.train(**settings, out=tmp_path / "with", router_loss=0.02)
    assert "router_loss=" not in capsys.readouterr().err
    logs = [
        json.loads((tmp_path / name / "training.jsonl").read_text().splitlines()[1])
        for name in ("without", "with")
    ]
    assert logs[1]["loss"] == pytest.approx(logs[0]["loss"] + 0.02 * logs[1]["loss/router"])
    settings["student"] = str(world.student)
    with pytest.raises(kdbench.InputError, match="LlamaForCausalLM has no router loss"):
        kdbench.train(**settings, out=tmp_path / "other", router_loss=0.02)
