"""A report of tasks with final answers: its metrics, who is right, and McNemar's test of it."""

import numpy as np
import pytest
from scipy.stats import binomtest

import kdbench
from kdbench.config import ReportSettings
from kdbench.reports.findings import find
from kdbench.reports.rows import cell_rows
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

NAMES = ("rr", "rw", "wr", "wws", "wwd")
# One letter a document: both right, only the teacher, only the student, both wrong.
SFT, KD = "rrrrttttttttstbb", "rrrrrrrrrrttssbb"


def metric(value, direction="none", n=16):
    known = {"ci_low": None, "ci_high": None, "seed_sd": None, "per_seed": {}, "n": n}
    return MetricResult(value=value, unit="rate", direction=direction, version="1", **known)


def columns_of(cells):
    at = np.array(list(cells))
    answers = {"rr": at == "r", "rw": at == "t", "wr": at == "s", "wws": at == "b"}
    answers["wwd"] = at == "x"
    columns = {f"answers_{name}": answers[name] for name in NAMES}
    columns["answer_accuracy"] = answers["rr"] | answers["wr"]
    columns["teacher_accuracy"] = answers["rr"] | answers["rw"]
    columns["answer_agreement"] = answers["rr"] | answers["wws"]
    return {name: [float(value) for value in column] for name, column in columns.items()}


def write_run(results, name, tasks):
    folder = RunFolder(results / name / "run-1")
    model = {"name": name, "sha256": f"sha of {name}", "parameters": 1000}
    record = {"setting": None, "limit": None, "status": "complete", "tasks": {}}
    folder.write_run(
        {**record, "method": name.upper(), "protocol": {"name": "greedy"}, "model": model}
    )
    for task, columns in tasks.items():
        better = {"answer_accuracy": "higher", "answer_agreement": "higher", "rougeL": "higher"}
        metrics = {
            key: metric(float(np.mean(values)), better.get(key, "none"))
            for key, values in columns.items()
        }
        documents = {"id": [str(row) for row in range(16)], **columns}
        kind = {} if "rougeL" in columns else {"output_type": "multiple_choice"}
        folder.write_task(
            TaskResult(
                {"task": task, **kind}, metrics, documents, {}, 0, next(iter(columns)), TEACHER
            )
        )


TEACHER = {"name": "big", "sha256": "teacher", "top_k": None}


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    texts = {"rougeL": [5.0] * 16}
    for name, cells in (("sft", SFT), ("kd", KD)):
        columns = columns_of(cells)
        write_run(folder, name, {"choice": columns, "short": {**columns, **texts}})
    return folder


def test_tasks_of_options_are_drawn_by_accuracy_and_agreement(results, tmp_path):
    settings = ReportSettings(results=results, baseline="SFT", out=tmp_path / "out", level=True)
    findings = find(settings)
    assert (findings.score.name, findings.fidelity.name) == ("answer_accuracy", "answer_agreement")
    assert findings.tasks == ("choice", "short")
    point = next(p for p in findings.points if p.task == "choice" and p.student.model == "kd")
    assert point.gain.value == pytest.approx((12 - 5) / 16)
    assert point.fidelity.value == pytest.approx(12 / 16)
    assert point.quadrant == "faithful gain"
    report = kdbench.report(results=results, baseline="SFT", out=tmp_path / "out", level=True)
    names = {path.name for path in report.files}
    assert {"gain.svg", "band.svg", "cells.svg"} <= names
    assert "answer_accuracy" in (tmp_path / "out" / "index.html").read_text()
    assert "McNemar" in (tmp_path / "out" / "figures" / "cells.svg").read_text()


def test_a_report_of_texts_alone_keeps_its_metrics(results):
    with pytest.raises(kdbench.InputError, match="fidelity=acceptance@student"):
        find(ReportSettings(results=results, baseline="SFT", tasks=("short",)))


def test_a_given_metric_is_taken(results):
    settings = ReportSettings(
        results=results, baseline="SFT", score="rougeL", fidelity="answer_agreement"
    )
    findings = find(settings)
    assert findings.score.name == "rougeL"
    (advice,) = [line for line in findings.left_out if line.startswith("choice: for final")]
    assert "score=answer_accuracy fidelity=answer_agreement" in advice


def test_each_bar_has_mcnemars_p_value(results):
    findings = find(ReportSettings(results=results, baseline="SFT"))
    rows = {row["model"]: row for row in cell_rows(findings) if row["task"] == "choice"}
    for name, cells in (("sft", SFT), ("kd", KD)):
        gained, lost = cells.count("s"), cells.count("t")
        expected = binomtest(gained, gained + lost).pvalue
        assert rows[name]["p"] == pytest.approx(expected)
        assert rows[name]["n"] == 16
        assert sum(rows[name][cell] for cell in NAMES) == pytest.approx(1)
    assert rows["sft"]["p"] < 0.05 < rows["kd"]["p"]
