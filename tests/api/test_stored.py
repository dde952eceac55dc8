"""Frames hold what the files hold."""

import json

import numpy as np
import pandas as pd
import pytest

import kdbench


@pytest.fixture(scope="module")
def files(evaluated):
    """The JSON of each task, read without kdbench."""
    return {
        task: json.loads((evaluated.run / f"{task}.json").read_text("utf-8"))
        for task in ("dolly", "vicuna")
    }


@pytest.fixture(scope="module")
def results(evaluated):
    return kdbench.results(evaluated.run.parents[1])


@pytest.fixture(scope="module")
def student(results, evaluated):
    """The frames of the student, without its teacher's rows, by what a row is."""
    name = f"student/{evaluated.run.name}"
    frames = {per: results.to_pandas(per) for per in ("seed", "run", "document")}
    return {per: frame[frame.run == name] for per, frame in frames.items()}


def test_a_row_for_each_seed_has_the_stored_number(student, files):
    rows = {(r.task, r.metric, r.seed): r for r in student["seed"].itertuples()}
    expected = 0
    for task, content in files.items():
        for name, metric in content["metrics"].items():
            by_seed = metric["per_seed"] or {None: metric["value"]}
            for seed, value in by_seed.items():
                row = rows[task, name, pd.NA if seed is None else int(seed)]
                assert row.value == value
                assert (row.n, row.unit) == (metric["n"], metric["unit"])
                assert row.main == (name == content["main_metric"])
                expected += 1
    assert len(rows) == len(student["seed"]) == expected


def test_a_row_for_each_run_has_the_stored_mean_and_interval(student, files):
    names = ("value", "ci_low", "ci_high", "seed_sd", "ceiling", "floor", "micro")
    for row in student["run"].itertuples():
        metric = files[row.task]["metrics"][row.metric]
        for name in names:
            stored = metric.get(name)
            assert pd.isna(getattr(row, name)) if stored is None else getattr(row, name) == stored
        assert row.version == metric["version"]
    assert len(student["run"]) == sum(len(content["metrics"]) for content in files.values())


def test_a_row_for_each_document_has_the_stored_score(student, files):
    frame = student["document"]
    for task, content in files.items():
        for name in ("rougeL", "lm_loss", "acceptance@student"):
            rows = frame[(frame.task == task) & (frame.metric == name)]
            assert rows["id"].tolist() == content["documents"]["id"]
            assert rows["value"].tolist() == content["documents"][name]


def test_means_over_groups_equal_the_stored_means(student):
    stored = student["run"].set_index(["task", "metric"]).value
    complete = [
        (task, metric) for task in ("dolly", "vicuna") for metric in ("rougeL", "distinct_2")
    ]
    seeds = student["seed"].groupby(["task", "metric"]).value.mean()
    np.testing.assert_allclose(seeds[complete], stored[complete], atol=1e-5)
    documents = student["document"].groupby(["task", "metric"]).value.mean()
    pairs = [(task, "rougeL") for task in ("dolly", "vicuna")]
    np.testing.assert_allclose(documents[pairs], stored[pairs], atol=1e-5)


def test_types_do_not_depend_on_what_is_missing(results, evaluated):
    frame = results.to_pandas()
    kinds = {"seed": "Int64", "value": "float64", "limit": "Int64", "method": "string"}
    kinds |= {"day": "datetime64[s]", "main": "boolean", "parameters": "Int64", "reason": "string"}
    assert {name: str(frame[name].dtype) for name in kinds} == kinds
    empty = frame.iloc[:0]
    assert dict(empty.dtypes) == dict(evaluated.to_pandas().dtypes)
    assert frame.bound.isna().all()
    assert set(frame.teacher.dropna()) == {"teacher"}


def test_an_evaluation_has_the_frame_of_its_run(evaluated, student):
    pd.testing.assert_frame_equal(
        evaluated.to_pandas(), student["seed"].reset_index(drop=True), check_dtype=True
    )


def test_samples_are_those_of_the_file_and_their_means_the_results(evaluated, files):
    frame = kdbench.samples(evaluated)
    assert len(frame) == 2 * 6 * 2
    lines = (evaluated.run / "samples" / "dolly.jsonl").read_text("utf-8").splitlines()
    dolly = frame[frame.task == "dolly"]
    for row, line in zip(dolly.to_dict("records"), map(json.loads, lines), strict=True):
        assert (row["id"], row["seed"]) == (line["id"], line["seed"])
        assert (row["output"], row["finish"]) == (line["output"], line["finish"])
        assert row["n_tokens"] == line["n_tokens"]
        assert {name: row[name] for name in line["scores"]} == line["scores"]
    asked = (evaluated.run / "samples" / "dolly.prompts.jsonl").read_text("utf-8").splitlines()
    asked = {line["id"]: line for line in map(json.loads, asked)}
    for row in dolly.to_dict("records"):
        assert row["prompt"] == asked[row["id"]]["prompt"]
        assert row["references"] == asked[row["id"]]["references"]
    means = frame.groupby("task").rougeL.mean()
    for task, content in files.items():
        assert means[task] == pytest.approx(content["metrics"]["rougeL"]["value"], abs=1e-5)


def test_samples_of_several_runs_stand_together(evaluated, results):
    folder = evaluated.run.parents[1]
    both = kdbench.samples(results, task="vicuna")
    assert set(both.model) == {"student", "teacher"}
    assert set(both.task) == {"vicuna"}
    pd.testing.assert_frame_equal(both, kdbench.samples(folder, task=["vicuna"]))
    pd.testing.assert_frame_equal(both, kdbench.samples(task="vicuna", results=folder))
    one = kdbench.samples(["student", evaluated], task="vicuna", results=folder)
    assert len(one) == 12


def test_an_extra_run_of_a_teacher_is_left_out_unless_it_is_named(evaluated, tmp_path):
    content = json.loads((evaluated.run / "run.json").read_text("utf-8"))
    line = '{"id": "a", "seed": 1, "output": "x", "scores": {}}\n'
    for name, extra in (("one", {}), ("two", {"auxiliary": True})):
        run = tmp_path / "results" / "student" / name
        (run / "samples").mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({**content, **extra}))
        (run / "samples" / "dolly.jsonl").write_text(line)
    frame = kdbench.samples("student", results=tmp_path / "results")
    assert frame.run.tolist() == ["student/one"]
    assert kdbench.samples(run).run.tolist() == ["student/two"]


def test_answers_leave_out_the_thinking(evaluated, tmp_path):
    run = tmp_path / "results" / "student" / "run"
    (run / "samples").mkdir(parents=True)
    (run / "run.json").write_bytes((evaluated.run / "run.json").read_bytes())
    line = {"id": "a", "seed": 1, "output": "<think>x</think>7", "answer_start": 16}
    line |= {"scores": {"rougeL": None, "seed": 3.5}, "finish": None, "n_tokens": None}
    (run / "samples" / "dolly.jsonl").write_text(json.dumps(line) + "\n")
    (row,) = kdbench.samples(run, task="dolly").to_dict("records")
    assert (row["output"], row["answer"]) == ("<think>x</think>7", "7")
    assert np.isnan(row["rougeL"])
    assert (row["seed"], row["seed score"]) == (1, 3.5)
    assert pd.isna(row["prompt"])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda run: kdbench.results(run / "none"), "results=.*none: no such folder"),
        (lambda run: kdbench.results(run.parents[1]).to_pandas(per="sed"), "did you mean 'seed'"),
        (lambda run: kdbench.samples([]), "run=: names no run"),
        (lambda run: kdbench.samples(run, task="../samples/dolly"), "have no such task"),
        (lambda run: kdbench.samples(run, task="doly"), "task=doly: .* did you mean 'dolly'"),
        (
            lambda run: kdbench.samples("studnt", results=run.parents[1]),
            "run=studnt: is not a run folder.* did you mean 'student'",
        ),
    ],
)
def test_what_does_not_exist_is_one_line_with_the_nearest(evaluated, call, error):
    with pytest.raises(kdbench.InputError, match=error) as caught:
        call(evaluated.run)
    assert "\n" not in str(caught.value)


def test_results_without_samples_say_so(evaluated, tmp_path):
    run = tmp_path / "results" / "student" / "run"
    run.mkdir(parents=True)
    for name in ("run.json", "dolly.json"):
        (run / name).write_bytes((evaluated.run / name).read_bytes())
    with pytest.raises(kdbench.InputError, match=r"no samples are stored in .*kdbench eval stores"):
        kdbench.samples(run)


def test_a_broken_line_of_samples_is_named(evaluated, tmp_path):
    run = tmp_path / "results" / "student" / "run"
    (run / "samples").mkdir(parents=True)
    (run / "run.json").write_bytes((evaluated.run / "run.json").read_bytes())
    line = '{"id": "a", "seed": 1, "output": "x", "scores": {"rougeL": "high"}}\n'
    (run / "samples" / "dolly.jsonl").write_text(line)
    with pytest.raises(kdbench.InputError, match=r"dolly\.jsonl:1: 'scores' must be numbers"):
        kdbench.samples(run)


def test_texts_for_people_are_short_and_html_is_escaped(evaluated, results):
    assert len(repr(evaluated)) < 300
    assert repr(evaluated).startswith("Evaluation(")
    assert "dolly: rougeL" in repr(evaluated)
    assert repr(results).endswith("2 runs, 2 tasks)")
    for shown in (evaluated, results):
        html = shown._repr_html_()
        assert html.startswith('<div class="kdbench"><style>')
        assert "rougeL" in html or "student" in html
        assert "<details>" not in html or len(html) < 40_000
