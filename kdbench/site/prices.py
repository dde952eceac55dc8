"""What each model of a site costs, to serve and to train, next to its score."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from kdbench.reports.costs import CostPoint, Costs, ScoredModel, costs_of, frontier
from kdbench.reports.model import Axis, Number, StudentRow
from kdbench.site.source import SiteSource
from kdbench.stats.estimates import average
from kdbench.store.runs import StoredRun
from kdbench.tables.cost import COSTS, cost_column

_TRAINING = {
    "relative_cost": "training time per sample, relative to SFT",
    "seconds_per_sample": "training time per sample in seconds",
    "seconds": "training time in seconds",
    "student_tokens": "tokens that the student generated in training",
    "teacher_tokens": "tokens that the teacher generated for training",
}
_SIZES = {"disk_bytes": "bytes on disk", "parameters": "number of parameters"}
_NO_SPEED = "Speed and price of serving: run kdbench speed model=path/to/model on each model."
_NO_PRICE = (
    "Price of serving: pass price=, the price of the machine for an hour, to kdbench report."
)
_NO_TRAINING = (
    "Cost of training: kdbench train records it in the run card. For a checkpoint of another tool, "
    "put a kdbench.yaml next to its weights, or pass card=, before kdbench eval."
)


@dataclass(frozen=True)
class CostView:
    """A cost of the models, as the axis of a plot and the column of a table.

    Attributes:
        name: Name of the cost.
        label: Text of the axis.
        kind: `serving`, `training` or `size`.
        points: The models whose cost is known.
        best: Folders of the runs that no other model beats in both cost and score.
        condition: Under what the cost was measured; empty if there is nothing to say.
    """

    name: str
    label: str
    kind: str
    points: tuple[CostPoint, ...] = field(repr=False)
    best: tuple[str, ...]
    condition: str = ""


@dataclass(frozen=True)
class CostViews:
    """The costs of a site.

    Attributes:
        score: The score; None without models that compare.
        models: Models with their scores.
        views: Their costs, without those that are equal for all or known of one model only.
        missing: Commands that would add costs, one a line.
    """

    score: Axis | None
    models: tuple[ScoredModel, ...] = ()
    views: tuple[CostView, ...] = ()
    missing: tuple[str, ...] = ()


def find_cost_views(source: SiteSource) -> CostViews:
    """Find the costs of all models whose scores compare.

    Raises:
        InputError: A speed file is damaged.
    """
    if source.figures is not None:
        score, costs = source.figures.findings.score, source.figures.costs
    else:
        scored = _scored(source)
        if scored is None:
            return CostViews(None, missing=(_NO_SPEED, _NO_TRAINING))
        score, models = scored
        costs = costs_of(source.settings, models)
    views = [
        CostView(name, label, kind, points, _best(points, score.sign), condition)
        for name, label, kind, points, condition in _all(source, costs)
        if len({point.cost for point in points}) > 1
    ]
    kinds = {view.kind for view in views}
    missing = {"parameters": [_NO_SPEED], "seconds_per_thousand_tokens": [_NO_PRICE]}.get(
        costs.axis, []
    )
    missing = [*missing, *([] if "training" in kinds else [_NO_TRAINING])]
    return CostViews(score, costs.models, tuple(views), tuple(missing))


def _best(points: Sequence[CostPoint], sign: int) -> tuple[str, ...]:
    return tuple(point.student.run for point in frontier(points, sign))


_Listed = tuple[str, str, str, tuple[CostPoint, ...], str]


def _all(source: SiteSource, costs: Costs) -> Iterator[_Listed]:
    """Every cost, known or not: speeds first, then training (of students), then sizes."""
    if costs.axis != "parameters":
        yield costs.axis, costs.label, "serving", costs.points, costs.condition
    models = {model.student.run: model for model in costs.models}
    runs = {folder: run for folder in models if (run := source.run(folder)) is not None}
    students = {folder: run for folder, run in runs.items() if not models[folder].teacher}
    for name, label in _TRAINING.items():
        yield name, label, "training", _points(models, _training(source, name, students)), ""
    for name, label in _SIZES.items():
        sizes = {folder: run.record["model"].get(name) for folder, run in runs.items()}
        yield name, label, "size", _points(models, sizes), ""


def _training(
    source: SiteSource, name: str, runs: Mapping[str, StoredRun]
) -> Mapping[str, float | None]:
    """A cost of training, by folder of the run."""
    if name not in COSTS:
        cards = {folder: run.record.get("training") or {} for folder, run in runs.items()}
        return {
            folder: card.get(name) if card.get("samples") else None
            for folder, card in cards.items()
        }
    column = cost_column(name, source.runs)
    cells = {folder: column.cell(run) for folder, run in runs.items()}
    return {folder: None if cell is None else cell.value for folder, cell in cells.items()}


def _points(
    models: Mapping[str, ScoredModel], costs: Mapping[str, float | None]
) -> tuple[CostPoint, ...]:
    return tuple(
        CostPoint(models[folder].student, float(cost), models[folder].score, models[folder].teacher)
        for folder, cost in costs.items()
        if cost is not None
    )


def _scored(source: SiteSource) -> tuple[Axis, list[ScoredModel]] | None:
    """The score and the largest group of runs that answered the same prompts; None without any."""
    groups: dict[str, list[StoredRun]] = defaultdict(list)
    for run in source.runs:
        shown = {task: run.results[task] for task in source.tasks if task in run.results}
        if shown:
            same = {task: [r.fingerprint, r.main_metric] for task, r in shown.items()}
            groups[json.dumps(same, sort_keys=True)].append(run)
    if not groups:
        return None
    runs = max(groups.values(), key=len)
    results = [runs[0].results[task] for task in source.tasks if task in runs[0].results]
    mains = {result.main_metric for result in results}
    name = mains.pop() if len(mains) == 1 else source.settings.score
    known = [result.metrics.get(name) for result in results]
    if not known or any(metric is None or metric.direction == "none" for metric in known):
        return None
    first = known[0]
    assert first is not None  # noqa: S101 - checked in the line above
    models = [model for run in runs if (model := _model(source, run, name)) is not None]
    return Axis(name, first.unit, first.direction), models


def _model(source: SiteSource, run: StoredRun, metric: str) -> ScoredModel | None:
    found = [run.results[task].metrics.get(metric) for task in source.tasks if task in run.results]
    mean = average([None if one is None else asdict(one) for one in found])
    if mean is None or mean.value is None:
        return None
    label = source.labels[run.folder]
    method = run.method or run.model
    row = StudentRow(run.folder, label, run.model, method, run.parameters, run is source.baseline)
    score = Number(mean.value, mean.ci_low, mean.ci_high, mean.n)
    return ScoredModel(row, score, teacher=run in source.teachers)
