"""An analysis in a file of its own, from the command line to its answer."""

import json
from pathlib import Path

import pytest
from made_conclusions import conclusion

from kdbench.analyses import analyses
from kdbench.analyses.core import bench as bench_module
from kdbench.analyses.core.bench import AnalysisBench, StoppedAnalysis
from kdbench.analyses.core.run import analyse
from kdbench.cli.app import EXIT_FAILED, guarded
from kdbench.cli.verbs import helps  # noqa: F401 - registers the verbs
from kdbench.config import build
from kdbench.config.analysing import AnalysisKeys
from kdbench.config.fill import parse_with_changes
from kdbench.errors import InputError
from kdbench.filling.filled import Filled
from kdbench.registry.plugins import load_plugins
from kdbench.store.conclusions import read_conclusion

SMALL = Path(__file__).parents[1] / "small_analysis.py"


@pytest.fixture(autouse=True)
def _own_analyses(monkeypatch):
    analyses.names()
    monkeypatch.setattr(analyses, "_parts", dict(analyses._parts))


@pytest.fixture
def small(world, tmp_path):
    """The keys of the small analysis on the toy world."""
    load_plugins([SMALL])
    own = [f"teacher={world.teacher}", f"student={world.student}", f"data={world.data}"]
    places = [f"out={tmp_path / 'runs'}", f"results={tmp_path / 'results'}", "device=cpu"]
    return [*own, *places, "train_seeds=1", f"plugins={SMALL}"]


def keys(words):
    return parse_with_changes(analyses.get("teacher_helps"), words)


def test_an_analysis_runs_once_and_then_only_answers(small, tmp_path, monkeypatch):
    words = [*small, "train.steps=2", "evaluate.limit=2"]
    plan = analyse(keys([*words, "--dry-run"]))
    assert plan.conclusion is None
    assert "missing   train second" in plan.notes
    assert not (tmp_path / "results").exists()

    done = analyse(keys(words))
    folder = tmp_path / "results"
    assert [file.name for file in done.files] == [
        "teacher_helps.json",
        "teacher_helps.md",
        "teacher_helps.svg",
        "teacher_helps-dark.svg",
    ]
    stored = read_conclusion(folder / "teacher_helps.json")
    assert stored == done.conclusion
    assert stored.settings["train.steps"] == "2"
    assert stored.settings["models"] == "teacher → student"
    assert str(tmp_path) not in (folder / "teacher_helps.json").read_text()
    assert stored.panels[0].curves[0].x == (1, 2)
    assert "as far from" in stored.sentences[0]  # one seed has no interval

    before = {file: file.read_bytes() for file in done.files}
    with monkeypatch.context() as patch:  # no node may run now
        patch.setattr("kdbench.filling.executors.local.LocalExecutor.submit", None)
        again = analyse(keys(words))
    assert again.conclusion == done.conclusion
    assert {file: file.read_bytes() for file in done.files} == before
    assert "everything is done" in analyse(keys([*words, "--dry-run"])).notes


def failing(spec, settings, file):
    return Filled("failed: train SFT: killed (log: x)\n", {"train SFT": "killed"})


def test_a_failed_node_is_named_and_nothing_is_concluded(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_module, "fill_spec", failing)
    from kdbench.cli.analyses import _analyse

    assert guarded(_analyse, ["teacher_helps", *small]) == EXIT_FAILED
    assert "failed: train SFT: killed" in capsys.readouterr().out
    assert not (tmp_path / "results" / "teacher_helps.json").exists()


def made_bench(tmp_path, **values):
    made = build(AnalysisKeys, {"out": tmp_path / "o", "results": tmp_path / "r", **values})
    return AnalysisBench(made, "example", "toy", needs_teacher=True)


def test_models_of_ones_own_are_needed_together(tmp_path):
    with pytest.raises(InputError, match="student= is missing: with models of your own give"):
        _ = made_bench(tmp_path, teacher="t").world
    with pytest.raises(InputError, match="teacher= is missing"):
        _ = made_bench(tmp_path, student="s").world
    missing = tmp_path / "missing"
    with pytest.raises(InputError, match=r"data=.*: no such folder"):
        _ = made_bench(tmp_path, student="s", teacher="t", data=missing).world


def test_a_dry_run_makes_no_world_and_no_file(tmp_path):
    bench = made_bench(tmp_path, dry_run=True, world=tmp_path / "w")
    with pytest.raises(StoppedAnalysis, match="world in"):
        _ = bench.world
    with pytest.raises(StoppedAnalysis, match="missing"):
        bench.keep("rows.jsonl", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_kept_and_written_only_if_it_differs(tmp_path):
    bench = made_bench(tmp_path)
    file = bench.keep("rows.jsonl", "x")
    first = file.stat().st_mtime_ns
    assert bench.keep("rows.jsonl", "x").stat().st_mtime_ns == first
    assert bench.keep("rows.jsonl", "y").read_text() == "y"


def test_keys_of_the_command_line_change_the_table(tmp_path, world, monkeypatch):
    seen = {}

    def fill(spec, settings, file):
        seen["spec"], seen["settings"] = spec, settings
        return failing(spec, settings, file)

    monkeypatch.setattr(bench_module, "fill_spec", fill)
    own = {"teacher": str(world.teacher), "student": str(world.student), "data": world.data}
    changes = {"train.learning_rate": "0.5", "evaluate.seeds": "[1, 2]"}
    bench = made_bench(tmp_path, **own, steps=7, limit=3, train_seeds="10-12", changes=changes)
    with pytest.raises(StoppedAnalysis):
        bench.fill({"rows": [{"train": {"method": "sft"}}], "train": {"steps": 1}}, "second")
    assert seen["spec"].train == {"steps": 7, "learning_rate": 0.5}
    assert seen["spec"].evaluate["limit"] == 3
    assert seen["spec"].evaluate["seeds"] == [1, 2]
    assert seen["spec"].train_seeds == (10, 11, 12)
    assert seen["settings"].results == tmp_path / "r" / "example" / "second"
    with pytest.raises(InputError, match="analysis example: unknown key 'row'"):
        bench.fill({"row": []})


def test_train_seeds_are_a_number_or_a_list():
    def seeds(value):
        return build(AnalysisKeys, {"train_seeds": value}).train_seeds

    assert seeds("3") == 3
    assert seeds("3,4") == (3, 4)
    assert seeds("3-5") == (3, 4, 5)
    with pytest.raises(InputError, match="train_seeds=0"):
        seeds("0")


def test_the_list_and_errors_of_the_command_line(capsys):
    from kdbench.cli.analyses import _analyse, _analyses

    assert guarded(_analyse, []) == 0
    listed = capsys.readouterr().out
    assert "teacher_hacking  Does a student" in listed
    assert guarded(_analyses, []) == 0
    assert capsys.readouterr().out == listed
    assert guarded(_analyse, ["teacher_hakcing"]) == 2
    assert "unknown analysis 'teacher_hakcing': did you mean" in capsys.readouterr().err
    assert guarded(_analyse, ["steps=3"]) == 2
    assert "name an analysis first: " in capsys.readouterr().err
    assert guarded(_analyses, ["teacher_hacking"]) == 0
    assert "teacher_prompts=" in capsys.readouterr().out


def test_the_json_of_an_answer_is_that_of_its_file(tmp_path):
    from kdbench.analyses.core.run import Analysed
    from kdbench.cli.analyses import analysis_answer

    document = analysis_answer(Analysed(conclusion(), (tmp_path / "example.json",))).document()
    assert json.loads(json.dumps(document["conclusion"])) == conclusion().as_json()
