"""The functions of the five instruction-following tasks, for lm-evaluation-harness and kdbench.

Dataset: JSON lines with `instruction`, `input`, `output` (one reference or a list), and `id`.
Metric:  ROUGE-L F-measure with stemmer, maximum over references, in points (0 to 100).
Source:  the prompt and the scoring of MiniLLM's evaluation code (see docs/protocol.md).

This file needs lm-eval, datasets and rouge-score only, so that `lm_eval --include_path tasks`
works alone and its score is an independent check of kdbench's own fast one.
"""

import functools
import gzip
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)


def doc_to_text(doc: dict[str, Any]) -> str:
    """The Alpaca-style prompt; ends with a newline, as in the papers."""
    template = WITH_INPUT if doc["input"] else WITHOUT_INPUT
    return template.format(instruction=doc["instruction"], input=doc["input"])


def doc_to_target(doc: dict[str, Any]) -> list[str]:
    """All references."""
    return list(doc["output"])


def process_results(doc: dict[str, Any], results: Sequence[Any]) -> dict[str, float]:
    """ROUGE-L of the response, averaged where there are several (lm-eval's `repeats`)."""
    responses = results[0] if isinstance(results[0], list) else [results[0]]
    scores = [_rouge_l(doc["output"], _postprocess(response)) for response in responses]
    return {"rougeL": sum(scores) / len(scores)}


def load(
    set: str,
    repository: str,
    file: str,
    revision: str = "main",
    first: int | None = None,
    data: str | None = None,
    **_: Any,
) -> dict[str, Any]:
    """The documents, from the first of: `data`, the variable KDBENCH_DATA, the hub.

    Args:
        set: folder of the set in the data folder.
        repository: data set on the hub.
        file: file in that data set.
        revision: of the hub's data set.
        first: read only so many rows.
        data: folder with `<set>/test.jsonl` (or `.jsonl.gz`).

    Raises:
        ValueError: a missing set, or a bad line; the message names file and line.
    """
    from datasets import Dataset

    path = _local_file(set, data or os.environ.get("KDBENCH_DATA"))
    if path is None:
        path = download(set, repository, file, revision)
    rows = list(read_rows(path, set, first))
    return {"test": Dataset.from_list(rows)}


def content_sha256(rows: Sequence[dict[str, Any]]) -> str:
    """SHA-256 of what the rows say, whatever their order and ids."""
    parts = sorted(json.dumps([r["instruction"], r["input"], list(r["output"])]) for r in rows)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _local_file(name: str, data: str | None) -> Path | None:
    if data is None:
        return None
    for ending in ("test.jsonl", "test.jsonl.gz"):
        path = Path(data) / name / ending
        if path.is_file():
            return path
    raise ValueError(
        f"{Path(data) / name / 'test.jsonl'}: no such file; put the set there, or leave out data= "
        "and KDBENCH_DATA to take it from the hub"
    )


def download(name: str, repository: str, file: str, revision: str) -> Path:
    """A file of a data set on the hub.

    Raises:
        ValueError: the hub does not give it; the message says what else to do.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(hf_hub_download(repository, file, repo_type="dataset", revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ValueError(
            f"set '{name}' cannot be fetched from the hub data set {repository} ({file}): "
            f"{type(error).__name__}; pass data=DIR with DIR/{name}/test.jsonl"
        ) from error


def read_rows(path: Path, name: str, first: int | None) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file, gzipped or not.

    Args:
        path: the file.
        name: of the set; rows without an id are numbered after it.
        first: read only so many rows.

    Raises:
        ValueError: a bad line or a repeated id; the message names file and line.
    """
    seen: set[str] = set()
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if first is not None and number > first:
                    break
                row = _row(line, f"{path}:{number}", f"{name}-{number - 1:05d}")
                if row["id"] in seen:
                    raise ValueError(f"{path}:{number}: id '{row['id']}' stands twice")
                seen.add(row["id"])
                yield row
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path}: not readable as UTF-8 JSON lines: {error}") from error
    if not seen:
        raise ValueError(f"{path}: no rows; a set needs one JSON object a line")


def _row(line: str, place: str, default_id: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON: {error.msg} (column {error.colno})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{place}: not a JSON object")
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place}: not text: {error}") from error
    if not isinstance(row.get("instruction"), str) or not row["instruction"].strip():
        raise ValueError(f"{place}: 'instruction' must be a non-empty string")
    text = row.get("input") or ""
    output = [row["output"]] if isinstance(row.get("output"), str) else row.get("output")
    if not isinstance(text, str):
        raise ValueError(f"{place}: 'input' must be a string")
    if (
        not isinstance(output, list)
        or not output
        or not all(isinstance(reference, str) and reference.strip() for reference in output)
    ):
        raise ValueError(f"{place}: 'output' must be a non-empty reference or a list of them")
    return {
        "id": str(row.get("id", default_id)),
        "instruction": row["instruction"],
        "input": text,
        "output": output,
    }


def _postprocess(text: str) -> str:
    return text.split("<|endoftext|>", 1)[0].replace("<n>", "\n").strip()


def _rouge_l(references: Sequence[str], response: str) -> float:
    return float(100 * _scorer().score_multi(references, response)["rougeL"].fmeasure)


@functools.cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)
