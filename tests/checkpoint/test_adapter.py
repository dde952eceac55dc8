"""Adapters are added to their base, once."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from checkpoints import change_json, change_weights, copy_into, make_adapter
from safetensors.torch import load_file, save_file

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.errors import InputError
from kdbench.toy.models import World

IDS = torch.tensor([[1, 5, 9, 30]])


@pytest.fixture
def base(world: World, tmp_path: Path) -> Path:
    return shutil.copytree(world.student, tmp_path / "base")


def test_an_adapter_is_added_to_its_base(base: Path, tmp_path: Path) -> None:
    merged = make_adapter(base, tmp_path / "adapter")
    checkpoint = find_checkpoint(str(tmp_path / "adapter"))
    model, tokenizer = load_checkpoint(checkpoint, "auto", "cpu")
    torch.testing.assert_close(model(IDS).logits, merged(IDS).logits)
    assert type(model) is type(merged)
    assert all(weight.requires_grad for weight in model.parameters())  # it can be trained on
    model.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").exists()
    assert not (tmp_path / "saved" / "adapter_config.json").exists()
    assert checkpoint.name == "adapter"
    assert tokenizer.eos_token == load_checkpoint(checkpoint.base, "auto", "cpu")[1].eos_token


def test_adapter_and_base_are_both_in_the_hash(base: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    make_adapter(base, adapter)
    before = find_checkpoint(str(adapter)).sha256
    moved = shutil.copytree(base, tmp_path / "moved")
    change_json(adapter / "adapter_config.json", base_model_name_or_path=str(moved))
    assert find_checkpoint(str(adapter)).sha256 == before
    change_json(adapter / "adapter_config.json", lora_alpha=99)
    changed = find_checkpoint(str(adapter)).sha256
    assert changed != before
    change_weights(moved, lambda weights: {name: w + 1e-3 for name, w in weights.items()})
    assert find_checkpoint(str(adapter)).sha256 != changed


def test_an_adapter_next_to_merged_weights_is_not_added_again(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, _ = load_checkpoint(find_checkpoint(str(base)), "auto", "cpu")
    expected = plain(IDS).logits
    sha256 = find_checkpoint(str(base)).sha256
    make_adapter(base, tmp_path / "adapter")
    copy_into(tmp_path / "adapter", base)
    checkpoint = find_checkpoint(str(base))
    model, _ = load_checkpoint(checkpoint, "auto", "cpu")
    assert torch.equal(model(IDS).logits, expected)
    assert "the adapter of adapter_config.json is not used" in capsys.readouterr().err
    assert checkpoint.sha256 == sha256


def test_tensors_of_an_adapter_that_the_base_has_no_place_for(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    make_adapter(base, file.parent)
    weights = load_file(file)
    name = next(iter(weights))
    save_file({n: w for n, w in weights.items() if n != name} | {f"x.{name}": weights[name]}, file)
    with pytest.raises(InputError, match=r"adapter_config.json: 1 missing .*, 1 unexpected \(x\."):
        load_checkpoint(find_checkpoint(str(file.parent)), "auto", "cpu")


def test_the_base_is_named_if_it_is_not_there(base: Path, tmp_path: Path) -> None:
    make_adapter(base, tmp_path / "adapter")
    change_json(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path="/no/base")
    with pytest.raises(
        InputError, match=r"adapter_config.json: base_model_name_or_path: .*/no/base"
    ):
        find_checkpoint(str(tmp_path / "adapter"))


def test_an_adapter_of_an_adapter_is_refused(base: Path, tmp_path: Path) -> None:
    make_adapter(base, tmp_path / "first")
    make_adapter(base, tmp_path / "second")
    for other in ("first", "second"):  # an adapter of another, and of itself
        change_json(
            tmp_path / "second" / "adapter_config.json",
            base_model_name_or_path=str(tmp_path / other),
        )
        with pytest.raises(InputError) as refused:
            find_checkpoint(str(tmp_path / "second"))
        assert str(refused.value) == (
            f"{tmp_path / 'second' / 'adapter_config.json'}: base_model_name_or_path: "
            f"{tmp_path / other}: an adapter itself"
        )


def test_without_peft_one_line_says_what_to_install(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_adapter(base, tmp_path / "adapter")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"adapter needs the package peft: pip install"):
        load_checkpoint(find_checkpoint(str(tmp_path / "adapter")), "auto", "cpu")


def test_an_adapter_without_weights(base: Path, tmp_path: Path) -> None:
    make_adapter(base, tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights here"):
        find_checkpoint(str(tmp_path / "adapter"))
