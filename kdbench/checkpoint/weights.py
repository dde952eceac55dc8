"""Which files of a folder hold the weights, and which tensors these say they hold."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from kdbench.checkpoint.json_file import read_object, refuse_pointer
from kdbench.errors import InputError

WEIGHT_PATTERNS = ("*.safetensors", "pytorch_model*.bin", "*.gguf")
_SHARD = re.compile(r".*-\d{5}-of-\d{5}\.\w+")
_OTHER_FORMATS = ("tf_model.h5", "flax_model.msgpack", "model.ckpt.index")


@dataclass(frozen=True)
class WeightFiles:
    """The files that transformers reads weights from.

    Attributes:
        names: Paths within the folder, in order.
        pickle: Whether they are pickle files.
        index: Index that names them, if they are shards.
    """

    names: tuple[str, ...]
    pickle: bool = False
    index: str | None = None

    def not_read(self, folder: Path) -> list[str]:
        """Other weights in the folder."""
        present = {file.name for pattern in WEIGHT_PATTERNS for file in folder.glob(pattern)}
        return sorted(present - set(self.names) - {"adapter_model.safetensors"})


def find_weights(folder: Path, config: Mapping[str, Any]) -> WeightFiles | None:
    """The files that hold a folder's weights, as transformers chooses them.

    Args:
        folder: Folder of the checkpoint.
        config: Content of its `config.json`.

    Returns:
        The safetensors files, or else the pickle files; None if there are neither.

    Raises:
        InputError: A shard is missing, or it is not clear which files are meant.
    """
    named = config.get("transformers_weights")
    main = named if isinstance(named, str) else "model.safetensors"
    if main.endswith(".index.json"):
        main = main.removesuffix(".index.json")
    names = _single_or_shards(folder, main)
    if names is not None:
        index = f"{main}.index.json"
        return WeightFiles(names, index=index if (folder / index).is_file() else None)
    names = _single_or_shards(folder, "pytorch_model.bin")
    return None if names is None else WeightFiles(names, pickle=True)


def why_none(folder: Path) -> str:
    """What a folder without readable weights holds instead, for the end of an error message."""
    if ggufs := sorted(file.name for file in folder.glob("*.gguf")):
        return f"only GGUF; give the path of one: {', '.join(ggufs)}"
    others = sorted(file.name for file in folder.glob("*.safetensors"))
    if shards := [name for name in others if _SHARD.fullmatch(name)]:
        return f"{shards[0]} is a shard, and model.safetensors.index.json is missing"
    others = [name for name in others if name != "adapter_model.safetensors"]
    if others:
        return f"{others[0]} is not read; its name must be model.safetensors"
    if formats := [name for name in _OTHER_FORMATS if (folder / name).exists()]:
        return f"{formats[0]} is not read; convert it to safetensors"
    return "*.safetensors"


def _single_or_shards(folder: Path, main: str) -> tuple[str, ...] | None:
    """The file of this name, or the shards of its index; None if neither exists.

    Raises:
        InputError: The index is broken, a shard is missing, or both forms exist.
    """
    index, single = folder / f"{main}.index.json", (folder / main).is_file()
    if not index.is_file():
        return (main,) if single else None
    shards = _read_index(index)
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise InputError(f"{folder}: {missing[0]} is missing (interrupted download?)")
    if single and shards != (main,):
        raise InputError(
            f"{folder}: cannot be loaded: holds {main} and also the shards of {index.name}; "
            "remove the ones that are out of date"
        )
    return shards


def _read_index(index: Path) -> tuple[str, ...]:
    """The shards that an index names, sorted.

    Raises:
        InputError: The file is no index, or names a file outside of its folder.
    """
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{index}: not an index of weight shards: no weight_map")
    shards = sorted({str(name) for name in weight_map.values()})
    for shard in shards:
        if PurePosixPath(shard).is_absolute() or ".." in PurePosixPath(shard).parts:
            raise InputError(f"{index}: not an index of weight shards: {shard} is elsewhere")
    return tuple(shards)


def tensor_shapes(folder: Path, weights: WeightFiles) -> dict[str, tuple[int, ...]] | None:
    """The shapes of all tensors by name, from the headers; None for pickle files.

    Raises:
        InputError: A file is a Git LFS pointer, cut off, or no safetensors file.
    """
    for name in weights.names:
        refuse_pointer(folder / name)
    if weights.pickle:
        return None
    by_file = {name: _shapes(folder / name) for name in weights.names}
    if weights.index is not None:
        _check_index(folder / weights.index, by_file)
    return {tensor: shape for shapes in by_file.values() for tensor, shape in shapes.items()}


def _check_index(index: Path, shapes: Mapping[str, Mapping[str, object]]) -> None:
    """Check that an index names exactly the tensors that its shards hold.

    Raises:
        InputError: It does not; the message names a tensor.
    """
    named = read_object(index)["weight_map"]
    held = {tensor: shard for shard, tensors in shapes.items() for tensor in tensors}
    for tensor in sorted(named.keys() | held.keys()):
        if tensor not in named:
            raise InputError(f"{index}: cannot be loaded: does not name {tensor} of {held[tensor]}")
        if named[tensor] != held.get(tensor):
            raise InputError(f"{index}: cannot be loaded: {named[tensor]} does not hold {tensor}")


def integer_tensors(folder: Path, weights: WeightFiles) -> set[str]:
    """Names of the tensors that hold integers, from the headers; empty for pickle files."""
    if weights.pickle:
        return set()
    return {
        tensor
        for name in weights.names
        for tensor, header in _headers(folder / name).items()
        if header.dtype.startswith(("I", "U", "BOOL"))
    }


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    return {name: header.shape for name, header in _headers(file).items()}


class _TensorHeader(NamedTuple):
    """What a safetensors file says about a tensor before its values."""

    shape: tuple[int, ...]
    dtype: str


def _headers(file: Path) -> dict[str, _TensorHeader]:
    """The header of each tensor in a safetensors file.

    Raises:
        InputError: The file is cut off, or not a safetensors file.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= size - 8:
                raise ValueError("cut off, or no safetensors file")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        headers = {
            name: _TensorHeader(tuple(map(int, entry["shape"])), str(entry["dtype"]))
            for name, entry in header.items()
        }
        if size < 8 + length + end:
            raise ValueError(f"cut off: {size} of {8 + length + end} bytes")
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else "the header is broken"
        raise InputError(f"{file}: cannot be loaded: {reason}") from None
    return headers
