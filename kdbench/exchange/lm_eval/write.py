"""`kdbench export`: a run in the files that lm-evaluation-harness 0.4 writes.

Layout and fields are those of `lm_eval.result_schema` and `lm_eval.loggers.EvaluationTracker`:
`<out>/<model>/results_<time>.json` and next to it `samples_<task>_<time>.jsonl`. The time is that
of the run, so that the same run gives the same files.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.errors import InputError
from kdbench.exchange.find import one_run
from kdbench.exchange.settings import ExportSettings
from kdbench.generate import Sample
from kdbench.store.folder import RunFolder
from kdbench.store.prompts import StoredPrompt
from kdbench.store.results import TaskResult
from kdbench.store.runs import StoredRun
from kdbench.store.samples import read_samples
from kdbench.system.files import put_text

_FILTER = "none"
_NO_TIME = "1970-01-01T00:00:00+00:00"


def export_run(settings: ExportSettings) -> list[Path]:
    """Write the files of a run.

    Returns:
        The files, the results first.

    Raises:
        InputError: The run is not found, or a file of it is damaged.
    """
    from lm_eval.utils import hash_string, sanitize_model_name

    folder, run = one_run(settings.run, settings.results)
    created = str(run.record.get("created") or _NO_TIME)
    try:
        began = datetime.fromisoformat(created)
    except ValueError:
        raise InputError(f"{folder.path / 'run.json'}: created: must be a time") from None
    time = began.isoformat(timespec="microseconds").partition("+")[0].replace(":", "-")
    place = settings.out / sanitize_model_name(run.model)
    samples = {task: list(_samples(folder, result)) for task, result in run.results.items()}
    samples = {task: lines for task, lines in samples.items() if lines}
    hashes = {
        task: hash_string(
            "".join(line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines)
        )
        for task, lines in samples.items()
    }
    content = {**_results(run), "date": began.timestamp(), "task_hashes": hashes}
    results = place / f"results_{time}.json"
    put_text(results, json.dumps(content, indent=2, ensure_ascii=False))
    files = [results]
    for task, lines in samples.items():
        file = place / f"samples_{task}_{time}.jsonl"
        put_text(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        files.append(file)
    return files


def _results(run: StoredRun) -> dict[str, Any]:
    """The content of `results_<time>.json`, without times and hashes."""
    results, model = run.results, run.record["model"]
    protocol = run.record["protocol"]
    git = run.record.get("git") or {}
    return {
        "results": {task: _metrics(result) for task, result in results.items()},
        **({"groups": {k: _metrics(v) for k, v in run.groups.items()}} if run.groups else {}),
        "group_subtasks": {task: [] for task in results},
        "configs": {task: _config(run, result) for task, result in results.items()},
        "versions": {t: result.fingerprint.get("task_version") for t, result in results.items()},
        "n-shot": dict.fromkeys(results, 0),
        "higher_is_better": {task: _directions(result) for task, result in results.items()},
        "n-samples": {
            task: {
                "original": result.data.get("rows", len(result.documents["id"])),
                "effective": len(result.documents["id"]),
            }
            for task, result in results.items()
        },
        "config": {
            "model": "kdbench",
            "model_args": {"pretrained": run.model},
            "model_num_parameters": model.get("parameters"),
            "model_dtype": model.get("dtype"),
            "model_revision": model.get("revision"),
            "model_sha": model.get("sha256"),
            "batch_size": str((run.record.get("backend") or {}).get("batch_size") or "auto"),
            "limit": run.record["limit"],
            "gen_kwargs": protocol,
        },
        "git_hash": git.get("commit"),
        "model_source": "kdbench",
        "model_name": run.model,
        "model_name_sanitized": run.model,
        "kdbench": {
            "version": run.record.get("kdbench_version"),
            "run": run.folder,
            "method": run.record["method"],
            "setting": run.record["setting"],
            "protocol": protocol,
        },
    }


def _key(metric: str, kind: str = "") -> str:
    """The key of a metric, `rougeL,none`; a name of lm-eval's own has its filter already."""
    base, _, of_filter = metric.partition(",")
    return f"{base}{kind},{of_filter or _FILTER}"


def _metrics(result: TaskResult) -> dict[str, Any]:
    row: dict[str, Any] = {"alias": result.task, "sample_len": len(result.documents["id"])}
    main = result.main_metric
    for name in sorted(result.metrics, key=lambda name: (name != main, name)):
        metric = result.metrics[name]
        if metric.value is None:
            continue
        row[_key(name)] = float(metric.value)
        row[_key(name, "_stderr")] = _standard_error(result.documents.get(name))
    return row


def _standard_error(column: Any) -> float | str:
    """The standard error of the mean over documents, as lm-eval's `mean_stderr`."""
    known = [value for value in column or () if value is not None]
    if len(known) < 2:
        return "N/A"
    return float(np.std(known, ddof=1) / np.sqrt(len(known)))


def _directions(result: TaskResult) -> dict[str, bool | None]:
    known = {"higher": True, "lower": False}
    return {
        name.partition(",")[0]: known.get(metric.direction)
        for name, metric in result.metrics.items()
    }


def _config(run: StoredRun, result: TaskResult) -> dict[str, Any]:
    protocol = run.record["protocol"]
    keys = ("temperature", "top_p", "top_k", "max_new_tokens")
    generation = {key: protocol.get(key) for key in keys}
    kind = str(result.fingerprint.get("output_type", "generate_until"))
    return {
        "task": result.task,
        "output_type": kind,
        "num_fewshot": 0,
        "repeats": len(protocol.get("seeds") or [0]),
        "generation_kwargs": {"until": [], "do_sample": True, **generation},
        "metadata": {"version": result.fingerprint.get("task_version")},
    }


def _samples(folder: RunFolder, result: TaskResult) -> Iterator[dict[str, Any]]:
    """The lines of a task: one per document, with the responses of all seeds."""
    from lm_eval.utils import hash_string

    by_document: dict[str, list[Sample]] = {}
    if "output_type" not in result.fingerprint:
        for sample in read_samples(folder.lines(result.task)).values():
            by_document.setdefault(sample.document, []).append(sample)
    prompts = {prompt.id: prompt for prompt in folder.prompts(result.task)}
    columns = {name: c for name, c in result.documents.items() if name in result.metrics}
    for number, document in enumerate(result.documents["id"]):
        responses = sorted(by_document.get(document, ()), key=lambda sample: sample.seed)
        if not responses:
            continue
        asked = prompts.get(document) or StoredPrompt(document, "", None, None)
        doc = {"id": document, "references": list(asked.references)}
        target = asked.references[0] if asked.references else ""
        scores = {_score_name(name): column[number] for name, column in columns.items()}
        yield {
            "doc_id": number,
            "doc": doc,
            "target": target,
            "arguments": {"gen_args_0": {"arg_0": asked.prompt, "arg_1": _arguments(responses)}},
            "resps": [[sample.output for sample in responses]],
            "filtered_resps": [responses[0].output],
            "filter": _FILTER,
            "metrics": [name for name, value in scores.items() if value is not None],
            "doc_hash": hash_string(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": hash_string(asked.prompt),
            "target_hash": hash_string(target),
            **{name: value for name, value in scores.items() if value is not None},
        }


def _score_name(metric: str) -> str:
    return metric.partition(",")[0]


def _arguments(responses: list[Sample]) -> Mapping[str, Any]:
    return {"seeds": [sample.seed for sample in responses]}
