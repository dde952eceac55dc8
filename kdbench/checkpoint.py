"""Checkpoints: finding, hashing and loading them."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import InputError

# The files that determine a checkpoint's responses; a run card or a README does not.
_IDENTITY = (
    "*.safetensors",
    "pytorch_model*.bin",
    "*.gguf",
    "*.model",
    "*.txt",
    "*.jinja",
    "*.json",
)
_NOT_IDENTITY = {"kdbench.json", "trainer_state.json", "all_results.json", "README.txt"}
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this disk, or a model that a server holds.

    Attributes:
        name: Name in results and tables: the folder's, or `org__model` for a model on the Hub.
        path: Folder of the checkpoint.
        gguf: Name of the GGUF file that holds the weights, if one does.
        revision: Commit on the Hub; None for a folder.
        sha256: Hash of weights, configuration and tokenizer; of name and backend for a served
            model.
        card: Content of the run card `kdbench.json` that `kdbench train` writes; empty without one.
        served: Name under which a server knows the model; None for a checkpoint on this disk.
    """

    name: str
    path: Path
    gguf: str | None
    revision: str | None
    sha256: str
    card: Mapping[str, Any] = field(repr=False)
    served: str | None = None


def find_checkpoint(
    model: str, revision: str | None = None, unsafe_pickle: bool = False, key: str = "model"
) -> Checkpoint:
    """Find a checkpoint: a folder, a GGUF file, or a model on the Hub, downloaded if necessary.

    Args:
        model: Path, or name on the Hub.
        revision: Branch, tag or commit on the Hub.
        unsafe_pickle: Whether pickle weights are accepted.
        key: Setting that named the checkpoint, for messages.

    Raises:
        InputError: There is no such folder or name, weights or shards are missing, pickle weights
            are not permitted, or a folder is given a revision.
    """
    path = Path(model)
    if revision is not None and path.exists():
        of_key = "revision" if key == "model" else f"{key}_revision"
        raise InputError(f"{of_key}= is for models on the Hub, and {key}={model} is on this disk")
    if path.is_file() and path.suffix == ".gguf":
        return describe(path.parent, path.stem, path.name, None)
    if path.is_file():
        raise InputError(f"{key}={model}: not a .gguf file; give the checkpoint's folder")
    if path.is_dir():
        return describe(path, gguf=_check_folder(path, unsafe_pickle, key))
    if not is_hub_name(model):
        raise InputError(f"{key}={model}: no such folder, and not a name on the Hub (org/name)")
    folder = _fetch(model, revision, unsafe_pickle, key)
    gguf = _check_folder(folder, unsafe_pickle, key)
    return describe(folder, model.replace("/", "__"), gguf, folder.name)


def served_model(name: str, backend: str) -> Checkpoint:
    """A model that only a server has; its identity is its name there.

    Args:
        name: Name under which the server knows the model.
        backend: Backend that talks to the server; part of the identity.
    """
    identity = hashlib.sha256(json.dumps([backend, name]).encode()).hexdigest()
    label = re.sub(r"[^\w.+=-]+", "__", name).strip("._") or "model"
    return Checkpoint(label, Path(name), None, None, identity, {}, served=name)


def is_hub_name(name: str) -> bool:
    """Whether a name can be that of a model on the Hub, and is no path on this disk."""
    return not Path(name).exists() and bool(_HUB_NAME.fullmatch(name)) and name[0] != "."


def load_checkpoint(
    checkpoint: Checkpoint, dtype: str, device: str, trust_remote_code: bool = False
) -> tuple[Any, Any]:
    """Load the model, in evaluation mode and on the device, and the tokenizer.

    Args:
        checkpoint: Result of `find_checkpoint`.
        dtype: Number format of the weights; `auto` is the checkpoint's own. On a CPU, float16
            becomes float32.
        device: Result of `pick_device`.
        trust_remote_code: Whether Python code that comes with the checkpoint may run.

    Raises:
        InputError: Weights are broken or incomplete, there is no tokenizer, or the checkpoint
            needs code that is not trusted.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if checkpoint.gguf:  # dequantised weights can be trained and saved
        options["gguf_file"] = checkpoint.gguf
        options["quantization_config"] = GgufConfig(dequantize=True)
    tokenizer = load_tokenizer(checkpoint, trust_remote_code)
    kind: Any = "auto" if dtype == "auto" else getattr(torch, dtype)
    with one_line(checkpoint.path):
        model = AutoModelForCausalLM.from_pretrained(checkpoint.path, dtype=kind, **options)
    if device == "cpu" and model.dtype == torch.float16:
        model = model.float()
    return model.to(device).eval(), tokenizer


def load_tokenizer(checkpoint: Checkpoint, trust_remote_code: bool = False) -> Any:
    """Load only the tokenizer.

    Raises:
        InputError: There is no tokenizer, or it has no end-of-sequence token.
    """
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if checkpoint.gguf:
        options["gguf_file"] = checkpoint.gguf
    with one_line(checkpoint.path):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.path, **options)
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{checkpoint.path}: the tokenizer has no end-of-sequence token; set eos_token in "
            "tokenizer_config.json"
        )
    return tokenizer


def pick_device(device: str) -> str:
    """The device of a name; `auto` is the first accelerator, or the CPU if there is none.

    Raises:
        InputError: The device is not available.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device={device}: not available on this machine ({reason})") from None
    return device


class one_line:  # noqa: N801 - a context manager, used like a function
    """A context that turns errors of transformers into one line that names the folder."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from safetensors import SafetensorError

        expected = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)
        if isinstance(error, expected) and not isinstance(error, InputError):
            import torch

            if isinstance(error, torch.OutOfMemoryError):
                return
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"{self.path}: cannot be loaded: {reason}") from error


def _check_folder(path: Path, unsafe_pickle: bool, key: str) -> str | None:
    """The name of the folder's GGUF file, if it is a GGUF checkpoint.

    Raises:
        InputError: The folder holds no complete checkpoint.
    """
    ggufs = sorted(file.name for file in path.glob("*.gguf"))
    if not (path / "config.json").is_file():
        if len(ggufs) == 1:
            return ggufs[0]
        if ggufs:
            raise InputError(
                f"{key}={path}: holds several GGUF files; give the path of one: {', '.join(ggufs)}"
            )
        raise InputError(f"{key}={path}: no checkpoint here (neither config.json nor a .gguf file)")
    for index in path.glob("*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{index}: not an index of weight shards: {error}") from None
        missing = sorted(shard for shard in shards if not (path / shard).is_file())
        if missing:
            raise InputError(f"{path}: {missing[0]} is missing (interrupted download?)")
    if not any(path.glob("*.safetensors")):
        if not any(path.glob("pytorch_model*.bin")):
            raise InputError(f"{key}={path}: no weights here (*.safetensors)")
        if not unsafe_pickle:
            raise InputError(
                f"{key}={path}: only pickle weights (*.bin), which can run code when read; "
                "convert them to safetensors, or pass unsafe_pickle=true if you trust their author"
            )
    return None


def _fetch(model: str, revision: str | None, unsafe_pickle: bool, key: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    unreachable = (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError)
    patterns = [p for p in _IDENTITY if unsafe_pickle or not p.endswith(".bin")] + ["*.py"]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except (*unreachable, HFValidationError) as error:
        raise InputError(
            f"{key}={model}: no such folder, and it cannot be downloaded from the Hub "
            f"({type(error).__name__}); check the name, or pass a local folder"
        ) from None


def describe(
    path: Path, name: str | None = None, gguf: str | None = None, revision: str | None = None
) -> Checkpoint:
    """The checkpoint of a folder, even of one without weights.

    Raises:
        InputError: The run card is broken.
    """
    card_file = path / "kdbench.json"
    try:
        card = json.loads(card_file.read_text("utf-8")) if card_file.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{card_file}: not JSON: {error}") from None
    labels = [card.get(key) for key in ("method", "setting")] if isinstance(card, dict) else [0]
    if not all(label is None or isinstance(label, str) for label in labels):
        raise InputError(f"{card_file}: not a run card: 'method' and 'setting' must be strings")
    if not all(str(label or "").isprintable() for label in labels):
        raise InputError(f"{card_file}: 'method' and 'setting' must not have control characters")
    return Checkpoint(name or path.resolve().name, path, gguf, revision, _hash(path, gguf), card)


def _hash(path: Path, gguf: str | None) -> str:
    files = [path / gguf] if gguf else sorted({f for p in _IDENTITY for f in path.glob(p)})
    total = hashlib.sha256()
    for file in files:
        if file.name in _NOT_IDENTITY or not file.is_file():
            continue
        with file.open("rb") as stream:
            total.update(
                f"{file.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode()
            )
    return total.hexdigest()
