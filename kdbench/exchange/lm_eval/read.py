"""`kdbench import`: results of lm-evaluation-harness become a stored run.

Their fingerprint names lm-eval, its version and its settings, so they never count as measured
under a protocol of kdbench: tables put them into a group of their own, and compare refuses to
compare them with anything but another import that was made in the same way.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.exchange.lm_eval.files import LmEvalResults, is_score, read_results, read_samples
from kdbench.exchange.settings import ImportSettings
from kdbench.generate import Sample
from kdbench.stats.estimates import Estimate, estimate
from kdbench.store.folder import RunFolder, run_id
from kdbench.store.prompts import StoredPrompt
from kdbench.store.record import RunRecord
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.samples import sample_record
from kdbench.store.schema import SEED
from kdbench.system.names import folder_name, is_file_name
from kdbench.text import interval

PROTOCOL = "lm_eval"
_UNIT = "task's own"
_VERSION = "lm_eval"
_NORMAL = 1.959963984540054  # of a 95 % interval
_SETTINGS = (
    *("gen_kwargs", "random_seed", "numpy_seed", "torch_seed", "fewshot_seed"),
    *("num_fewshot", "system_instruction_sha", "chat_template_sha", "fewshot_as_multiturn"),
)


@dataclass(frozen=True)
class Imported:
    """What `import` stored.

    Attributes:
        run: Folder of the run.
        results: LmEvalResults by task.
        texts: Number of samples by task.
        harness: What measured.
    """

    run: Path
    harness: str
    results: Mapping[str, TaskResult] = field(repr=False)
    texts: Mapping[str, int]

    def lines(self) -> Iterator[str]:
        """The lines that the command prints."""
        for task, result in self.results.items():
            main = result.metrics[result.main_metric]
            ends = interval(main.ci_low, main.ci_high, 4)
            value = "no number" if main.value is None else f"{main.value:.4f} {ends}".rstrip()
            texts = self.texts.get(task, 0)
            yield f"{task}: {result.main_metric} {value}, {main.n} prompts, {texts} samples"
        yield f"measured by {self.harness}; stored in {self.run}"


def import_run(settings: ImportSettings) -> Imported:
    """Store the results of a file, and the samples that lie next to it.

    Raises:
        InputError: The file is not results of lm-eval, or the samples contradict it.
    """
    results = read_results(settings.file)
    name = settings.name or results.model
    try:
        folder_name(name)
    except InputError as error:
        raise InputError(
            f"{results.file}: the model's name '{name}' {error}; give name=NAME"
        ) from None
    tasks = {task: _task(results, task) for task in results.tasks()}
    protocol = _protocol()
    identity = {"import": results.harness, "protocol": protocol, "settings": _settings(results)}
    run = RunFolder(settings.results / name / run_id(PROTOCOL, identity))
    _check_same_numbers(run, tasks)
    record = RunRecord(run)
    for task, (result, samples, prompts) in tasks.items():
        with run.lock(task):
            record.begin(task, result.fingerprint, _identity(settings, results, name, protocol))
            if samples:
                run.write_prompts(task, prompts)
                run.lines(task).replace(sample_record(sample) for sample in samples)
            run.write_task(result)
    # Not this machine and this day, which measured nothing.
    record.note(created=results.day, environment=None, git=None)
    record.finish(method=settings.method, setting=settings.setting)
    stored = {result.task: result for result in run.tasks() if result.task in tasks}
    return Imported(
        run.path,
        results.harness,
        stored,
        {task: len(texts) for task, (_, texts, _) in tasks.items()},
    )


def _protocol() -> dict[str, Any]:
    """A protocol that is none of kdbench's; how lm-eval asked is in the fingerprint."""
    return {"name": PROTOCOL, "seeds": [0]}


def _settings(results: LmEvalResults) -> dict[str, Any]:
    config = {**results.config, **results.content}
    return {key: config[key] for key in _SETTINGS if config.get(key) is not None}


def _identity(
    settings: ImportSettings, results: LmEvalResults, name: str, protocol: Mapping[str, Any]
) -> dict[str, Any]:
    config = results.config
    parameters = config.get("model_num_parameters")
    limit = config.get("limit")
    return {
        "model": {
            "name": name,
            "revision": _text(config.get("model_revision")),
            "sha256": None,
            "parameters": parameters if isinstance(parameters, int) and parameters > 0 else None,
            "dtype": _text(config.get("model_dtype")),
        },
        "method": settings.method,
        "setting": settings.setting,
        "protocol": dict(protocol),
        "limit": int(limit) if isinstance(limit, int | float) and limit >= 1 else None,
        "backend": {"name": "lm-eval", "batch_size": None},
        "imported": {
            "from": results.harness,
            "file": results.file.name,
            "model": _text(config.get("model")),
        },
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _check_same_numbers(run: RunFolder, tasks: Mapping[str, Any]) -> None:
    """Refuse to replace the numbers of another evaluation that was made in the same way.

    Raises:
        InputError: A stored number differs.
    """
    for task, (result, _, _) in tasks.items():
        stored = run.read_task(task)
        for name, metric in (stored.metrics if stored else {}).items():
            new = result.metrics.get(name)
            if new is None or _rounded(new.value) != _rounded(metric.value):
                raise InputError(
                    f"{run.path}: holds other numbers for '{task}'; pass name=… to keep both, or "
                    "delete the folder"
                )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _task(results: LmEvalResults, task: str) -> tuple[TaskResult, list[Sample], list[StoredPrompt]]:
    """The result of a task, its samples and its prompts."""
    if not is_file_name(task):
        raise InputError(f"{results.file}: '{task}' cannot name a task")
    lines = read_samples(results, task)
    first = [line for line in lines if line["filter"] == lines[0]["filter"]]
    ids = [str(line["doc_id"]) for line in first]
    metrics: dict[str, MetricResult] = {}
    columns: dict[str, list[float | None]] = {}
    for name, value, error in results.metrics(task):
        column = _column(lines, name, ids)
        metrics[name] = _metric(results, task, name, value, error, column)
        if column is not None and metrics[name].value is not None:
            columns[name] = column
    if not metrics:
        raise InputError(f"{results.file}: '{task}' has no metric")
    result = TaskResult(
        fingerprint=_fingerprint(results, task),
        metrics=metrics,
        documents={"id": ids, **columns},
        data={"rows": results.rows(task), "used": results.used(task), "sha256": None},
        cut_prompts=None,
        main_metric=next(iter(metrics)),
    )
    samples = [s for line in first for s in _samples(line)] if results.generates(task) else []
    return result, samples, [_prompt(line) for line in first] if samples else []


def _fingerprint(results: LmEvalResults, task: str) -> dict[str, Any]:
    """What must be equal for two imports to compare; `harness` is in no result of kdbench."""
    versions = results.content.get("versions")
    version = versions.get(task) if isinstance(versions, Mapping) else None
    hashes = results.content.get("task_hashes")
    prompts = hashes.get(task) if isinstance(hashes, Mapping) else None
    shots = results.content.get("n-shot")
    return {
        "task": task,
        "harness": results.harness,
        "task_version": str(version),
        "data_sha256": None,
        "prompts_sha256": prompts if isinstance(prompts, str) else None,
        "n_shot": shots.get(task) if isinstance(shots, Mapping) else None,
        "settings": _settings(results),
        "protocol": _protocol(),
    }


def _metric(
    results: LmEvalResults,
    task: str,
    name: str,
    value: float | None,
    error: float | None,
    column: Sequence[float | None] | None,
) -> MetricResult:
    """A metric with lm-eval's value, and an interval over prompts if the scores give that value."""
    known = [score for score in column or () if score is not None]
    n = len(known) or results.used(task)
    made = Estimate(value, None, None, None, {"0": value}, n)
    of_scores = estimate({0: known}, _UNIT) if known else None
    if of_scores is not None and _equal(of_scores.value, value):
        made = replace(of_scores, value=value, per_seed={"0": value})
    if made.ci_low is None and value is not None and error is not None:
        made = replace(made, ci_low=value - _NORMAL * error, ci_high=value + _NORMAL * error)
    higher = results.higher_is_better(task, name.partition(",")[0])
    return MetricResult(
        **vars(made),
        unit=_UNIT,
        direction={True: "higher", False: "lower"}.get(higher, "none"),  # type: ignore[arg-type]
        version=_VERSION,
        reason=None if value is not None else "lm-eval gives no number",
    )


def _equal(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return False
    return math.isclose(first, second, rel_tol=1e-6, abs_tol=1e-6)


def _column(
    lines: Sequence[Mapping[str, Any]], name: str, ids: Sequence[str]
) -> list[float | None] | None:
    """The scores of a metric by document; None if the samples have none."""
    metric, _, of_filter = name.partition(",")
    scores = {
        str(line["doc_id"]): line.get(metric) for line in lines if line["filter"] == of_filter
    }
    if not any(is_score(score) for score in scores.values()):
        return None
    column = (scores.get(document) for document in ids)
    return [float(score) if is_score(score) else None for score in column]  # type: ignore[arg-type]


def _samples(line: Mapping[str, Any]) -> list[Sample]:
    """The responses to a document; lm-eval scores the first, kdbench's exports their mean."""
    responses = line["resps"][0] if line["resps"] else []
    if not isinstance(responses, list) or not all(isinstance(text, str) for text in responses):
        raise InputError(f"document {line['doc_id']}: resps: must hold texts")
    seeds = _seeds(line, len(responses))
    document = str(line["doc_id"])
    pairs = zip(seeds, responses, strict=True)
    return [Sample(document, seed, text, None, None) for seed, text in pairs]


def _seeds(line: Mapping[str, Any], count: int) -> list[int]:
    """The seeds that kdbench's exports name; else the numbers of the repeats."""
    asked = _first_arguments(line).get("arg_1")
    seeds = asked.get("seeds") if isinstance(asked, Mapping) else None
    if isinstance(seeds, list) and len(seeds) == count and all(map(SEED.holds, seeds)):
        return seeds
    return list(range(count))


def _first_arguments(line: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = line["arguments"]
    first = arguments.get("gen_args_0") if isinstance(arguments, Mapping) else None
    return first if isinstance(first, Mapping) else {}


def _prompt(line: Mapping[str, Any]) -> StoredPrompt:
    text = _first_arguments(line).get("arg_0", "")
    target = line.get("target", "")
    references = tuple(map(str, target)) if isinstance(target, list) else (str(target),)
    return StoredPrompt(str(line["doc_id"]), str(text), None, None, references=references)
