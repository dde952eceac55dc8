"""Quality against cost: the points of the picture by hand, its frontier, and what it lacks."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from made_speeds import record

import kdbench
from kdbench.errors import InputError
from kdbench.reports.costs import NO_SPEED, CostPoint, frontier
from kdbench.reports.model import Number, StudentRow
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.speeds import write_speed


def metric(value: float, unit: str = "points") -> MetricResult:
    return MetricResult(value, value - 1, value + 1, None, {}, 3, unit, "higher", "1")


def put(results: Path, name: str, scores: dict[str, float], teacher: bool = True) -> None:
    """Write a run with these scores by task, compared with `big` unless it is the teacher."""
    folder = RunFolder(results / name / "run")
    parameters = 4_000_000 if name == "big" else 1_000_000
    model = {"name": name, "sha256": f"sha of {name}", "parameters": parameters}
    fields = {"method": None, "setting": None, "limit": None, "status": "complete", "tasks": {}}
    folder.write_run({**fields, "protocol": {"name": "minillm"}, "model": model})
    compared = {"name": "big", "sha256": "sha of big"} if teacher else None
    for task, score in scores.items():
        metrics = {"rougeL": metric(score)}
        if teacher:
            metrics["acceptance@student"] = metric(0.5, "rate")
        result = TaskResult({"task": task}, metrics, {"id": ["a"]}, {}, 0, "rougeL", compared)
        folder.write_task(result)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    put(folder, "big", {"dolly": 30.0, "vicuna": 20.0}, teacher=False)
    put(folder, "small", {"dolly": 20.0, "vicuna": 10.0})
    put(folder, "worse", {"dolly": 10.0, "vicuna": 10.0})
    return folder


def costs(results: Path, **keys: Any) -> tuple[list[dict[str, str]], Any]:
    out = results.parent / "report"
    report = kdbench.report(results=results, out=out, **keys)
    file = out / "figures" / "cost.csv"
    rows = list(csv.DictReader(file.read_text("utf-8").splitlines())) if file.exists() else []
    return rows, report


def numbers(rows: list[dict[str, str]]) -> dict[str, tuple[str, float, float]]:
    return {row["model"]: (row["axis"], float(row["cost"]), float(row["score"])) for row in rows}


def test_without_speeds_the_axis_is_the_size(results: Path) -> None:
    rows, _ = costs(results)
    assert numbers(rows) == {
        "small": ("parameters", 1e6, 15.0),
        "worse": ("parameters", 1e6, 10.0),
        "big": ("parameters", 4e6, 25.0),
    }
    assert [row["teacher"] for row in rows] == ["false", "false", "true"]
    low, high = float(rows[0]["score_low"]), float(rows[0]["score_high"])
    assert (low, high) == pytest.approx((15 - 2**0.5 / 2, 15 + 2**0.5 / 2), abs=1e-6)


def test_speeds_become_seconds_and_with_a_price_a_cost(results: Path) -> None:
    write_speed(results / "small" / "speed-1.json", record("small", 1000.0))
    write_speed(results / "big" / "speed-1.json", record("big", 250.0))
    rows, report = costs(results)
    seconds = "seconds_per_thousand_tokens"
    assert numbers(rows) == {"small": (seconds, 1.0, 15.0), "big": (seconds, 4.0, 25.0)}
    assert "cost: worse: no speed at 8 requests at a time" in " ".join(report.findings.left_out)
    rows, _ = costs(results, price=7.2)
    price = "cost_per_million_tokens"
    assert numbers(rows) == {"small": (price, 2.0, 15.0), "big": (price, 8.0, 25.0)}
    page = (results.parent / "report" / "index.html").read_text("utf-8")
    assert "cost of a million generated tokens at 7.2 an hour" in page
    content = json.loads((results.parent / "report" / "report.json").read_text("utf-8"))
    assert content["cost"]["cost"] == [2.0, 8.0]
    assert (results.parent / "report" / "figures" / "cost.png").read_bytes()[:4] == b"\x89PNG"


def test_models_of_one_size_have_no_picture(results: Path) -> None:
    for file in (results / "big").rglob("*.json"):
        file.unlink()
    rows, report = costs(results)
    assert rows == []
    assert NO_SPEED in report.findings.left_out
    content = json.loads((results.parent / "report" / "report.json").read_text("utf-8"))
    assert "price" not in content["settings"]


def test_a_price_needs_speeds(results: Path) -> None:
    with pytest.raises(InputError, match=r"price=2: no speed of these models in .*kdbench speed"):
        costs(results, price=2)
    assert not (results.parent / "report").exists()


def test_the_frontier_is_what_no_other_model_beats_in_both() -> None:
    def point(cost: float, score: float) -> CostPoint:
        return CostPoint(StudentRow("r", "l", "m", "m", None, False), cost, Number(score))

    points = [point(3, 9), point(1, 5), point(2, 4), point(1, 3), point(4, 9), point(5, 10)]
    best = [(p.cost, p.score.value) for p in frontier(points, 1)]
    assert best == [(1, 5), (3, 9), (5, 10)]
    assert [(p.cost, p.score.value) for p in frontier(points, -1)] == [(1, 3)]
