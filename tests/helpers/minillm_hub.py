"""A cache of the Hub like the one that MiniLLM's releases leave, with tiny models in it.

Names, revisions and file lists are those of baselines/zoo.yaml and of the releases' pages; only the
sizes differ. The layout is that of https://huggingface.co/docs/huggingface_hub/guides/manage-cache:
a snapshot's files are links to blobs.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

END = "<|endoftext|>"
_CONFIG = {  # of transformers 4.42, which wrote the releases
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_embd": 8,
    "n_head": 2,
    "n_inner": None,
    "n_layer": 1,
    "n_positions": 1024,
    "torch_dtype": "float32",
    "transformers_version": "4.42.0.dev0",
    "use_cache": True,
}


def byte_alphabet() -> list[str]:
    """The characters by which GPT-2's tokenizer stands for bytes, in the order of its ids."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [*map(chr, shown), *(chr(256 + place) for place in range(len(hidden)))]


def tokenizer_files() -> dict[str, bytes]:
    """GPT-2's tokenizer without merges, in the files of the releases but tokenizer.json."""
    vocabulary = {text: place for place, text in enumerate([*byte_alphabet(), END])}
    special = {"bos_token": END, "eos_token": END, "unk_token": END}
    config = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024, **special}
    return {
        "vocab.json": json.dumps(vocabulary).encode(),
        "merges.txt": b"#version: 0.2\n",
        "special_tokens_map.json": json.dumps(special).encode(),
        "tokenizer_config.json": json.dumps({"add_prefix_space": False, **config}).encode(),
    }


def model_files(folder: Path, weights: str, seed: int, padded: int = 0) -> dict[str, bytes]:
    """The files of a model: `config.json` and weights.

    Args:
        folder: Folder to write weights to, on the way.
        weights: `safetensors`, `pickle`, `shards` (of pickle) or `both`.
        seed: Seed of the weights.
        padded: Number of rows of the vocabulary beyond the tokenizer's.
    """
    size, end = 257 + padded, 256
    ends = {"bos_token_id": end, "eos_token_id": end}
    config = {**_CONFIG, "vocab_size": size, **ends}
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(**config))
    generation = {"_from_model_config": True, **ends, "transformers_version": "4.42.0.dev0"}
    files = {
        "config.json": json.dumps(config).encode(),
        "generation_config.json": json.dumps(generation).encode(),
    }
    folder.mkdir(parents=True)
    if weights in ("safetensors", "both"):
        model.save_pretrained(folder)
        files["model.safetensors"] = (folder / "model.safetensors").read_bytes()
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    if weights in ("pickle", "both"):
        files["pytorch_model.bin"] = _pickled(state, folder)
    if weights == "shards":
        names = list(state)
        parts = {1: names[:3], 2: names[3:]}
        shards = {f"pytorch_model-{n:05d}-of-00002.bin": part for n, part in parts.items()}
        for shard, part in shards.items():
            files[shard] = _pickled({name: state[name] for name in part}, folder)
        index = {name: shard for shard, part in shards.items() for name in part}
        files["pytorch_model.bin.index.json"] = json.dumps(
            {"metadata": {}, "weight_map": index}
        ).encode()
    return files


def _pickled(state: Mapping[str, torch.Tensor], folder: Path) -> bytes:
    file = folder / "state.bin"
    torch.save(dict(state), file)
    return file.read_bytes()


def put(
    cache: Path, name: str, commit: str, files: Mapping[str, bytes], kind: str = "model"
) -> Path:
    """Put a snapshot into a cache, which becomes that of `main`.

    Args:
        cache: Folder of the cache.
        name: Name on the Hub.
        commit: Its commit.
        files: Content of the files, by path.
        kind: `model` or `dataset`.

    Returns:
        The folder of the snapshot.
    """
    home = cache / f"{kind}s--{name.replace('/', '--')}"
    snapshot, blobs = home / "snapshots" / commit, home / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        blob = blobs / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        place = snapshot / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(blob, place.parent))
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / "main").write_text(commit)
    return snapshot


def row(number: int, words: int = 12) -> dict[str, object]:
    """A row as in MiniLLM's files."""
    instruction = f"Say the words of line {number}."
    prompt = (
        "Below is an instruction that describes a task. Write a response that appropriately "
        f"completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
    )
    output = " ".join(f"word{number}{place}" for place in range(words))
    return {"instruction": instruction, "input": "", "output": output, "prompt": prompt}


def lines(rows: object) -> bytes:
    """Rows as JSON lines."""
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()  # type: ignore[attr-defined]
