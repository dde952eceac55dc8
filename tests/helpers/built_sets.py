"""Rows and folders of data sets for tests of builders."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kdbench.builders.workshop.build import Built


def rows_of(built: Built) -> list[dict[str, Any]]:
    """The rows of a data set that was built."""
    return lines_of(built.train_file)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a file of JSON lines, gzipped if its name ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def prompts(count: int, **columns: Any) -> list[dict[str, Any]]:
    """Rows that ask different things."""
    return [
        {"id": f"r{number}", "prompt": f"Say word {number}", "response": f"old {number}", **columns}
        for number in range(count)
    ]
