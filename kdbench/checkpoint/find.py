"""Finding a checkpoint: a folder, a GGUF file, an adapter, or a model on the Hub."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kdbench.checkpoint.config_file import check_sizes, read_config
from kdbench.checkpoint.hub import cached, fetch, is_hub_name, split_revision
from kdbench.checkpoint.identity import ADAPTER_CONFIG, hash_adapter, hash_folder, hash_gguf
from kdbench.checkpoint.json_file import finite, is_text, read_object, refuse_pointer
from kdbench.checkpoint.messages import warn_once
from kdbench.checkpoint.model import Checkpoint
from kdbench.checkpoint.weights import WeightFiles, find_weights, tensor_shapes, why_none
from kdbench.errors import InputError, nearest_path

__all__ = [
    "check_checkpoint",
    "describe",
    "find_checkpoint",
    "is_hub_name",
    "served_model",
    "why_not_cached",
]


class _Request(NamedTuple):
    """What a setting asks for, and what it permits.

    Attributes:
        key: Setting that named the checkpoint, for messages.
        unsafe_pickle: Whether pickle weights are accepted.
        trust_remote_code: Whether code that comes with the checkpoint may run.
        of_adapter: Whether the checkpoint is the base of an adapter.
        only_check: Whether nothing is downloaded or hashed.
    """

    key: str
    unsafe_pickle: bool
    trust_remote_code: bool
    of_adapter: bool = False
    only_check: bool = False


def find_checkpoint(
    model: str,
    revision: str | None = None,
    unsafe_pickle: bool = False,
    key: str = "model",
    trust_remote_code: bool = False,
) -> Checkpoint:
    """Find a checkpoint: a folder, a GGUF file, or a model on the Hub, downloaded if necessary.

    Args:
        model: Path, or name on the Hub, which may end in `@` and a revision.
        revision: Branch, tag or commit on the Hub.
        unsafe_pickle: Whether pickle weights are accepted.
        key: Setting that named the checkpoint, for messages.
        trust_remote_code: Whether Python code that comes with the checkpoint may run; its content
            is then a part of the hash.

    Raises:
        InputError: There is no such folder or name, weights or shards are missing, pickle weights
            are not permitted, `config.json` has a fault, or a folder is given a revision.
    """
    return _find(model, revision, _Request(key, unsafe_pickle, trust_remote_code))


def check_checkpoint(
    model: str, revision: str | None = None, unsafe_pickle: bool = False, key: str = "model"
) -> None:
    """Check a checkpoint as `find_checkpoint` does, without hashing it.

    The Hub is asked only for a name whose first part is a folder on this disk.

    Hashing takes minutes for a large model, and a command may name several.

    Raises:
        InputError: As `find_checkpoint` raises it for what is on this disk.
    """
    _find(model, revision, _Request(key, unsafe_pickle, False, only_check=True))


def why_not_cached(model: str, unsafe_pickle: bool = False) -> str | None:
    """Why a model of the Hub cannot be read from this disk; None if it can. No network is used.

    Args:
        model: Name on the Hub, which may end in `@` and a revision.
        unsafe_pickle: Whether pickle weights are accepted.

    Returns:
        `not downloaded`, or what is wrong with the files that were.
    """
    named, revision = split_revision(model)
    folder = cached(named, revision)
    if folder is None:
        return "not downloaded"
    try:
        _folder(folder, _Request("checkpoint", unsafe_pickle, False, only_check=True))
    except InputError as error:
        return str(error).replace(f"checkpoint={folder}: ", "").replace(f"{folder}: ", "")
    return None


def _find(model: str, revision: str | None, request: _Request) -> Checkpoint:
    path, key = Path(model), request.key
    of_key = "revision" if key == "model" else f"{key}_revision"
    named, at = (model, None) if path.exists() else split_revision(model)
    if at is not None and revision not in (None, at):
        raise InputError(f"{key}={model} and {of_key}={revision}: give one revision")
    if at is not None and Path(named).exists():
        raise InputError(
            f"{key}={model}: no such folder; a revision is for models on the Hub, and {named} is "
            "on this disk"
        )
    if revision is not None and path.exists():
        raise InputError(f"{of_key}= is for models on the Hub, and {key}={model} is on this disk")
    if path.is_file() and path.suffix == ".gguf":
        return _gguf(path, hashes=not request.only_check)
    if path.is_file():
        raise InputError(f"{key}={model}: not a .gguf file; give the checkpoint's folder")
    if path.is_dir():
        return _folder(path, request)
    if not is_hub_name(model):
        raise InputError(
            f"{key}={model}: no such folder, and not a name on the Hub (org/name or "
            f"org/name@revision){nearest_path(path)}"
        )
    here = Path(named).parent
    is_here = here.name and here.is_dir()  # so a mistyped path is likely
    revision = at or revision
    if request.only_check and not is_here:
        return Checkpoint(model, path, None, revision, "", {})
    folder = fetch(named, revision, request.unsafe_pickle, key, nearest_path(path))
    try:
        return _folder(folder, request, model.replace("/", "__"), folder.name)
    except InputError as error:
        # Pickle files are not even downloaded without permission.
        pickle = "; if it has only pickle weights (*.bin), unsafe_pickle=true permits them"
        hint = pickle if "no weights here" in str(error) and not request.unsafe_pickle else ""
        raise InputError(f"{error}{hint}") from None


def served_model(name: str, backend: str) -> Checkpoint:
    """A model that only a server has; its identity is its name there.

    Args:
        name: Name under which the server knows the model.
        backend: Backend that talks to the server; part of the identity.
    """
    identity = hashlib.sha256(json.dumps([backend, name]).encode()).hexdigest()
    label = re.sub(r"[^\w.+=-]+", "__", name).strip("._") or "model"
    return Checkpoint(label, Path(name), None, None, identity, {}, served=name)


def describe(path: Path) -> Checkpoint:
    """The checkpoint of a folder, even of one without weights.

    Raises:
        InputError: The run card is broken.
    """
    return Checkpoint(path.resolve().name, path, None, None, hash_folder(path), _card(path))


def _folder(
    path: Path, request: _Request, name: str | None = None, revision: str | None = None
) -> Checkpoint:
    """The checkpoint in a folder.

    Raises:
        InputError: The folder holds no complete checkpoint.
    """
    has_adapter = (path / ADAPTER_CONFIG).is_file()
    has_config = (path / "config.json").is_file()
    name = name or path.resolve().name
    if not has_config and not has_adapter:
        return _gguf(_only_gguf(path, request.key), name, revision, not request.only_check)
    config = read_config(path) if has_config else {}
    weights = find_weights(path, config) if has_config else None
    if weights is None and has_adapter:
        if request.of_adapter:
            raise InputError(f"{path}: an adapter itself")
        return _adapter(path, request, name, revision)
    if weights is None:
        raise InputError(f"{request.key}={path}: no weights here ({why_none(path)})")
    _check_weights(path, config, weights, request)
    if has_adapter:
        warn_once(
            f"{path}: the adapter of {ADAPTER_CONFIG} is not used, because the folder holds the "
            "weights of a whole model; move the adapter into a folder of its own to use it"
        )
    hashes = not request.only_check
    sha256 = hash_folder(path, weights, request.trust_remote_code) if hashes else ""
    return Checkpoint(
        name,
        path,
        None,
        revision,
        sha256,
        _card(path),
        pickle=weights.pickle,
        unused_adapter=has_adapter,
    )


def _check_weights(
    path: Path, config: Mapping[str, Any], weights: WeightFiles, request: _Request
) -> None:
    """Check the weights' files without reading the weights.

    Raises:
        InputError: Pickle files are not permitted, or a file is broken.
    """
    _refuse_pickle(path, weights, request)
    shapes = tensor_shapes(path, weights)
    if shapes is not None and not shapes:
        raise InputError(f"{path / weights.names[0]}: cannot be loaded: holds no tensors")
    check_sizes(config, path / "config.json", None if shapes is None else len(shapes))
    if others := weights.not_read(path):
        warn_once(
            f"{path}: the weights are read from {weights.names[0]}; not used: {', '.join(others)}"
        )


def _refuse_pickle(path: Path, weights: WeightFiles, request: _Request) -> None:
    if weights.pickle and not request.unsafe_pickle:
        raise InputError(
            f"{request.key}={path}: only pickle weights (*.bin), which can run code when read; "
            "convert them to safetensors, or pass unsafe_pickle=true if you trust their author"
        )


def _adapter(path: Path, request: _Request, name: str, revision: str | None) -> Checkpoint:
    """The checkpoint of an adapter and its base.

    Raises:
        InputError: The adapter is incomplete, or its base is not found.
    """
    file = path / ADAPTER_CONFIG
    config = read_object(file)
    safe = (path / "adapter_model.safetensors").is_file()
    weights = WeightFiles((f"adapter_model.{'safetensors' if safe else 'bin'}",), not safe)
    if not (path / weights.names[0]).is_file():
        raise InputError(f"{request.key}={path}: no weights here (adapter_model.safetensors)")
    _refuse_pickle(path, weights, request)
    tensor_shapes(path, weights)
    base_name = config.get("base_model_name_or_path")
    if not isinstance(base_name, str) or not base_name:
        raise InputError(f"{file}: base_model_name_or_path must name the model of the adapter")
    try:
        base = _find(
            base_name,
            config.get("revision") if is_hub_name(base_name) else None,
            request._replace(key="model", of_adapter=True),
        )
    except InputError as error:
        raise InputError(f"{file}: base_model_name_or_path: {error}") from None
    hashes = not request.only_check
    trusts = request.trust_remote_code
    sha256 = hash_adapter(path, base.sha256, weights, trusts) if hashes else ""
    return Checkpoint(
        name, path, None, revision, sha256, _card(path), pickle=weights.pickle, base=base
    )


def _only_gguf(path: Path, key: str) -> Path:
    """The GGUF file in a folder without `config.json`.

    Raises:
        InputError: There are none or several.
    """
    files = sorted(path.glob("*.gguf"))
    if len(files) == 1:
        return files[0]
    if files:
        names = ", ".join(file.name for file in files)
        raise InputError(f"{key}={path}: holds several GGUF files; give the path of one: {names}")
    inner = sorted(file.parent.name for file in path.glob("*/config.json"))
    below = f"; there are some below it: {', '.join(inner[:8])}" if inner else ""
    raise InputError(
        f"{key}={path}: no checkpoint here (neither config.json nor a .gguf file){below}"
    )


def _gguf(
    file: Path, name: str | None = None, revision: str | None = None, hashes: bool = True
) -> Checkpoint:
    refuse_pointer(file)
    folder = file.parent
    sha256 = hash_gguf(file) if hashes else ""
    return Checkpoint(name or file.stem, folder, file.name, revision, sha256, _card(folder))


def _card(path: Path) -> dict[str, Any]:
    """The run card in a folder; empty without one.

    Raises:
        InputError: The run card is broken.
    """
    file = path / "kdbench.json"
    try:
        text = file.read_text("utf-8") if file.is_file() else "{}"
        card: dict[str, Any] = json.loads(text, parse_constant=finite, parse_float=finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not JSON: {error}") from None
    labels = [card.get(key) for key in ("method", "setting")] if isinstance(card, dict) else [0]
    if not all(label is None or (isinstance(label, str) and is_text(label)) for label in labels):
        raise InputError(f"{file}: not a run card: 'method' and 'setting' must be strings")
    if not all((label or "").isprintable() for label in labels):
        raise InputError(f"{file}: 'method' and 'setting' must not have control characters")
    return card
