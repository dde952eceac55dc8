"""Functions of the five instruction-following tasks, for lm-evaluation-harness and kdbench.

Dataset: JSON lines with `instruction`, `input`, `output` (one reference or a list) and `id`.
Metric:  ROUGE-L F-measure with stemmer, maximum over references, in points (0 to 100).
Source:  Prompt and scoring of MiniLLM's evaluation code (see docs/protocol.md).

This file needs only lm-eval, datasets and rouge-score. `lm_eval --include_path tasks` therefore
works without kdbench, and its score is an independent check of kdbench's faster implementation.
"""

import difflib
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

FIELDS = ("id", "instruction", "input", "output")
NO_INPUT = "<noinput>"  # how Self-Instruct and Alpaca write an empty input
OTHER_NAMES = {
    "question": "instruction",
    "context": "input",
    "answer": "output",
    "answers": "output",
    "article": "input",
    "completion": "output",
    "document": "input",
    "passage": "input",
    "reference": "output",
    "references": "output",
    "response": "output",
    "responses": "output",
    "target": "output",
    "targets": "output",
}


def doc_to_text(doc: dict[str, Any]) -> str:
    """The Alpaca-style prompt of a document; it ends with a newline, as in the papers."""
    template = WITH_INPUT if doc["input"] else WITHOUT_INPUT
    return template.format(instruction=doc["instruction"], input=doc["input"])


def doc_to_target(doc: dict[str, Any]) -> list[str]:
    """All references of a document."""
    return list(doc["output"])


def process_results(doc: dict[str, Any], results: Sequence[Any]) -> dict[str, float]:
    """ROUGE-L of a response, averaged over responses if there are several (`repeats`)."""
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
    """Load the documents from `data`, else from the folder KDBENCH_DATA, else from the hub.

    Args:
        set: Folder of the data set inside the data folder.
        repository: Data set on the hub.
        file: File in that data set.
        revision: Revision of the data set on the hub.
        first: Number of rows to read from the start; None reads all.
        data: Folder with `<set>/test.jsonl` (or `.jsonl.gz`).

    Returns:
        The documents by split.

    Raises:
        ValueError: The data set is missing or a line is bad; the message names file and line.
    """
    from datasets import Dataset

    path = local_file(set, data or os.environ.get("KDBENCH_DATA"))
    if path is None:
        path = download(set, repository, file, revision)
    rows = list(read_rows(path, set, first))
    return {"test": Dataset.from_list(rows)}


def content_sha256(rows: Sequence[dict[str, Any]]) -> str:
    """SHA-256 of the content of rows; it does not depend on their order or ids."""
    contents = sorted(json.dumps([r["instruction"], r["input"], list(r["output"])]) for r in rows)
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()


def local_file(name: str, data: str | None) -> Path | None:
    """The file of a data set in a folder; None without a folder.

    Raises:
        ValueError: The folder has no such file.
    """
    if data is None:
        return None
    for ending in ("test.jsonl", "test.jsonl.gz"):
        path = Path(data) / name / ending
        if path.is_file():
            return path
    raise ValueError(
        f"{Path(data) / name / 'test.jsonl'}: no such file; put the data set there, or "
        "unset data= and KDBENCH_DATA to download it from the hub"
    )


def download(name: str, repository: str, file: str, revision: str) -> Path:
    """Download a file of a data set on the hub.

    Args:
        name: Name of the data set in kdbench, for messages.
        repository: Data set on the hub.
        file: File in that data set.
        revision: Revision of the data set on the hub.

    Returns:
        Path of the local copy.

    Raises:
        ValueError: The download failed; the message suggests an alternative.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(hf_hub_download(repository, file, repo_type="dataset", revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ValueError(
            f"data set '{name}' cannot be downloaded from {repository} on the hub ({file}): "
            f"{type(error).__name__}; pass data=DIR with DIR/{name}/test.jsonl"
        ) from error


def read_rows(path: Path, name: str, first: int | None) -> Iterator[dict[str, Any]]:
    """Read the rows of a JSON-lines file, which may be gzipped.

    Args:
        path: Path of the file.
        name: Name of the data set, which prefixes the numbers of rows without an id.
        first: Number of rows to read from the start; None reads all.

    Raises:
        ValueError: A line is bad or an id occurs twice; the message names file and line.
    """
    seen: set[str] = set()
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if first is not None and number > first:
                    break
                if number == 1:
                    _check_first_line(line, path)
                if not line.strip():
                    continue
                row = _row(line, f"{path}:{number}", f"{name}-{number - 1:05d}")
                if row["id"] in seen:
                    raise ValueError(f"{path}:{number}: id '{row['id']}' occurs twice")
                seen.add(row["id"])
                yield row
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path}: not readable as UTF-8 JSON lines: {error}") from error
    if not seen:
        raise ValueError(f"{path}: no rows; a data set needs one JSON object per line")


def _check_first_line(line: str, path: Path) -> None:
    if line.startswith("version https://git-lfs"):
        raise ValueError(f"{path}: a Git LFS pointer, not the data; run 'git lfs pull'")
    if _begins_array(line):
        raise ValueError(
            f"{path}: a JSON array; a data set needs one JSON object per line, as "
            f"jq -c '.[]' {path.name} writes them"
        )


def _begins_array(line: str) -> bool:
    """Whether a line is the start, or the whole, of an array of objects."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return line.lstrip().startswith("[")
    return isinstance(content, list) and all(isinstance(row, dict) for row in content)


def _row(line: str, place: str, default_id: str) -> dict[str, Any]:
    try:
        # Numbers become text as they are written.
        row = json.loads(line, parse_int=str, parse_float=str, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON: {error.msg} (column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"{place}: not a JSON object")
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place}: not text: {error}") from error
    _check_fields(row, place)
    if not isinstance(row.get("instruction"), str) or not row["instruction"].strip():
        raise ValueError(f"{place}: 'instruction' must be a non-empty string")
    text = "" if row.get("input") is None else row["input"]
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
        "id": default_id if row.get("id") is None else str(row["id"]),
        "instruction": row["instruction"],
        "input": "" if text.strip().lower() == NO_INPUT else text,
        "output": output,
    }


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not text")


def _check_fields(row: dict[str, Any], place: str) -> None:
    """Check that no field that is missing is there under another name.

    Raises:
        ValueError: One is; the message names the field that is meant.
    """
    missing = [name for name in FIELDS if row.get(name) is None]
    for name in row:
        meant = OTHER_NAMES.get(name.lower())
        if name not in FIELDS and meant is None:
            close = difflib.get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.75)
            meant = close[0] if close else None
        if meant in missing:
            raise ValueError(f"{place}: unknown field '{name}': did you mean '{meant}'?")


def _postprocess(text: str) -> str:
    return text.split("<|endoftext|>", 1)[0].replace("<n>", "\n").strip()


def _rouge_l(references: Sequence[str], response: str) -> float:
    return float(100 * _scorer().score_multi(references, response)["rougeL"].fmeasure)


@functools.cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)
