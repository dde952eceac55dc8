"""Results as the Hub reads them: `model-index` in a card, and files in `.eval_results/`.

Formats: `huggingface_hub.EvalResult` for the model-index, `huggingface_hub.EvalResultEntry` for
the files (https://huggingface.co/docs/hub/eval-results). Neither is marked as verified: only the
Hub itself can do that.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.errors import InputError, nearest
from kdbench.metrics import HEADLINE, make_metrics, result_name
from kdbench.metrics import make_teacher_metrics as of_teacher
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun
from kdbench.system.bundled import bundled
from kdbench.system.safe_yaml import read_yaml_file
from kdbench.task import TITLES
from kdbench.text import DECIMALS

# Metrics that https://huggingface.co/metrics knows under another name.
_HUB_METRICS = {"rougeL": "rouge", "acc": "accuracy", "acc_norm": "accuracy", "f1": "f1"}


def shown_metrics(run: StoredRun, wanted: Sequence[str]) -> list[str]:
    """The names of the metrics of a card, in order.

    Args:
        run: The run.
        wanted: Names that the user chose; empty for the main metrics and the headline set.

    Raises:
        InputError: A wanted metric was not measured.
    """
    measured: dict[str, MetricResult] = {}
    for result in run.results.values():
        measured |= {n: m for n, m in result.metrics.items() if m.value is not None}
    if not wanted:
        mains = [result.main_metric for result in run.results.values()]
        headline = [metric.name for metric in make_metrics((HEADLINE,))]
        fidelity = [name for kind in of_teacher((HEADLINE,)) for name in _sets_of(kind, measured)]
        return [name for name in dict.fromkeys([*mains, *headline, *fidelity]) if name in measured]
    chosen = []
    for name in wanted:
        known = result_name(name, measured)
        if known is None or known not in measured:
            raise InputError(
                f"metrics={name}: the run has no such metric; {nearest(name, measured)}"
            )
        chosen.append(known)
    return list(dict.fromkeys(chosen))


def _sets_of(kind: Any, measured: Mapping[str, Any]) -> list[str]:
    """The measured results of a metric of fidelity, on its headline set or without a set."""
    name = result_name(kind.name, measured)
    return [] if name is None else [name]


def rounded(metric: MetricResult, number: float | None) -> float | None:
    """A number with as many decimals as tables show."""
    return None if number is None else round(number, DECIMALS.get(metric.unit, 2))


def title_of(task: str) -> str:
    """A task's name for people."""
    return TITLES.get(task, task)


def dataset_of(result: TaskResult) -> str:
    """The data set's name on the Hub if the task used that data, else the task's name."""
    task = result.task
    file = bundled("tasks") / task / f"{task}.yaml"
    if not result.data.get("published") or not file.is_file():
        return task
    arguments = (read_yaml_file(file) or {}).get("dataset_kwargs") or {}
    return str(arguments.get("repository") or task)


def eval_results(run: StoredRun, metrics: Sequence[str]) -> list[Any]:
    """The results of a run for the model-index.

    Args:
        run: The run.
        metrics: Names of the metrics to list.

    Returns:
        Objects of `huggingface_hub.EvalResult`, one per task and metric.
    """
    from huggingface_hub import EvalResult

    entries = []
    for task, result in run.results.items():
        for name in metrics:
            metric = result.metrics.get(name)
            if metric is None or metric.value is None:
                continue
            base, _, of_filter = name.partition(",")
            entries.append(
                EvalResult(
                    task_type="text-generation",
                    task_name="Text Generation",
                    dataset_type=dataset_of(result),
                    dataset_name=title_of(task),
                    dataset_config=task,
                    metric_type=_HUB_METRICS.get(base, base),
                    metric_name=name if not of_filter else f"{base} ({of_filter})",
                    metric_value=rounded(metric, metric.value),
                    metric_args=_arguments(run, metric),
                )
            )
    return entries


def _arguments(run: StoredRun, metric: MetricResult) -> dict[str, Any]:
    interval = [rounded(metric, metric.ci_low), rounded(metric, metric.ci_high)]
    arguments = {
        "protocol": run.record["protocol"]["name"],
        "prompts": metric.n,
        "unit": metric.unit,
        "interval_95": None if None in interval else interval,
        "sd_over_seeds": rounded(metric, metric.seed_sd),
    }
    return {key: value for key, value in arguments.items() if value is not None}


def eval_result_files(
    run: StoredRun, benchmarks: Sequence[str], source_url: str | None
) -> dict[str, str]:
    """The files of `.eval_results/`, by path.

    Args:
        run: The run.
        benchmarks: `TASK:DATASET:TASK_ID`, which of the Hub's benchmarks a task is.
        source_url: Address of the run's files; None if they are not published.

    Raises:
        InputError: The run has no such task, or no number for it.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump

    files = {}
    for item in benchmarks:
        task, dataset, task_id = item.rsplit(":", 2)
        result = run.results.get(task)
        if result is None:
            raise InputError(f"eval_results={item}: {nearest(task, run.results)}")
        metric = result.metrics.get(result.main_metric)
        if metric is None or metric.value is None:
            raise InputError(f"eval_results={item}: '{task}' has no number")
        created = run.record.get("created")
        entry = EvalResultEntry(
            dataset_id=dataset,
            task_id=task_id,
            value=rounded(metric, metric.value),
            date=str(created) if created else None,
            source_url=source_url,
            source_name="kdbench" if source_url else None,
            notes=_note(run, result.main_metric, metric),
        )
        files[f".eval_results/{task}.yaml"] = yaml_dump(eval_result_entries_to_yaml([entry]))
    return files


def _note(run: StoredRun, name: str, metric: MetricResult) -> str:
    interval = ""
    if metric.ci_low is not None:
        low, high = rounded(metric, metric.ci_low), rounded(metric, metric.ci_high)
        interval = f", 95 % interval {low} to {high}"
    protocol = run.record["protocol"]["name"]
    return f"{name}{interval}, {metric.n} prompts, protocol {protocol}"
