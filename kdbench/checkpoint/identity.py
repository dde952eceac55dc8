"""The hash of a checkpoint: of exactly what is read from its folder."""

import hashlib
import json
from pathlib import Path

from kdbench.checkpoint.weights import WEIGHT_PATTERNS, WeightFiles

# The files that determine a checkpoint's responses; a run card or a README does not.
IDENTITY = (
    *WEIGHT_PATTERNS,
    "*.model",
    "*.tiktoken",
    "*.txt",
    "*.jinja",
    "*.json",
    "additional_chat_templates/*.jinja",
)
_NOT_IDENTITY = {"kdbench.json", "trainer_state.json", "all_results.json", "README.txt"}
_READ_NEXT_TO_GGUF = (
    "added_tokens.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
ADAPTER_CONFIG = "adapter_config.json"
_PLACE_OF_BASE = ("base_model_name_or_path", "revision")


def hash_folder(
    folder: Path, weights: WeightFiles | None = None, code: bool = False, adapter: bool = False
) -> str:
    """The hash of a checkpoint.

    Args:
        folder: Folder of the checkpoint.
        weights: Files that weights are read from; None hashes all that lie there.
        code: Whether Python code that comes with the checkpoint may run, so that it counts.
        adapter: Whether adapter files in the folder are read.
    """
    files = {file for pattern in IDENTITY for file in folder.glob(pattern)}
    if weights is not None:
        files -= {folder / name for name in weights.not_read(folder)}
        files |= {folder / name for name in weights.names}
    if weights is not None and not adapter:
        files -= {folder / ADAPTER_CONFIG, folder / "adapter_model.safetensors"}
    if code:
        files |= set(folder.rglob("*.py"))
    return _hash_files(folder, sorted(files))


def hash_gguf(file: Path) -> str:
    """The hash of a GGUF file, and of the tokenizer's files that transformers reads next to it."""
    folder = file.parent
    return _hash_files(folder, [file, *(folder / name for name in _READ_NEXT_TO_GGUF)])


def hash_adapter(folder: Path, base: str, weights: WeightFiles, code: bool) -> str:
    """The hash of an adapter and its base, wherever the base lies.

    Args:
        folder: Folder of the adapter.
        base: Hash of the base.
        weights: Files of the adapter's weights.
        code: Whether Python code that comes with the adapter counts.
    """
    config = json.loads((folder / ADAPTER_CONFIG).read_bytes())
    settings = {key: value for key, value in config.items() if key not in _PLACE_OF_BASE}
    files = {file for pattern in IDENTITY for file in folder.glob(pattern)}
    files |= {folder / name for name in weights.names}
    files |= set(folder.rglob("*.py")) if code else set()
    content = _hash_files(folder, sorted(files - {folder / ADAPTER_CONFIG}))
    return hashlib.sha256(
        json.dumps([base, settings, content], sort_keys=True).encode()
    ).hexdigest()


def _hash_files(folder: Path, files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        if file.name in _NOT_IDENTITY or not file.is_file():
            continue
        name = file.relative_to(folder).as_posix()
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{name}:{digest}\n".encode())
    return total.hexdigest()
