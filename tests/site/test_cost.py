"""The costs of the page Cost equal those computed by hand, and what is missing is named."""

import json

import pytest

from kdbench.config import ReportSettings
from kdbench.site.cost import cost_data, cost_page
from kdbench.site.prices import find_cost_views
from kdbench.site.source import read_source
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

TEACHER = {"name": "big", "sha256": "teacher", "top_k": None}
TRAINING = {  # 2, 4 and 10 seconds a sample
    "sft": {"method": "sft", "samples": 10, "seconds": 20.0, "student_tokens": 0},
    "kd": {"method": "kd", "samples": 10, "seconds": 40.0, "student_tokens": 0},
    "gkd": {"method": "gkd", "samples": 10, "seconds": 100.0, "student_tokens": 500},
}
SCORES = {"sft": 20.0, "kd": 18.0, "gkd": 30.0}


def write_run(results, name, score, training=None, teacher=TEACHER, parameters=1000):
    folder = RunFolder(results / name / "run-1")
    model = {"name": name, "sha256": name, "parameters": parameters, "disk_bytes": None}
    record = {"method": name.upper(), "setting": None, "limit": None, "status": "complete"}
    record |= {"tasks": {}, "protocol": {"name": "minillm"}, "model": model}
    if training:
        record["training"] = {"teacher_tokens": 0, **training}
    folder.write_run(record)

    def metric(value, unit, direction):
        return MetricResult(value, value - 1, value + 1, None, {}, 3, unit, direction, "1")

    metrics = {"rougeL": metric(score, "points", "higher")}
    if teacher:
        metrics["acceptance@student"] = metric(0.5, "rate", "higher")
    fingerprint = {"task": "dolly", "prompts_sha256": "same"}
    folder.write_task(TaskResult(fingerprint, metrics, {"id": ["a"]}, {}, 0, "rougeL", teacher, {}))


@pytest.fixture
def results(tmp_path):
    for name, score in SCORES.items():
        write_run(tmp_path / "results", name, score, TRAINING[name])
    return tmp_path / "results"


def views_of(results, **settings):
    return find_cost_views(read_source(ReportSettings(results=results, **settings)))


def test_costs_of_training_are_relative_to_sft_and_have_a_frontier(results):
    costs = views_of(results, baseline="SFT")
    by_name = {view.name: view for view in costs.views}
    relative = by_name["relative_cost"]
    assert {p.student.model: p.cost for p in relative.points} == {"sft": 1, "kd": 2, "gkd": 5}
    assert relative.best == ("sft/run-1", "gkd/run-1")  # kd costs more than sft and scores less
    seconds = {p.student.model: p.cost for p in by_name["seconds"].points}
    assert seconds == {"sft": 20, "kd": 40, "gkd": 100}
    # All models have one size, and the teacher generated nothing: no axis.
    assert set(by_name) == {"relative_cost", "seconds_per_sample", "seconds", "student_tokens"}


def test_what_is_missing_names_its_command(tmp_path):
    write_run(tmp_path, "a", 1.0)
    write_run(tmp_path, "b", 2.0)
    source = read_source(ReportSettings(results=tmp_path))
    costs = find_cost_views(source)
    assert costs.views == ()
    page = cost_page(source)
    assert "kdbench speed model=" in page.html
    assert "kdbench train" in page.html
    assert not page.scripts


def test_speeds_are_the_first_view_and_a_price_makes_them_money(results):
    from made_speeds import record

    from kdbench.store.speeds import write_speed

    for name, rate in (("sft", 1000.0), ("gkd", 500.0)):
        made = record(name, rate)
        model = made.model.model_copy(update={"sha256": name})
        write_speed(results / name / "speed-1.json", made.model_copy(update={"model": model}))
    costs = views_of(results, baseline="SFT")
    assert {p.student.model: p.cost for p in costs.views[0].points} == {"sft": 1, "gkd": 2}
    assert "price=" in costs.missing[0]
    priced = views_of(results, baseline="SFT", price=3.6)  # 0.001 a second
    assert {p.student.model: p.cost for p in priced.views[0].points} == {"sft": 1, "gkd": 2}
    assert (priced.views[0].name, priced.missing) == ("cost_per_million_tokens", ())


def test_runs_without_a_teacher_have_costs_too(tmp_path):
    for name, size in (("small", 100), ("large", 300)):
        write_run(tmp_path, name, size / 10, teacher=None, parameters=size)
    costs = views_of(tmp_path)
    assert costs.score.name == "rougeL"
    (view,) = costs.views
    assert (view.name, view.kind) == ("parameters", "size")
    assert [(p.cost, p.score.value) for p in sorted(view.points, key=lambda p: p.cost)] == [
        (100, 10),
        (300, 30),
    ]


def test_runs_of_different_prompts_share_no_plot(tmp_path):
    write_run(tmp_path, "small", 10.0, teacher=None, parameters=100)
    write_run(tmp_path, "large", 30.0, teacher=None, parameters=300)
    file = tmp_path / "large" / "run-1" / "dolly.json"
    file.write_text(file.read_text("utf-8").replace('"same"', '"other"'), "utf-8")
    assert views_of(tmp_path).views == ()


def test_the_data_of_the_plot_are_json_and_point_to_their_models(results):
    data = json.loads(json.dumps(cost_data(views_of(results, baseline="SFT"), "Dolly")))
    labels = [model["label"] for model in data["models"]]
    (relative,) = (view for view in data["views"] if view["name"] == "relative_cost")
    assert {labels[i]: cost for i, cost in relative["points"]} == {
        "SFT (sft)": 1.0,
        "KD (kd)": 2.0,
        "GKD (gkd)": 5.0,
    }
    assert [labels[i] for i in relative["frontier"]] == ["SFT (sft)", "GKD (gkd)"]
