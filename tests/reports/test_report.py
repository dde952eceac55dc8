"""The numbers of a report equal those computed by hand, and its files hold the same numbers.

There are two models and two tasks, dolly and vicuna, of three documents each. On dolly ROUGE-L
differs by 10, 20, 30 and acceptance by 0.1, 0.2, 0.0; on vicuna by -3, 0, -6 and 0.1, 0.0, 0.2.
Where there are final answers, there are ten pairs: RR 5, RW 1, WR 1, WWs 1, WWd 2.
"""

import csv
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import kdbench
from kdbench.config import ReportSettings
from kdbench.errors import InputError
from kdbench.reports.correlations import correlation_line, correlations
from kdbench.reports.findings import find
from kdbench.reports.model import Axis, Number, Point, StudentRow
from kdbench.stats.mean import moments
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

TEACHER = {"name": "big", "sha256": "teacher", "top_k": None}
KINDS = {
    "rougeL": ("points", "higher"),
    "acceptance@student": ("rate", "higher"),
    "fkl@teacher": ("nats", "lower"),
    "answer_accuracy": ("rate", "higher"),
    "answer_agreement": ("rate", "higher"),
    "response_length": ("tokens", "none"),
}
SFT = {
    "dolly": {"rougeL": [10, 20, 30], "acceptance@student": [0.5, 0.6, 0.7]},
    "vicuna": {"rougeL": [9, 9, 9], "acceptance@student": [0.5, 0.5, 0.5]},
}
KD = {
    "dolly": {"rougeL": [20, 40, 60], "acceptance@student": [0.6, 0.8, 0.7]},
    "vicuna": {"rougeL": [6, 9, 3], "acceptance@student": [0.6, 0.5, 0.7]},
}
CELLS = {"rr": 0.5, "rw": 0.1, "wr": 0.1, "wws": 0.1, "wwd": 0.2}
CURVE = {
    "start": [0, 1],
    "stop": [1, 2],
    "value": [0.9, 0.8],
    "ci_low": [0.85, None],
    "ci_high": [0.95, None],
    "n": [3, 1],
}


def result(name, value, **fields):
    unit, direction = KINDS.get(name, ("rate", "none"))
    known = {"ci_low": None, "ci_high": None, "seed_sd": None, "per_seed": {}, "n": 3}
    return MetricResult(
        value=value, unit=unit, direction=direction, version="1", **{**known, **fields}
    )


def write_run(results, name, tasks, method=None, teacher=TEACHER, ids=None, more=None, **run):
    """Write a run with these scores per document; metrics in `more` have none per document."""
    folder = RunFolder(results / name / "run-1")
    model = {"name": name, "sha256": f"sha of {name}", "parameters": 1000, **run.pop("model", {})}
    record = {"method": method, "setting": None, "limit": None, "status": "complete", "tasks": {}}
    folder.write_run({**record, "protocol": {"name": "minillm"}, "model": model})
    for task, columns in tasks.items():
        metrics = {
            key: result(key, float(np.mean([v for v in values if v is not None])))
            for key, values in columns.items()
        }
        metrics |= {key: result(key, value) for key, value in (more or {}).items()}
        documents = {"id": list(ids or "abc"), **columns}
        fingerprint = {"task": task, "prompts_sha256": run.get("prompts", "same")}
        curves = run.get("curves") or {}
        folder.write_task(
            TaskResult(fingerprint, metrics, documents, {}, 0, "rougeL", teacher, curves)
        )


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    write_run(folder, "sft", SFT, "SFT")
    write_run(folder, "kd", KD, "KD")
    return folder


def findings_of(results, **settings):
    return find(ReportSettings(results=results, **{"baseline": "SFT", **settings}))


def point_of(findings, model, task):
    (point,) = (p for p in findings.points if (p.student.model, p.task) == (model, task))
    return point


def test_gain_change_and_quadrant_equal_those_computed_by_hand(results):
    findings = findings_of(results)
    dolly, vicuna = (point_of(findings, "kd", task) for task in ("dolly", "vicuna"))
    assert (dolly.gain.value, dolly.change.value) == pytest.approx((20, 0.1))
    assert (vicuna.gain.value, vicuna.change.value) == pytest.approx((-3, 0.1))
    # Three prompts are too few to be certain of the gains of 20 ± 10 and of -3.
    assert (dolly.quadrant, vicuna.quadrant) == (None, None)
    average = point_of(findings, "kd", "AVG")
    assert (average.gain.value, average.change.value) == pytest.approx((8.5, 0.1))
    assert average.gain.n == 6
    assert (dolly.score.value, dolly.fidelity.value) == pytest.approx((40, 0.7))


def test_the_interval_is_over_paired_differences(results):
    gain = point_of(findings_of(results), "kd", "dolly").gain
    assert (gain.low, gain.high) == moments(np.array([10.0, 20.0, 30.0])).interval()
    assert gain.n == 3


def test_documents_are_matched_by_id_and_need_a_number_in_both_runs(results):
    shuffled = {"dolly": {"rougeL": [60, 20, 40], "acceptance@student": [None, 0.6, 0.8]}}
    write_run(results, "kd", shuffled, "KD", ids="cab")
    holed = {"dolly": {**SFT["dolly"], "rougeL": [10, None, 30]}}
    write_run(results, "sft", holed, "SFT")
    point = point_of(findings_of(results), "kd", "dolly")
    assert (point.gain.value, point.gain.n) == (pytest.approx(20), 2)
    assert (point.change.value, point.change.n) == (pytest.approx(0.15), 2)


def test_the_baseline_is_the_origin(results):
    point = point_of(findings_of(results), "sft", "dolly")
    assert (point.gain.value, point.change.value, point.quadrant) == (0, 0, None)
    assert findings_of(results, baseline="sft").baseline.label == "SFT (sft)"


def test_a_metric_where_lower_is_better_changes_sign(results):
    for name, values in (("sft", [0.5, 0.6, 0.7]), ("kd", [0.3, 0.4, 0.2])):
        write_run(
            results, name, {"dolly": {"rougeL": [1, 2, 3], "fkl@teacher": values}}, name.upper()
        )
    point = point_of(
        findings_of(results, fidelity="fkl"), "kd", "dolly"
    )  # its headline set is @teacher
    assert point.change.value == pytest.approx(0.3)
    assert point.fidelity.value == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("gain", "change", "quadrant"),
    [
        ((1, 2), (1, 2), "faithful gain"),
        ((1, 2), (-2, -1), "unfaithful gain"),
        ((-2, -1), (1, 2), "faithful loss"),
        ((-2, -1), (-2, -1), "unfaithful loss"),
        ((-1, 3), (1, 2), None),
        ((1, 2), (0, 2), None),
        ((1, 2), (None, None), None),
    ],
)
def test_a_quadrant_is_named_only_where_both_intervals_leave_zero(gain, change, quadrant):
    student = StudentRow("m/r", "m", "m", "KD", None, False)
    level = Number(1.0)
    both = [Number(1.0, *ends) for ends in (gain, change)]
    assert Point("t", student, level, level, *both).quadrant == quadrant


def test_ten_pairs_of_answers_give_the_band_and_the_shares(results):
    shares = {f"answers_{name}": value for name, value in CELLS.items()}
    more = {"answer_accuracy": 0.6, "answer_agreement": 0.6, "teacher_accuracy": 0.6, **shares}
    write_run(results, "kd", KD, "KD", more=more)
    findings = findings_of(results, tasks=("dolly",))
    (band,) = findings.band
    assert (band.low, band.high) == pytest.approx((0.2, 1.0))
    assert band.position == pytest.approx(0.5)
    assert band.independent == pytest.approx(0.36)
    (cells,) = findings.cells
    assert {name: getattr(cells, name) for name in CELLS} == CELLS
    assert cells.rr + cells.wws == pytest.approx(band.agreement.value)


def test_curves_show_the_fidelity_metric_or_else_acceptance(results):
    curves = {f"{name}@student": CURVE for name in ("acceptance", "top1")}
    write_run(
        results, "kd", KD, "KD", curves=curves, more={"top1@student": 0.5, "rougeL_teacher": 1.0}
    )
    findings = findings_of(results)
    assert findings.curve == "acceptance"
    first, second = (point for point in findings.curves if point.task == "dolly")
    assert (first.where, first.start, first.stop, first.value) == ("student", 0, 1, 0.9)
    assert (first.low, first.high, second.low, second.n) == (0.85, 0.95, None, 1)


def test_calibration_errors_are_found_in_every_set_and_kept_as_csv(results, tmp_path):
    write_run(results, "kd", KD, "KD", more={"ece@ref": 0.04, "ece_gap@ref": -0.1})
    report = kdbench.report(results=results, out=tmp_path, baseline="SFT")
    found = [
        (point.task, point.student.model, point.metric, point.error.value)
        for point in report.findings.calibration
    ]
    assert found == [("dolly", "kd", "ece@ref", 0.04), ("vicuna", "kd", "ece@ref", 0.04)]
    with (tmp_path / "figures" / "calibration.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["error"] for row in csv.DictReader(stream)] == ["0.04", "0.04"]
    write_run(results, "kd", KD, "KD")
    kdbench.report(results=results, out=tmp_path, baseline="SFT")
    assert not (tmp_path / "figures" / "calibration.csv").exists()  # it was of the earlier report


# Correlations


def points(values):
    """(run, task, fidelity, score, change, gain) as points."""
    return [
        Point(
            task,
            StudentRow(run, run, run, run, None, False),
            Number(score),
            Number(fidelity),
            Number(gain),
            Number(change),
        )
        for run, task, fidelity, score, change, gain in values
    ]


HIGHER = Axis("m", "rate", "higher")


def test_spearman_equals_the_value_computed_by_hand():
    # Ranks of fidelity 1 to 12, of score with four neighbours swapped: sum of d² is 8.
    scores = [20.0, 10.0, 40.0, 30.0, 60.0, 50.0, 80.0, 70.0, 90.0, 100.0, 110.0, 120.0]
    rows = [(f"r{i}", "t", i, score, -i, score) for i, score in enumerate(scores)]
    levels, over_level, over_change = correlations(points(rows), HIGHER, HIGHER, True)
    expected = 1 - 6 * 8 / (12 * 143)
    assert levels.rho == over_level.rho == pytest.approx(expected)
    assert over_change.rho == pytest.approx(-expected)
    assert (levels.n, levels.runs) == (12, 12)
    assert levels.low < levels.rho < levels.high <= 1
    lower = Axis("m", "nats", "lower")
    assert correlations(points(rows), HIGHER, lower, True)[0].rho == pytest.approx(-expected)


def test_correlations_of_resampled_runs_equal_scipys():
    from scipy.stats import spearmanr

    from kdbench.reports.correlations import _resampled

    rng = np.random.default_rng(3)
    runs = ["a", "a", "b", "c", "c", "d"]
    x, y = rng.integers(0, 4, 6).astype(float), rng.normal(size=6)
    values = _resampled(runs, x, y)
    times = np.random.default_rng(0).multinomial(4, np.full(4, 1 / 4), len(values))
    for row in range(40):
        drawn = np.repeat(np.arange(6), times[row][[0, 0, 1, 2, 2, 3]])
        if np.ptp(x[drawn]) == 0 or np.ptp(y[drawn]) == 0:
            assert np.isnan(values[row])
        else:
            expected = spearmanr(x[drawn], y[drawn]).statistic
            assert values[row] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(f"r{i}", "t", i, i, i, i) for i in range(11)], "fewer than 12 runs"),
        ([("r", f"t{i}", i, i, i, i) for i in range(20)], "fewer than 12 runs"),
        ([(f"r{i}", "t", 1, i, 1, i) for i in range(12)], "all values are equal"),
    ],
)
def test_a_missing_correlation_has_a_reason(rows, reason):
    first = correlations(points(rows), HIGHER, HIGHER, True)[0]
    assert (first.rho, first.low, first.reason) == (None, None, reason)
    assert reason in correlation_line(first)


def test_correlations_ignore_the_baseline_and_averages(results):
    write_run(results, "gkd", KD, "GKD")
    levels, *_ = findings_of(results).correlations
    assert (levels.n, levels.runs) == (4, 2)
    without = findings_of(results, baseline=None).correlations
    assert [correlation.of for correlation in without if correlation.task is None] == [
        "score and fidelity"
    ]
    assert without[0].n == 6


# Which runs enter


def test_the_teacher_itself_is_not_a_student(results):
    write_run(results, "big", KD, "KD", model={"sha256": "teacher"})
    findings = findings_of(results)
    assert [student.model for student in findings.students] == ["sft", "kd"]
    assert findings.teacher == "big"


def test_runs_with_different_prompts_or_teachers_are_left_out_and_named(results):
    write_run(results, "other-prompts", KD, "GKD", prompts="other")
    write_run(results, "other-teacher", KD, "GKD", teacher={"name": "x", "sha256": "x"})
    write_run(results, "alone", KD, "GKD", teacher=None)
    findings = findings_of(results)
    assert [student.model for student in findings.students] == ["sft", "kd"]
    named = [line.partition("/")[0] for line in findings.left_out if "different prompts" in line]
    assert named == ["other-prompts", "other-teacher"]


def test_two_runs_with_the_same_label_get_different_labels(results):
    folder = RunFolder(results / "kd" / "run-1")
    (results / "kd").rename(results / "copy")
    write_run(results, "kd", KD, "KD")
    labels = [student.label for student in findings_of(results).students]
    assert len(labels) == len(set(labels)) == 3
    assert folder.path.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"baseline": "SFTT"}, "baseline=SFTT: did you mean 'SFT'"),
        ({"tasks": ("doly",)}, "tasks=doly: did you mean 'dolly'"),
        (
            {"score": "rougel"},
            "score=rougel: these runs have no such metric: did you mean 'rougeL'",
        ),
        ({"fidelity": "fkl"}, "fidelity=fkl: these runs have no such metric"),
        (
            {"fidelity": "response_length"},
            "fidelity=response_length: neither higher nor lower is better",
        ),
    ],
)
def test_a_wrong_setting_gives_an_error_that_suggests_a_fix(results, settings, message):
    write_run(results, "kd", KD, "KD", more={"response_length": 3.0})
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        findings_of(results, **settings)


def test_a_score_without_numbers_names_those_that_have_some(results):
    folder = RunFolder(results / "sft" / "run-1")
    task = folder.read_task("dolly")
    none = replace(task.metrics["rougeL"], value=None, reason="the prompts have no references")
    more = {"rougeL": none, "empty": replace(task.metrics["rougeL"], value=1.0)}
    for run in results.glob("*/run-1"):
        folder = RunFolder(run)
        for name in [file.stem for file in run.glob("*.json") if file.stem != "run"]:
            stored = folder.read_task(name)
            folder.write_task(replace(stored, metrics={**stored.metrics, **more}))
    message = r"score=rougeL: no run has .*no references; choose score= among .*\bempty\b"
    with pytest.raises(InputError, match=message):
        findings_of(results)


def test_a_baseline_that_names_two_runs_is_refused(results):
    write_run(results, "sft-2", SFT, "SFT")
    with pytest.raises(InputError, match=r"baseline=SFT: 2 runs have this name: sft/run-1, sft-2/"):
        findings_of(results)
    for name in ("sft-2", "sft-2/run-1", f"{results}/sft-2/run-1"):
        assert findings_of(results, baseline=name).baseline.model == "sft-2"


def test_no_run_compared_with_a_teacher_is_an_error(tmp_path):
    with pytest.raises(InputError, match="none: no such folder"):
        findings_of(tmp_path / "none")
    with pytest.raises(InputError, match="no run was compared with a teacher; run kdbench eval"):
        findings_of(tmp_path)
    write_run(tmp_path, "kd", KD, teacher=None)
    with pytest.raises(InputError, match="no run was compared with a teacher"):
        findings_of(tmp_path)
    write_run(tmp_path, "big", KD, model={"sha256": "teacher"})
    with pytest.raises(InputError, match="only the teacher itself was compared"):
        findings_of(tmp_path)


# Files


@pytest.fixture
def rich(results):
    """A run whose name is markup, with curves and final answers."""
    shares = {f"answers_{name}": value for name, value in CELLS.items()}
    more = {"answer_accuracy": 0.6, "answer_agreement": 0.6, "teacher_accuracy": 0.6, **shares}
    exposure = {"stop": [1, 2], "value": [0.0, 5.0], "n": [3, 1]}
    curves = {"acceptance@ref": CURVE, "acceptance@student": CURVE, "exposure_error": exposure}
    write_run(results, "_<b>&$x$", KD, '"><script>alert(1)</script>', more=more, curves=curves)
    return results


PICTURES = ("gain", "band", "cells", "by_token", "exposure")


def test_equal_results_give_equal_bytes(rich, tmp_path):
    for out in ("first", "second"):
        kdbench.report(results=rich, out=tmp_path / out, baseline="SFT")
    made = tmp_path / "first"
    files = [file.relative_to(made) for file in made.rglob("*") if file.is_file()]
    endings = ("png", "svg", "csv")
    figures = {file.name for file in files if file.parent.name == "figures"}
    assert figures == {f"{p}.{e}" for p in PICTURES for e in endings}
    for file in files:
        assert (made / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file


def test_the_letters_of_an_svg_are_text_that_can_be_searched(rich, tmp_path):
    kdbench.report(results=rich, out=tmp_path, baseline="SFT")
    for name in PICTURES:
        tree = ElementTree.parse(tmp_path / "figures" / f"{name}.svg")
        texts = [element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")]
        assert "Dolly" in texts
        assert not [use for use in tree.iter() if "DejaVu" in use.get("id", "")]  # no glyphs


def test_all_students_share_a_panel_of_curves_for_each_task_and_text(results, tmp_path):
    curves = {"acceptance@ref": CURVE, "acceptance@student": CURVE}
    for name, scores in (("sft", SFT), ("kd", KD)):
        write_run(results, name, scores, name.upper(), curves=curves)
    kdbench.report(results=results, out=tmp_path, baseline="SFT")
    svg = (tmp_path / "figures" / "by_token.svg").read_text("utf-8")
    assert len(re.findall(r'<g id="axes_\d+">', svg)) == 2 * 2  # tasks and texts
    assert svg.count(">KD (kd)<") == svg.count(">SFT (sft)<") == 1


def test_the_csv_and_the_json_hold_every_number(rich, tmp_path):
    report = kdbench.report(results=rich, out=tmp_path / "out", baseline="SFT")
    assert all(path.exists() for path in report.files)
    with (tmp_path / "out" / "figures" / "gain.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    frame = report.to_pandas()
    assert frame.gain.tolist() == [float(row["gain"]) for row in rows]
    assert frame.columns.tolist() == list(rows[0])
    with pytest.raises(InputError, match="name=gian: did you mean 'gain'"):
        report.to_pandas("gian")
    (row,) = (row for row in rows if (row["model"], row["task"]) == ("kd", "dolly"))
    low, high = moments(np.array([10.0, 20.0, 30.0])).interval()
    ends = (float(row["gain_low"]), float(row["gain_high"]))
    assert (float(row["gain"]), *ends) == pytest.approx((20, low, high))
    assert (float(row["change"]), row["quadrant"]) == (0.1, "")
    content = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert content["gain"]["gain"] == [float(row["gain"]) for row in rows]
    assert content["settings"]["baseline"] == "SFT"
    of_all = content["correlations"]["gain and change of fidelity, all tasks"]
    assert (of_all["n"], of_all["runs"]) == (4, 2)


def test_without_a_baseline_the_report_lists_the_gain_as_left_out(rich, tmp_path):
    out = tmp_path / "out"
    kdbench.report(results=rich, out=out, baseline="SFT")
    report = kdbench.report(results=rich, out=out)
    assert not (out / "figures" / "gain.png").exists()  # the earlier report's picture is deleted
    assert "gain: needs baseline=, the student that learned without a teacher" in (
        report.findings.left_out
    )
    assert "gain: needs baseline=" in (out / "index.html").read_text("utf-8")
    content = json.loads((out / "report.json").read_text("utf-8"))
    assert set(content["gain"]["gain"]) == {None}


def test_pictures_without_numbers_are_left_out(results, tmp_path):
    report = kdbench.report(results=results, out=tmp_path / "out", baseline="SFT", level=True)
    names = {path.name for path in report.files if path.parent.name == "figures"}
    assert names == {"gain.png", "gain.svg", "gain.csv"}
    said_so = " ".join(report.findings.left_out)
    assert all(f"{name}: no" in said_so for name in ("band", "cells", "by_token", "exposure"))


def test_the_command_prints_its_files_and_correlations(results, tmp_path):
    from typer.testing import CliRunner

    from kdbench.cli.verbs import app

    out = tmp_path / "out"
    arguments = [f"results={results}", f"out={out}", "baseline=SFT"]
    done = CliRunner().invoke(app, ["report", *arguments])
    assert done.exit_code == 0
    assert f"{out}/figures/gain.png\n" in done.output
    assert (
        "Spearman correlation of score and fidelity, all tasks: no correlation (2 points, 1 run; "
        in done.output
    )
    done = CliRunner().invoke(app, ["report", f"results={tmp_path / 'none'}"])
    assert done.exit_code == 2
