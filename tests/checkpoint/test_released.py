"""The forms in which checkpoints are released on the Hub, in its cache: no network is asked."""

import io
from pathlib import Path

import pytest
import torch
from minillm_hub import model_files, put, tokenizer_files

from kdbench.checkpoint import find_checkpoint, load_checkpoint, load_tokenizer, why_not_cached
from kdbench.errors import InputError

NAME, COMMIT = "MiniLLM/SFT-gpt2-120M", "d" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def test_a_model_is_looked_for_under_its_revision(cache: Path, tmp_path: Path) -> None:
    assert why_not_cached(NAME) == "not downloaded"
    put(cache, NAME, COMMIT, model_files(tmp_path / "w", "safetensors", 1))
    assert why_not_cached(NAME) is None
    assert why_not_cached(f"{NAME}@{COMMIT}") is None
    assert why_not_cached(f"{NAME}@{'e' * 40}") == "not downloaded"


def test_pickle_weights_are_only_there_with_the_permission(cache: Path, tmp_path: Path) -> None:
    put(cache, NAME, COMMIT, model_files(tmp_path / "w", "pickle", 1))
    assert (why_not_cached(NAME) or "").startswith("only pickle weights (*.bin)")
    assert why_not_cached(NAME, unsafe_pickle=True) is None


def test_weights_that_were_not_downloaded_for_lack_of_permission(
    cache: Path, tmp_path: Path
) -> None:
    files = model_files(tmp_path / "w", "pickle", 1)
    del files["pytorch_model.bin"]
    put(cache, NAME, COMMIT, files)
    with pytest.raises(InputError, match=r"no weights here .*unsafe_pickle=true permits them$"):
        find_checkpoint(NAME)
    with pytest.raises(InputError, match=r"no weights here \(\*\.safetensors\)$"):
        find_checkpoint(NAME, unsafe_pickle=True)


@pytest.mark.parametrize("weights", ["safetensors", "pickle", "shards", "both"])
def test_every_form_is_the_same_model(weights: str, cache: Path, tmp_path: Path) -> None:
    files = {**model_files(tmp_path / "w", weights, 1, padded=7), **tokenizer_files()}
    put(cache, NAME, COMMIT, files)
    model, tokenizer = load_checkpoint(find_checkpoint(NAME, unsafe_pickle=True), "float32", "cpu")
    assert model.get_input_embeddings().weight.shape == (264, 8)
    assert len(tokenizer) == 257
    assert tokenizer.decode(tokenizer("Say ä.").input_ids) == "Say ä."
    pickled = model_files(tmp_path / "again", "pickle", 1, padded=7)["pytorch_model.bin"]
    state = torch.load(io.BytesIO(pickled))
    assert torch.equal(model.lm_head.weight, state["lm_head.weight"])


def test_weights_without_a_tokenizer_are_refused(cache: Path, tmp_path: Path) -> None:
    """As the first commit of MiniLLM-gpt2-120M has them; transformers makes an empty one up."""
    put(cache, NAME, COMMIT, model_files(tmp_path / "w", "safetensors", 1))
    with pytest.raises(InputError, match=r": no tokenizer here \(tokenizer\.json, or vocab\.json"):
        load_tokenizer(find_checkpoint(NAME))
