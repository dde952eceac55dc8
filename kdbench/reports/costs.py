"""What each model of a report costs to serve, with its score: a price, a time or a size."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kdbench.config import ReportSettings
from kdbench.errors import InputError
from kdbench.reports.model import Findings, Number, StudentRow
from kdbench.reports.rows import ReportRow, interval_cells, student_cells
from kdbench.reports.select import Selection
from kdbench.stats.estimates import average
from kdbench.store.packed_folder import open_run
from kdbench.store.places import run_folders_in
from kdbench.store.speeds import ModelKey, SpeedRecord, Speeds, stored_speeds
from kdbench.text import AVERAGE

NO_SPEED = (
    "cost: needs models of different sizes, or their speeds; run kdbench speed model=… on each"
)


@dataclass(frozen=True)
class ScoredModel:
    """A model with its score, whatever it costs.

    Attributes:
        student: The model.
        score: Its score: the mean over tasks if there are several.
        teacher: Whether it is the teacher.
    """

    student: StudentRow
    score: Number
    teacher: bool = False


@dataclass(frozen=True)
class CostPoint:
    """A model with its cost and score.

    Attributes:
        student: The model.
        cost: Its cost, in the unit of the axis.
        score: Its score: the mean over tasks if there are several.
        teacher: Whether it is the teacher.
    """

    student: StudentRow
    cost: float
    score: Number
    teacher: bool = False


@dataclass(frozen=True)
class Costs:
    """The costs of a report's models.

    Attributes:
        axis: Name of the cost: `cost_per_million_tokens`, `seconds_per_thousand_tokens` or
            `parameters`.
        label: Text of the axis.
        condition: Load under which speeds were measured; empty for sizes.
        points: Models with a cost and a score.
        left_out: Models and pictures that are missing, and why.
        models: All models with a score.
    """

    axis: str
    label: str
    condition: str
    points: tuple[CostPoint, ...] = field(repr=False)
    left_out: tuple[str, ...] = ()
    models: tuple[ScoredModel, ...] = field(default=(), repr=False)


def find_costs(settings: ReportSettings, findings: Findings, selection: Selection) -> Costs:
    """Find the cost of every student, and of the teacher if its own run is among the results.

    Args:
        settings: Settings of the report; with `price=`, speeds become prices.
        findings: Numbers of the report.
        selection: Runs of the report.

    Raises:
        InputError: A speed file is damaged, or `load=` fits no speed.
    """
    return costs_of(
        settings, [*_students(findings), *_teacher(settings.results, findings, selection)]
    )


def costs_of(settings: ReportSettings, models: Sequence[ScoredModel]) -> Costs:
    """What serving costs: speeds if there are any, which `price=` turns into prices, else sizes.

    Args:
        settings: Settings of the report.
        models: The models, with their scores.

    Raises:
        InputError: As for `find_costs`.
    """
    keys = {model.student.run: _key(settings.results, model.student) for model in models}
    speeds = Speeds(stored_speeds(settings.results, keys.values()), settings.load)
    timed = [(model, speeds.of(*keys[model.student.run])) for model in models]
    if not any(speed for _, speed in timed):
        if settings.price is not None:
            raise InputError(
                f"price={settings.price:g}: no speed of these models in "
                f"results={settings.results}; run kdbench speed model=… on each"
            )
        return _sizes(models)
    points, left_out = [], []
    for model, speed in timed:
        cost = None if speed is None else _cost(speed, settings.price)
        if cost is None:
            left_out.append(f"cost: {model.student.label}: no speed at {speeds.condition}")
        else:
            points.append(CostPoint(model.student, cost, model.score, model.teacher))
    if settings.price is None:
        axis, label = "seconds_per_thousand_tokens", "seconds for 1,000 generated tokens"
    else:
        axis = "cost_per_million_tokens"
        label = f"cost of a million generated tokens at {settings.price:g} an hour"
    condition = str(speeds.condition)
    return Costs(axis, label, condition, tuple(points), tuple(left_out), tuple(models))


def _cost(speed: SpeedRecord, price: float | None) -> float | None:
    """The price of a million tokens, or else the seconds of a thousand; None if there is none."""
    if price is not None:
        return speed.cost_per_million(price)
    rate = speed.tokens_per_second.value
    return 1000 / rate if rate else None


def _sizes(models: Sequence[ScoredModel]) -> Costs:
    known = [model for model in models if model.student.parameters]
    if len({model.student.parameters for model in known}) < 2:
        return Costs("parameters", "parameters", "", (), (NO_SPEED,), tuple(models))
    points = [
        CostPoint(m.student, float(m.student.parameters or 0), m.score, m.teacher) for m in known
    ]
    return Costs("parameters", "number of parameters", "", tuple(points), models=tuple(models))


def _students(findings: Findings) -> Iterator[ScoredModel]:
    shown = AVERAGE if len(findings.tasks) > 1 else findings.tasks[0]
    for point in findings.points:
        if point.task == shown:
            yield ScoredModel(point.student, point.score)


def _teacher(results: Path, findings: Findings, selection: Selection) -> Iterator[ScoredModel]:
    """The teacher's own run, if it answered the same prompts."""
    fingerprints = {
        task: json.dumps(result.fingerprint, sort_keys=True)
        for by_task in selection.results.values()
        for task, result in by_task.items()
    }
    teachers = {
        (result.teacher or {}).get("sha256")
        for by_task in selection.results.values()
        for result in by_task.values()
    } - {None}
    for path in run_folders_in(results):
        run = open_run(path)
        record = run.read_run()
        if record.get("auxiliary") or record.get("model", {}).get("sha256") not in teachers:
            continue
        by_task = {task: run.read_task(task) for task in findings.tasks}
        metrics = [
            result.metrics.get(findings.score.name)
            for task, result in by_task.items()
            if result and json.dumps(result.fingerprint, sort_keys=True) == fingerprints[task]
        ]
        known = [None if metric is None else asdict(metric) for metric in metrics]
        mean = average(known) if len(known) == len(findings.tasks) else None
        if mean is not None and mean.value is not None:
            model = run.read_whole_run()["model"]
            folder = path.relative_to(results).as_posix()
            row = StudentRow(
                folder, "teacher", model["name"], "teacher", model.get("parameters"), False
            )
            yield ScoredModel(row, Number.of(mean), teacher=True)
            return


def _key(results: Path, student: StudentRow) -> ModelKey:
    model = open_run(results / student.run).read_run()["model"]
    return student.model, model.get("sha256")


def frontier(points: Sequence[CostPoint], sign: int) -> list[CostPoint]:
    """The models that no other one beats in both cost and score, the cheapest first.

    Args:
        points: Models with cost and score.
        sign: 1 if higher scores are better, -1 if lower ones are.
    """
    best: list[CostPoint] = []
    for point in sorted(points, key=lambda p: (p.cost, -sign * p.score.value)):
        if not best or sign * point.score.value > sign * best[-1].score.value:
            best.append(point)
    return best


def cost_rows(costs: Costs, score: str) -> list[ReportRow]:
    """The rows of cost.csv.

    Args:
        costs: Costs of the models.
        score: Name of the score.
    """
    return [_row(costs, point, score) for point in costs.points]


def _row(costs: Costs, point: CostPoint, score: str) -> Mapping[str, Any]:
    cells = student_cells("", point.student)
    del cells["task"]
    return {
        **cells,
        "teacher": point.teacher,
        "axis": costs.axis,
        "cost": point.cost,
        "load": costs.condition,
        "metric": score,
        **interval_cells("score", point.score),
    }
