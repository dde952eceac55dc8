"""Reading the file of an offline run of Weights & Biases, as the client's protobuf records.

The file is a log of LevelDB after seven bytes of header: blocks of 32 KiB hold records with a
checksum (4 bytes), a length (2) and a type (1: whole, 2: first, 3: middle, 4: last part).
https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _HEADER, _WHOLE, _LAST = 32768, 7, 1, 4


def records(folder: Path) -> Iterator[Any]:
    """The records of the only run below a folder, in order."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.rglob("run-*.wandb")
    content, place, parts = file.read_bytes(), 7, b""
    while place < len(content):
        if _BLOCK - place % _BLOCK < _HEADER:
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + _HEADER : place + _HEADER + length]
        place += _HEADER + length
        if kind in (_WHOLE, _LAST):
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def logged(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """The last configuration, the history and the summary of an offline run."""
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    history = []
    for record in records(folder):
        for item in (*record.run.config.update, *record.config.update):
            config[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in record.summary.update:
            summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        if record.history.item:
            history.append(
                {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
            )
    return config, history, summary
