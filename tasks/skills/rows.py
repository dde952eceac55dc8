"""Rows of the skills tasks, for lm-evaluation-harness and kdbench; it needs only `datasets`."""

import json
from pathlib import Path
from typing import Any


def load(file: str, **_: Any) -> dict[str, Any]:
    """Return the rows of a file of this folder as the split `test`."""
    import datasets

    lines = (Path(__file__).parent / file).read_text("utf-8").splitlines()
    return {"test": datasets.Dataset.from_list([json.loads(line) for line in lines])}
