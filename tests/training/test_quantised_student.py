"""QLoRA: an adapter on quantised weights, where bitsandbytes is installed."""

import pytest
from safetensors.torch import load_file

import kdbench
from kdbench.checkpoint import find_checkpoint, load_checkpoint

NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.mark.filterwarnings("default")  # bitsandbytes has its own
def test_an_adapter_is_merged_into_the_weights_that_it_was_trained_on(world, tmp_path) -> None:
    pytest.importorskip("bitsandbytes")
    trained = kdbench.train(
        method="gkd",
        student=str(world.student),
        teacher=str(world.teacher),
        data=world.data,
        out=tmp_path / "out",
        student_quantization="4bit",
        teacher_quantization="8bit",
        lora_rank=2,
        learning_rate=1e-9,  # so that the adapter stays at almost nothing
        min_learning_rate=0,
        steps=2,
        batch_size=4,
        limit=8,
        max_new_tokens=4,
        validation_limit=2,
        device="cpu",
    )
    quantised, _ = load_checkpoint(
        find_checkpoint(str(world.student)), "float32", "cpu", quantisation="4bit"
    )
    rounded = quantised.dequantize().state_dict()[NAME]
    before = load_file(world.student / "model.safetensors")[NAME]
    after = load_file(trained.checkpoint / "model.safetensors")
    assert (after[NAME] - rounded).abs().max() < 1e-5
    assert (after[NAME] - before).abs().max() > 1e-3
    plain = sum(tensor.numel() for tensor in after.values())
    assert trained.card["parameters"] > plain  # the adapter's
    assert trained.card["parameters"] < 1.2 * plain
    assert trained.card["training"]["settings"]["teacher_quantization"] == "8bit"
