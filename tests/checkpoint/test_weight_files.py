"""The weights that are read are the ones that are hashed, and it is clear which they are."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import change_json, shard
from safetensors.torch import load_file, save_file

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.errors import InputError
from kdbench.toy.models import World

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


@pytest.fixture
def model(world: World, tmp_path: Path) -> Path:
    return shutil.copytree(world.student, tmp_path / "model")


def to_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def load(folder: Path, unsafe_pickle: bool = False) -> torch.nn.Module:
    checkpoint = find_checkpoint(str(folder), unsafe_pickle=unsafe_pickle)
    return load_checkpoint(checkpoint, "auto", "cpu")[0]


def test_the_hash_of_an_ordinary_folder_is_that_of_earlier_versions(model: Path) -> None:
    """Run folders are named after it, so committed results depend on it."""
    (model / "kdbench.json").write_text("{}")
    (model / "README.md").write_text("hello")
    total = hashlib.sha256()
    names = sorted({file.name for file in model.iterdir()} - {"kdbench.json", "README.md"})
    assert names == [
        *("chat_template.jinja", "config.json", "generation_config.json"),
        *("model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    ]
    for name in names:
        digest = hashlib.sha256((model / name).read_bytes()).hexdigest()
        total.update(f"{name}:{digest}\n".encode())
    assert find_checkpoint(str(model)).sha256 == total.hexdigest()
    assert find_checkpoint(str(model), trust_remote_code=True).sha256 == total.hexdigest()


def test_shards_in_a_subfolder_are_hashed_and_read(world: World, model: Path) -> None:
    shard(model, "parts/")
    (model / "model.safetensors").unlink()
    whole = load(world.student).state_dict()
    assert all(torch.equal(whole[name], w) for name, w in load(model).state_dict().items())
    before = find_checkpoint(str(model)).sha256
    file = model / "parts" / "model-00002-of-00002.safetensors"
    save_file({name: w + 1e-3 for name, w in load_file(file).items()}, file)
    assert find_checkpoint(str(model)).sha256 != before


def test_tokenizer_files_next_to_a_gguf_file_are_hashed(world: World, tmp_path: Path) -> None:
    """transformers takes the end token and the chat template from them."""
    file = tmp_path / "toy.gguf"
    file.write_bytes(b"GGUF")
    alone = hashlib.sha256(b"toy.gguf:" + hashlib.sha256(b"GGUF").hexdigest().encode() + b"\n")
    (tmp_path / "README.md").write_text("hello")
    assert find_checkpoint(str(file)).sha256 == alone.hexdigest()
    shutil.copy(world.student / "tokenizer_config.json", tmp_path)
    assert find_checkpoint(str(file)).sha256 != alone.hexdigest()


def test_trusted_code_is_hashed(model: Path) -> None:
    before = find_checkpoint(str(model), trust_remote_code=True).sha256
    (model / "modeling_own.py").write_text("x = 1")
    assert find_checkpoint(str(model)).sha256 == before
    assert find_checkpoint(str(model), trust_remote_code=True).sha256 != before


def test_a_single_file_next_to_shards_is_refused(model: Path) -> None:
    shard(model)
    with pytest.raises(InputError, match=r"holds model.safetensors and also the shards of"):
        find_checkpoint(str(model))


@pytest.mark.parametrize("other", ["pytorch_model.bin", "model.gguf", "consolidated.safetensors"])
def test_weights_that_are_not_read_are_named_and_not_hashed(
    model: Path, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = find_checkpoint(str(model)).sha256
    (model / other).write_bytes(b"anything")
    assert find_checkpoint(str(model)).sha256 == before
    assert f"read from model.safetensors; not used: {other}" in capsys.readouterr().err


def test_another_safetensors_file_does_not_permit_pickle(model: Path) -> None:
    to_pickle(model)
    save_file({"x": torch.zeros(1)}, model / "decoy.safetensors")
    with pytest.raises(InputError, match=r"only pickle weights.*unsafe_pickle=true"):
        find_checkpoint(str(model))
    load(model, unsafe_pickle=True)


class Code:
    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.file,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_pickle_weights_does_not_run(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Code(tmp_path / "ran")))
    with pytest.raises(InputError, match="cannot be loaded"):
        load(model, unsafe_pickle=True)
    assert not (tmp_path / "ran").exists()


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "LFS pointer for weights": (
        lambda m: (m / "model.safetensors").write_text(POINTER),
        r"model\.safetensors: cannot be loaded: a Git LFS pointer.*git lfs pull",
    ),
    "LFS pointer for a configuration": (
        lambda m: (m / "config.json").write_text(POINTER),
        r"config\.json: cannot be loaded: a Git LFS pointer",
    ),
    "LFS pointer for an index": (
        lambda m: (m / "model.safetensors.index.json").write_text(POINTER),
        r"index\.json: cannot be loaded: a Git LFS pointer",
    ),
    "weights cut off": (
        lambda m: (m / "model.safetensors").write_bytes(
            (m / "model.safetensors").read_bytes()[:5000]
        ),
        r"model\.safetensors: cannot be loaded: cut off: 5000 of \d+ bytes",
    ),
    "weights of zeros": (
        lambda m: (m / "model.safetensors").write_bytes(bytes(99)),
        r"model\.safetensors: cannot be loaded: cut off, or no safetensors file",
    ),
    "weights with a broken header": (
        lambda m: (m / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"[]"),
        r"model\.safetensors: cannot be loaded: the header is broken",
    ),
    "shards without an index": (
        lambda m: (m / "model.safetensors").rename(m / "model-00001-of-00002.safetensors"),
        r"no weights here.*a shard, and model\.safetensors\.index\.json is missing",
    ),
    "weights of another name": (
        lambda m: (m / "model.safetensors").rename(m / "weights.safetensors"),
        r"no weights here.*weights\.safetensors is not read; its name must be model\.safetensors",
    ),
    "only GGUF next to a configuration": (
        lambda m: (m / "model.safetensors").rename(m / "x.gguf"),
        r"no weights here \(only GGUF; give the path of one: x\.gguf",
    ),
    "weights of TensorFlow": (
        lambda m: (m / "model.safetensors").rename(m / "tf_model.h5"),
        r"tf_model\.h5 is not read; convert it to safetensors",
    ),
    "index that is a list": (
        lambda m: (m / "model.safetensors.index.json").write_text("[]"),
        r"index\.json: cannot be loaded: must be a JSON object, not a list",
    ),
    "index that leaves the folder": (
        lambda m: (m / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": {"x": "../x.safetensors"}})
        ),
        r"not an index of weight shards: \.\./x\.safetensors is elsewhere",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_of_weight_files_are_found_before_anything_is_loaded(model: Path, case: str) -> None:
    change, line = FAULTS[case]
    change(model)
    with pytest.raises(InputError, match=line):
        find_checkpoint(str(model))


def test_a_named_weights_file_is_read(model: Path) -> None:
    """transformers reads the file that `transformers_weights` names."""
    before = load(model).state_dict()
    (model / "model.safetensors").rename(model / "own.safetensors")
    change_json(model / "config.json", transformers_weights="own.safetensors")
    after = load(model).state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
