"""Reading and checking the files of lm-evaluation-harness; nothing in them is trusted."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.store.schema import MAPPING, TEXT, FieldError, Rule, check_fields
from kdbench.system.files import LinesFile

_STDERR = "_stderr"
_NO_METRIC = {"alias", "name", "sample_len", "sample_count"}

_RESULTS = {
    "results": Rule(
        "a mapping of tasks to metrics",
        lambda value: (
            isinstance(value, dict) and len(value) > 0 and all(map(MAPPING.holds, value.values()))
        ),
    ),
    "config": MAPPING.or_null().if_given(),
    "configs": MAPPING.or_null().if_given(),
    "versions": MAPPING.if_given(),
    **dict.fromkeys(
        ("groups", "group_subtasks", "n-samples", "higher_is_better"),
        MAPPING.or_null().if_given(),
    ),
}
_SAMPLE = {
    "doc_id": Rule("a whole number", lambda value: type(value) is int and value >= 0),
    "filter": TEXT,
    "resps": Rule("a list", lambda value: isinstance(value, list)),
    "arguments": Rule("a mapping or a list", lambda value: isinstance(value, dict | list)),
}


@dataclass(frozen=True)
class LmEvalResults:
    """A file of results.

    Attributes:
        file: The file.
        content: Its content.
    """

    file: Path
    content: Mapping[str, Any] = field(repr=False)

    @property
    def config(self) -> Mapping[str, Any]:
        """Settings of the evaluation."""
        return self.content.get("config") or {}

    @property
    def harness(self) -> str:
        """What measured, with its version: lm-eval, or kdbench for one of its exports."""
        exported = self.content.get("kdbench")
        if isinstance(exported, Mapping):
            return f"kdbench {exported.get('version')}, exported"
        return f"lm-eval {self.content.get('lm_eval_version') or 'of unknown version'}"

    @property
    def model(self) -> str:
        """Name of the model: the last part of the path or name that was evaluated."""
        known = self.content.get("model_name")
        arguments = self.config.get("model_args")
        if not isinstance(known, str) or not known:
            known = _pretrained(arguments) or str(self.config.get("model") or "model")
        if "/" in known and not known.startswith(("/", ".")) and known.count("/") == 1:
            return known.replace("/", "__")  # a name on the Hub
        return known.rstrip("/").rpartition("/")[2] or "model"

    @property
    def day(self) -> str | None:
        """When the evaluation began; None if the file does not tell."""
        date = self.content.get("date")
        if not isinstance(date, int | float) or not 0 <= date < 1e11:
            return None
        return datetime.fromtimestamp(date, UTC).isoformat(timespec="seconds")

    def tasks(self) -> list[str]:
        """The tasks, without groups, whose numbers are means over tasks."""
        groups = self.content.get("groups") or {}
        subtasks = self.content.get("group_subtasks") or {}
        above = {name for name, tasks in subtasks.items() if tasks}
        return [task for task in self.content["results"] if task not in {*groups, *above}]

    def metrics(self, task: str) -> Iterator[tuple[str, float | None, float | None]]:
        """Name, value and standard error of each metric of a task; the name has the filter."""
        row = self.content["results"][task]
        for key, value in row.items():
            metric, _, of_filter = key.partition(",")
            if key in _NO_METRIC or metric.endswith(_STDERR):
                continue
            error = row.get(f"{metric}{_STDERR},{of_filter}")
            yield f"{metric},{of_filter or 'none'}", _finite(value), _finite(error)

    def generates(self, task: str) -> bool:
        """Whether the model answered with text, instead of likelihoods of given texts."""
        config = (self.content.get("configs") or {}).get(task)
        kind = config.get("output_type") if isinstance(config, Mapping) else None
        return kind == "generate_until"

    def used(self, task: str) -> int:
        """Number of documents that were evaluated; 0 if it is not known."""
        return self._count(task, "effective")

    def rows(self, task: str) -> int:
        """Number of documents of the task; 0 if it is not known."""
        return self._count(task, "original")

    def _count(self, task: str, key: str) -> int:
        counts = (self.content.get("n-samples") or {}).get(task)
        count = counts.get(key) if isinstance(counts, Mapping) else None
        return count if isinstance(count, int) and count >= 0 else 0

    def higher_is_better(self, task: str, metric: str) -> bool | None:
        """Whether higher is better; None if it is not known."""
        directions = (self.content.get("higher_is_better") or {}).get(task)
        known = directions.get(metric) if isinstance(directions, Mapping) else None
        return known if isinstance(known, bool) else None


def read_results(path: Path) -> LmEvalResults:
    """Read a file of results, or the newest in a folder.

    Raises:
        InputError: There is none, or it is not one of lm-eval.
    """
    file = _newest(path) if path.is_dir() else path
    try:
        content = json.loads(file.read_bytes(), parse_constant=lambda _: None)
    except OSError as error:
        raise InputError(f"file={file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not JSON: {error}") from None
    try:
        check_fields(content, _RESULTS)
    except FieldError as fault:
        raise InputError(f"{file}: not results of lm-eval: {fault}") from None
    return LmEvalResults(file, content)


def _newest(folder: Path) -> Path:
    files = sorted(folder.glob("results_*.json")) or sorted(folder.glob("*/results_*.json"))
    if not files:
        raise InputError(f"file={folder}: has no results_….json of lm-eval")
    return max(files, key=lambda file: file.name)


def read_samples(results: LmEvalResults, task: str) -> list[dict[str, Any]]:
    """The lines of a task's samples, in order of the documents; empty if there is no file.

    Raises:
        InputError: A line is not a sample of lm-eval, or a document comes twice.
    """
    time = results.file.name.removeprefix("results_").removesuffix(".json")
    file = results.file.with_name(f"samples_{task}_{time}.jsonl")
    lines = LinesFile(file).read(whole=True)
    seen = set()
    for number, line in enumerate(lines, start=1):
        try:
            check_fields(line, _SAMPLE)
        except FieldError as fault:
            raise InputError(f"{file}:{number}: not a sample of lm-eval: {fault}") from None
        key = line["doc_id"], line["filter"]
        if key in seen:
            raise InputError(f"{file}:{number}: document {key[0]} has two samples")
        seen.add(key)
    used = results.used(task)
    if lines and used and len({line["doc_id"] for line in lines}) != used:
        raise InputError(
            f"{file}: has {len({line['doc_id'] for line in lines})} documents, and "
            f"{results.file.name} says {used}: it belongs to another evaluation"
        )
    return sorted(lines, key=lambda line: int(line["doc_id"]))


def is_score(value: object) -> bool:
    """Whether a value is a finite number or a truth value; JSON has integers beyond any float."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _finite(value: object) -> float | None:
    ok = is_score(value) and not isinstance(value, bool)
    return float(value) if ok else None  # type: ignore[arg-type]


def _pretrained(arguments: object) -> str | None:
    """The model in `model_args`, which is a mapping or `pretrained=NAME,…`."""
    if isinstance(arguments, str):
        pairs = (item.partition("=") for item in arguments.split(","))
        arguments = {key: value for key, _, value in pairs}
    if not isinstance(arguments, Mapping):
        return None
    known = (arguments.get(key) for key in ("pretrained", "model", "path"))
    return next((str(name) for name in known if name), None)
