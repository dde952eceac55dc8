"""The page Compare: paired differences between students, and the prompts behind them."""

from collections.abc import Callable, Iterator
from typing import Any

from kdbench.site.boards import ordered_metrics
from kdbench.site.html import render
from kdbench.site.page import Data, Page, data_name
from kdbench.site.pairs import Pairs, RunPair, row_values
from kdbench.site.source import SiteSource
from kdbench.store.results import MetricResult
from kdbench.task import task_title
from kdbench.text import AVERAGE, DECIMALS, signed


def compare_page(source: SiteSource) -> Page:
    """Make the page Compare."""
    kinds = _kinds(source)
    pairs = Pairs(source, tuple(kinds))
    kinds = {name: kind for name, kind in kinds.items() if name in pairs.compared_metrics}
    if pairs.base is None or len(pairs.runs) < 2 or not kinds:
        why = "There are fewer than two runs with scores by prompt; kdbench eval measures another."
        return Page("compare", "Compare", render("empty.html.j2", why=why))
    html = render(
        "compare.html.j2",
        base=source.labels[pairs.base],
        metric=next(iter(kinds)),
        columns=[*_titles(source), AVERAGE],
        rows=list(_static_rows(source, pairs, kinds)),
        many=not pairs.are_all,
        metrics=pairs.compared_metrics if pairs.compared_metrics != pairs.metrics else (),
    )
    data: dict[str, Data] = {"compare": _index(source, pairs, kinds)}
    for number, base in enumerate(dict.fromkeys(base for base, _ in pairs.folders)):
        data[data_name("compare", number)] = _of_base(pairs, base)
    for number, (task, metric) in enumerate(_columns(pairs, kinds)):
        data[data_name("scores", number)] = _scores(pairs, task, metric)
    return Page("compare", "Compare", html, ("compare.js",), ("compare.css",), data)


def _kinds(source: SiteSource) -> dict[str, MetricResult]:
    """A result of each metric that can be compared by prompt, by its name, the score first."""
    kinds = {}
    for name in ordered_metrics(source):
        results = [
            run.results[task] for run in source.runs for task in source.tasks if task in run.results
        ]
        known = [r.metrics[name] for r in results if name in r.metrics and name in r.documents]
        if known and known[0].direction != "none":
            kinds[name] = known[0]
    return kinds


def _titles(source: SiteSource) -> list[str]:
    return [task_title(task) for task in source.tasks]


def _index(source: SiteSource, pairs: Pairs, kinds: dict[str, MetricResult]) -> Any:
    """What the script reads first: runs, metrics, and the names of the other data."""
    bases = list(dict.fromkeys(base for base, _ in pairs.folders))
    return {
        "runs": [
            {
                "run": folder,
                "label": source.labels[folder],
                "samples": [
                    task for task in run.tasks if source.has_samples(_stored(source, folder), task)
                ],
            }
            for folder, run in pairs.runs.items()
        ],
        "base": pairs.base,
        "bases": {base: data_name("compare", number) for number, base in enumerate(bases)},
        "metrics": [
            {
                "name": name,
                "unit": kind.unit,
                "direction": kind.direction,
                "decimals": DECIMALS.get(kind.unit, 2),
            }
            for name, kind in kinds.items()
        ],
        "tasks": {task: task_title(task) for task in source.tasks},
        "scores": {
            f"{task}\n{metric}": data_name("scores", number)
            for number, (task, metric) in enumerate(_columns(pairs, kinds))
        },
    }


def _stored(source: SiteSource, folder: str) -> Any:
    run = source.run(folder)
    assert run is not None  # noqa: S101 - pairs have the source's runs
    return run


def _of_base(pairs: Pairs, base: str) -> Callable[[], Any]:
    def make() -> Any:
        compared = [pairs.pair(base, new) for of, new in pairs.folders if of == base]
        return {
            pair.new: {
                "rows": {name: list(map(row_values, rows)) for name, rows in pair.rows.items()},
                "problems": pair.problems,
            }
            for pair in compared
        }

    return make


def _columns(pairs: Pairs, kinds: dict[str, MetricResult]) -> list[tuple[str, str]]:
    """The tasks and metrics whose scores by prompt are written."""
    columns = []
    for task in pairs.source.tasks:
        runs = [run.tasks[task] for run in pairs.runs.values() if task in run.tasks]
        known = [name for name in kinds if any(name in scores.metrics for scores in runs)]
        columns += [(task, name) for name in known]
    return columns


def _scores(pairs: Pairs, task: str, metric: str) -> Callable[[], Any]:
    """The scores of each prompt, by run; None where a run has none."""

    def make() -> Any:
        by_run = {
            folder: dict(zip(of.ids, of.metrics[metric].means.tolist(), strict=True))
            for folder, run in pairs.runs.items()
            if (of := run.tasks.get(task)) is not None and metric in of.metrics
        }
        ids = list(dict.fromkeys(id_ for scores in by_run.values() for id_ in scores))
        return {
            "ids": ids,
            "runs": {
                folder: [_rounded(scores.get(id_)) for id_ in ids]
                for folder, scores in by_run.items()
            },
        }

    return make


def _rounded(score: float | None) -> float | None:
    """A score with four decimals; None for a missing one, which arrays hold as NaN."""
    return None if score is None or score != score else round(score, 4)  # noqa: PLR0124


def _static_rows(
    source: SiteSource, pairs: Pairs, kinds: dict[str, MetricResult]
) -> Iterator[dict[str, Any]]:
    """What a reader without scripts sees: each run against the base, in the first metric."""
    metric, kind = next(iter(kinds.items()))
    decimals = DECIMALS.get(kind.unit, 2)
    for base, new in pairs.folders:
        if base == pairs.base:
            pair = pairs.pair(base, new)
            cells = {row.task: row for row in pair.rows.get(metric, ())}
            texts = [
                _change(cells[task], decimals) if task in cells else ""
                for task in (*source.tasks, AVERAGE)
            ]
            yield {"label": source.labels[new], "cells": texts, "problems": _problems(pair)}


def _change(row: Any, decimals: int) -> str:
    text = signed(row.change, decimals)
    if row.low is not None and row.high is not None:
        text += f" [{signed(row.low, decimals)}, {signed(row.high, decimals)}]"
    return f"{text} {row.verdict}"


def _problems(pair: RunPair) -> str:
    return "; ".join(pair.problems)
