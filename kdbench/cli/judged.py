"""What the verbs print of a judge's metrics."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.text import DECIMALS, aligned

if TYPE_CHECKING:
    from kdbench.store.results import MetricResult, TaskResult

_WITH_INTERVAL = ("judge", "judge_score", "win_rate")


def judge_lines(results: "Mapping[str, TaskResult]") -> list[str]:
    """The judge's metrics by task: a table for each way of judging, then why cells are empty."""
    ways = dict.fromkeys(way for result in results.values() for way in result.judge)
    return [line for way in ways for line in _table(way, results)]


def _table(way: str, results: "Mapping[str, TaskResult]") -> list[str]:
    from kdbench.metrics import GRADES, PREFERENCES, WITHOUT_SCORE

    _, at, opponent = way.partition("@")
    names = [*(PREFERENCES if at else GRADES), *WITHOUT_SCORE]
    judged = {task: result for task, result in results.items() if way in result.judge}
    judge = next(iter(judged.values())).judge[way].get("judge", {}).get("name", "a judge")
    title = f"judged by {judge}" + (f" against {opponent}" if at else "")
    rows: list[Sequence[str]] = [[title, "prompts", *names]]
    reasons = set()
    for task, result in judged.items():
        metrics = [result.metrics.get(f"{name}{at}{opponent}") for name in names]
        cells = [_cell(metric, name) for metric, name in zip(metrics, names, strict=True)]
        prompts = max(metric.n for metric in metrics if metric)
        rows.append([task, str(prompts), *cells])
        reasons |= {metric.reason for metric in metrics if metric and metric.reason}
    return [*aligned(rows, left={0}), *sorted(reasons)]


def _cell(metric: "MetricResult | None", name: str) -> str:
    if metric is None or metric.value is None:
        return "–"
    decimals = DECIMALS.get(metric.unit, 2)
    text = f"{metric.value:.{decimals}f}"
    if name in _WITH_INTERVAL and metric.ci_low is not None:
        text += f" [{metric.ci_low:.{decimals}f}, {metric.ci_high:.{decimals}f}]"
    return text
