"""The functions of the task, for lm-evaluation-harness and kdbench."""

import json
from pathlib import Path
from typing import Any


def load(**_: Any) -> dict[str, Any]:
    """The documents, from the file next to this one."""
    from datasets import Dataset

    lines = Path(__file__).with_name("capitals.jsonl").read_text(encoding="utf-8").splitlines()
    return {"test": Dataset.from_list([json.loads(line) for line in lines])}


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Whether the response names the capital."""
    return {"names_it": float(doc["capital"].lower() in results[0].lower())}
