"""lm-eval's files, made by lm-eval itself, are read; kdbench's exports are read by lm-eval."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import kdbench
from kdbench.cli.verbs import app
from kdbench.errors import InputError
from kdbench.exchange.lm_eval.read import import_run
from kdbench.exchange.lm_eval.write import export_run
from kdbench.exchange.settings import ExportSettings, ImportSettings
from kdbench.stats.estimates import estimate
from kdbench.store.runs import stored_runs

TASK = {
    "dataset_path": "json",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "metadata": {"version": 2.0},
}
TEXTS = {
    **TASK,
    "task": "words",
    "output_type": "generate_until",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4, "do_sample": False},
    "metric_list": [
        {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True},
        {"metric": "bleu", "aggregation": "bleu", "higher_is_better": True},
    ],
    "filter_list": [
        {"name": "raw", "filter": [{"function": "take_first"}]},
        {
            "name": "letter",
            "filter": [
                {"function": "regex", "regex_pattern": r"\s*(\w)"},
                {"function": "take_first"},
            ],
        },
    ],
}
OPTIONS = {
    **TASK,
    "task": "options",
    "output_type": "multiple_choice",
    "doc_to_choice": ["red", "blue"],
    "doc_to_target": "{{right}}",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}


@pytest.fixture(scope="module")
def written(world, tmp_path_factory) -> Path:
    """What `lm_eval --output_path --log_samples` writes for the toy student."""
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    folder = tmp_path_factory.mktemp("lm_eval")
    rows = [{"question": f"Item {n}", "answer": "abcdefgh"[n], "right": n % 2} for n in range(8)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}}
    for task in (TEXTS, OPTIONS):
        (folder / f"{task['task']}.yaml").write_text(yaml.safe_dump({**task, **data}))
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(os.environ, "GIT_CEILING_DIRECTORIES", str(folder))
        results = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(world.student), "dtype": "float32"},
            tasks=["words", "options"],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            device="cpu",
            batch_size=4,
            bootstrap_iters=20,
            evaluation_tracker=tracker,
        )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, lines in samples.items():
        tracker.save_results_samples(task_name=task, samples=lines)
    return folder / "out"


@pytest.fixture
def file(written: Path) -> Path:
    (found,) = written.rglob("results_*.json")
    return found


def lines_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def lm_eval_lines(file: Path, task: str) -> list[dict]:
    (samples,) = file.parent.glob(f"samples_{task}_*.jsonl")
    return lines_of(samples)


def test_results_and_samples_of_lm_eval_become_a_run(written, file, tmp_path):
    imported = import_run(ImportSettings(file=written, results=tmp_path / "r", method="Mine"))
    (run,) = stored_runs(tmp_path / "r")
    own = json.loads(file.read_text())["results"]
    assert set(run.results) == {"words", "options"}
    for task, row in own.items():
        numbers = {key: value for key, value in row.items() if "," in key and "_stderr" not in key}
        metrics = run.results[task].metrics
        assert {name: metric.value for name, metric in metrics.items()} == pytest.approx(numbers)
    accuracy = run.results["options"].metrics["acc,none"]
    scores = [line["acc"] for line in lm_eval_lines(file, "options")]
    assert run.results["options"].documents["acc,none"] == scores
    assert (accuracy.n, accuracy.direction) == (8, "higher")
    assert accuracy.ci_low < np.mean(scores) < accuracy.ci_high
    ends = estimate({0: scores}, "rate")  # scores of 0 and 1 have a scale
    assert (accuracy.ci_low, accuracy.ci_high) == pytest.approx(
        (ends.ci_low, ends.ci_high), abs=1e-6
    )
    lines = [line for line in lm_eval_lines(file, "words") if line["filter"] == "raw"]
    folder = imported.run / "samples"
    stored = lines_of(folder / "words.jsonl")
    assert [line["output"] for line in stored] == [line["resps"][0][0] for line in lines]
    prompts = [
        json.loads(line) for line in (folder / "words.prompts.jsonl").read_text().splitlines()
    ]
    assert prompts[3]["prompt"] == "Item 3"
    assert prompts[3]["references"] == ["d"]
    assert not (folder / "options.jsonl").exists()
    assert run.record["imported"]["from"].startswith("lm-eval 0.4")


def test_an_import_is_marked_in_the_table_and_compares_with_imports_only(
    written, made, tmp_path, monkeypatch
):
    import_run(ImportSettings(file=written, results=made.results, name="theirs"))
    import_run(ImportSettings(file=written, results=made.results, name="again"))
    table = str(kdbench.table(results=made.results, tasks=["options"], metric="acc"))
    assert "protocol lm_eval" in table
    assert "theirs: measured by lm-eval 0.4" in table
    assert "The measured rows come from lm-eval 0.4" in table
    done = kdbench.compare(
        base="theirs", new="again", results=made.results, tolerance="acc:0.1", tasks=["options"]
    )
    assert done.problems == ()
    # The same task under the same name, measured by kdbench.
    for task in ("words", "options"):
        for run in made.results.glob("theirs/*"):
            content = json.loads((run / f"{task}.json").read_text())
            content["fingerprint"].pop("harness")
            (run / f"{task}.json").write_text(json.dumps(content))
    done = kdbench.compare(
        base="theirs", new="again", results=made.results, tolerance="acc:0.1", tasks=["options"]
    )
    assert "harness differs" in done.problems[0].text


def test_a_second_import_changes_nothing_and_other_numbers_are_refused(written, file, tmp_path):
    imported = import_run(ImportSettings(file=file, results=tmp_path / "r"))
    before = {path: path.read_bytes() for path in imported.run.rglob("*") if path.is_file()}
    import_run(ImportSettings(file=file, results=tmp_path / "r"))
    assert {path: path.read_bytes() for path in before} == before
    content = json.loads(file.read_text())
    content["results"]["options"]["acc,none"] += 0.1
    changed = tmp_path / "results_2026-01-01.json"
    changed.write_text(json.dumps(content))
    with pytest.raises(InputError, match="holds other numbers for 'options'; pass name="):
        import_run(ImportSettings(file=changed, results=tmp_path / "r"))


def test_lm_eval_s_table_code_reads_an_export(made):
    from lm_eval.utils import (
        get_file_task_name,
        get_latest_filename,
        get_results_filenames,
        get_sample_results_filenames,
        make_table,
    )

    files = [str(path) for path in export_run(ExportSettings(run="mine", out=Path("out")))]
    latest = get_latest_filename(get_results_filenames(files))
    samples = get_sample_results_filenames(files)
    assert [get_file_task_name(Path(name).name) for name in samples] == ["dolly", "vicuna"]
    content = json.loads(Path(latest).read_text())
    lines = make_table(content).splitlines()
    for task in ("dolly", "vicuna"):
        stored = json.loads((made.run / f"{task}.json").read_text())
        metric = stored["metrics"]["rougeL"]
        start = next(n for n, line in enumerate(lines) if line.startswith(f"|{task}"))
        row = next(line for line in lines[start:] if "|rougeL " in line)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert float(cells[-3]) == pytest.approx(metric["value"], abs=5e-5)
        column = stored["documents"]["rougeL"]
        error = np.std(column, ddof=1) / np.sqrt(len(column))
        assert float(cells[-1]) == pytest.approx(error, abs=5e-5)
        assert "↑" in cells


def test_an_export_has_the_fields_of_lm_eval_s_own_files(made, file):
    own = json.loads(file.read_text())
    results, *samples = export_run(ExportSettings(run="mine", out=Path("out")))
    exported = json.loads(results.read_text())
    kinds = {key: type(own[key]) for key in exported if key in own and own[key] is not None}
    for key in ("results", "configs", "versions", "n-shot", "n-samples", "higher_is_better"):
        assert key in kinds
    assert {key: type(exported[key]) for key in kinds if exported[key] is not None} == {
        key: kind for key, kind in kinds.items() if exported[key] is not None
    }
    line = json.loads(samples[0].read_text().splitlines()[0])
    theirs = lm_eval_lines(file, "words")[0]
    scores = {"exact_match", "bleu", "rougeL", "acceptance@student"}
    assert set(theirs) - scores == set(line) - scores
    fixed = set(theirs) - scores - {"target"}
    assert {key: type(line[key]) for key in fixed} == {key: type(theirs[key]) for key in fixed}
    first = json.loads((made.run / "samples/dolly.jsonl").read_text().splitlines()[0])
    assert line["resps"][0][0] == first["output"]
    assert len(line["resps"][0]) == 2


def test_an_exported_run_comes_back_with_its_numbers_and_texts(made):
    files = export_run(ExportSettings(run="mine", out=Path("out")))
    again = export_run(ExportSettings(run="mine", out=Path("again")))
    assert [a.read_bytes() for a in files] == [b.read_bytes() for b in again]
    imported = import_run(ImportSettings(file=files[0], results=Path("back")))
    assert imported.harness.startswith("kdbench ")
    for task in ("dolly", "vicuna"):
        old = json.loads((made.run / f"{task}.json").read_text())
        new = json.loads((imported.run / f"{task}.json").read_text())
        for name, metric in old["metrics"].items():
            again = new["metrics"][f"{name},none"]
            for key in ("value", "n", "direction"):
                assert again[key] == pytest.approx(metric[key], abs=1e-5)
            # lm-eval's files have no unit, so the intervals know of no scale.
            scores = [score for score in old["documents"].get(name, ()) if score is not None]
            if scores:
                expected = estimate({0: scores}, "task's own")
                ends = (expected.ci_low, expected.ci_high)
                assert (again["ci_low"], again["ci_high"]) == pytest.approx(ends, abs=1e-5)
        lines = {}
        for name, folder in (("old", made.run), ("new", imported.run)):
            read = [
                json.loads(line)
                for line in (folder / f"samples/{task}.jsonl").read_text().splitlines()
            ]
            lines[name] = {(line["seed"], line["output"]) for line in read}
        assert lines["old"] == lines["new"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: [], "not results of lm-eval: the file: must be a mapping"),
        (lambda content: {}, "not results of lm-eval: 'results' is missing"),
        (lambda content: {"results": {"t": 1}}, "results: must be a mapping of tasks to metrics"),
        (lambda content: {"results": {"../t": {"a,b": 1}}}, "'../t' cannot name a task"),
        (lambda content: {"results": {"t": {"alias": "t"}}}, "'t' has no metric"),
        (lambda content: {**content, "config": 3}, "config: must be a mapping"),
        (lambda content: {**content, "groups": 1}, "groups: must be a mapping"),
        (lambda content: {**content, "n-samples": [1]}, "n-samples: must be a mapping"),
        (
            lambda content: {**content, "model_name": "/x/.."},
            r"the model's name '\.\.' .*; give name=",
        ),
    ],
)
def test_files_of_another_form_are_one_line(change, reason, file, tmp_path):
    changed = tmp_path / "results_x.json"
    changed.write_text(json.dumps(change(json.loads(file.read_text()))))
    done = CliRunner().invoke(app, ["import", str(changed), f"results={tmp_path / 'r'}"])
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert re.search(reason, line)
    assert not (tmp_path / "r").exists()


def test_an_integer_beyond_any_float_is_no_number(file, tmp_path):
    content = json.loads(file.read_text())
    first = next(iter(content["results"]))
    content |= {"results": {first: {"acc,none": 10**400, "f1,none": 0.5}}, "n-samples": {}}
    changed = tmp_path / "results_x.json"
    changed.write_text(json.dumps(content))
    done = CliRunner().invoke(app, ["import", str(changed), f"results={tmp_path / 'r'}"])
    assert done.exit_code == 0, done.output
    assert f"{first}: acc,none no number" in done.stdout


def test_samples_of_another_evaluation_are_refused(file, tmp_path):
    (tmp_path / file.name).write_bytes(file.read_bytes())
    name = file.name.replace("results_", "samples_options_").replace(".json", ".jsonl")
    lines = (file.parent / name).read_text().splitlines()
    keys = {"file": tmp_path / file.name, "results": tmp_path / "r"}
    for content, reason in (
        ("\n".join(lines[:3]), "has 3 documents, and .* says 8: it belongs to another"),
        ("\n".join([*lines, lines[0]]), ":9: document 0 has two samples"),
        ('{"doc_id": "x"}', ":1: not a sample of lm-eval: doc_id: must be a whole number"),
        ("{", ":1: "),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=reason):
            import_run(ImportSettings(**keys))
        assert not (tmp_path / "r").exists()
    (tmp_path / name).unlink()  # without samples, the interval is that of lm-eval's own error
    import_run(ImportSettings(**keys))
    (run,) = stored_runs(tmp_path / "r")
    metric = run.results["options"].metrics["acc,none"]
    error = json.loads(file.read_text())["results"]["options"]["acc_stderr,none"]
    assert metric.ci_high - metric.value == pytest.approx(1.96 * error, abs=1e-4)
