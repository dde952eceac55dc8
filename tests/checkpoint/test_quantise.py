"""Weights in 8 and 4 bits, where bitsandbytes is installed."""

import pytest
import torch

from kdbench import InputError
from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.checkpoint.quantise import check_quantisable, check_quantisation


def test_bitsandbytes_must_be_installed(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"kdbench\[quantised\]"):
        check_quantisation("teacher_quantization")


def test_quantised_weights_are_not_quantised_again(world, tmp_path) -> None:
    import json
    import shutil

    shutil.copytree(world.teacher, tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    check_quantisable(find_checkpoint(str(world.teacher)), "teacher_quantization")
    with pytest.raises(InputError, match="are quantised; leave it out"):
        check_quantisable(find_checkpoint(str(tmp_path / "model")), "teacher_quantization")


@pytest.mark.filterwarnings("default")  # bitsandbytes has its own
@pytest.mark.parametrize(("kind", "near"), [("8bit", 0.1), ("4bit", 0.7)])
def test_quantised_weights_give_nearly_the_same_logits(world, kind, near) -> None:
    pytest.importorskip("bitsandbytes")
    checkpoint = find_checkpoint(str(world.teacher))
    plain, _ = load_checkpoint(checkpoint, "float32", "cpu")
    quantised, _ = load_checkpoint(checkpoint, "float32", "cpu", quantisation=kind)
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        expected, given = plain(ids).logits, quantised(ids).logits
        again = quantised.train()(ids).logits
    assert 0 < (expected - given).abs().mean() / expected.std() < near
    if kind == "4bit":
        assert torch.equal(given, again)  # evaluated as it is trained
    kinds = {parameter.dtype for parameter in quantised.model.layers.parameters()}
    assert kinds & {torch.int8, torch.uint8}
    assert quantised.lm_head.weight.dtype == torch.float32
