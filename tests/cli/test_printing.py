"""What the verbs print after measuring: one line per task, numbers under their titles."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.cli.shown.evaluation import print_evaluation
from kdbench.measuring.measurement import Evaluation
from kdbench.store.folder import RunFolder
from kdbench.store.results import read_task
from kdbench.task import NO_REFERENCES
from kdbench.toy.models import World

STORED = Path(__file__).parents[2] / "results" / "smollm2-135m-h100"


def printed(student: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    (path,) = (STORED / student).glob("minillm*")
    run = RunFolder(path)
    results = {"dolly": run.read_task("dolly"), "vicuna": run.read_task("vicuna")}
    print_evaluation(Evaluation(path, {k: v for k, v in results.items() if v}, 3))
    return capsys.readouterr().out.splitlines()


def test_a_run_is_printed_with_its_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("GKD", capsys)
    assert [line.split()[0] for line in lines[:3]] == ["task", "dolly", "vicuna"]
    assert lines[0].split()[1:3] == ["prompts", "rougeL"]
    assert len({line.index(" ± ") for line in lines[1:3]}) == 1
    assert lines[3].startswith("compared with Teacher  acceptance@student  top1@student")
    assert lines[6] == "in brackets: share of the gap from undistilled student to ceiling"
    assert lines[7].startswith("3 samples generated; results in ")


def test_tasks_with_and_without_references_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = read_task(next((STORED / "Teacher").glob("minillm*")) / "dolly.json")
    none: dict[str, Any] = {"value": None, "ci_low": None, "n": 0, "reason": NO_REFERENCES}
    without = replace(
        task,
        metrics={
            name: replace(metric, **none) if name in ("rougeL", "exact_match") else metric
            for name, metric in task.metrics.items()
        },
        main_metric="cut_off",
    )
    some = replace(task, metrics={**task.metrics, "rougeL": replace(task.metrics["rougeL"], n=7)})
    print_evaluation(Evaluation(tmp_path, {"mine": without, "dolly": some}, 0))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[2:5] == ["cut_off", "/", "rougeL"]
    assert [line.split()[2] for line in lines[1:3]] == ["cut_off", "rougeL"]
    assert lines[3] == "mine: the prompts have no references, so nothing is compared with them"
    assert lines[4] == "dolly: rougeL counts 7 of 50 prompts"
    third = replace(task, main_metric="lm_loss")
    print_evaluation(Evaluation(tmp_path, {"a": without, "b": some, "c": third}, 0))
    assert capsys.readouterr().out.split()[2:4] == ["main", "metric"]  # three names are too wide
    print_evaluation(Evaluation(tmp_path, {"mine": without}, 0))
    assert "exact_match" not in capsys.readouterr().out


def test_a_run_without_a_teacher_has_no_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("Teacher", capsys)
    assert len(lines) == 4
    assert lines[3].startswith("3 samples generated")


def test_tasks_with_options_have_documents_not_samples(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {"model": str(world.student), "results": tmp_path, "device": "cpu", "limit": 2}
    print_evaluation(kdbench.evaluate(tasks="skills_kinds", **keys))
    assert "\n2 documents scored; results in " in capsys.readouterr().out


def test_the_metrics_asked_for_are_the_ones_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(next((STORED / "GKD").glob("minillm*")))
    result = run.read_task("dolly")
    assert result is not None

    def heads(*asked: str) -> list[list[str]]:
        print_evaluation(Evaluation(run.path, {"dolly": result}, 0), asked)
        lines = capsys.readouterr().out.splitlines()
        return [line.split() for line in lines if line.startswith(("task", "compared"))]

    usual = heads()
    assert usual[0][2] == "rougeL"
    assert "response_length" in usual[0]
    assert heads("headline") == usual
    quality, fidelity = heads("empty", "top1", "acceptance@student")
    assert quality[2:] == ["rougeL", "[95", "%", "interval]", "±", "seeds", "empty"]
    measured = sorted(name for name in result.metrics if name.startswith("top1@"))
    assert sorted(fidelity[3:-1]) == measured
    assert fidelity[-1] == "acceptance@student"
    everything = {name for head in heads("all") for name in head}
    assert set(result.metrics) <= everything


def test_a_narrow_terminal_gets_no_line_that_is_too_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    lines = printed("GKD", capsys)
    assert max(len(line) for line in lines if "results in" not in line) <= 70
    assert any(line.startswith("no room for 95 % intervals and deviations") for line in lines)


def test_one_sample_is_not_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = read_task(next((STORED / "Teacher").glob("minillm*")) / "dolly.json")
    print_evaluation(Evaluation(tmp_path, {"dolly": replace(task, cut_prompts=1)}, 1))
    out = capsys.readouterr().out
    assert "\n1 sample generated; results in " in out
    assert "dolly: 1 prompt was cut at" in out


def test_names_from_files_move_no_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = read_task(next((STORED / "Teacher").glob("minillm*")) / "dolly.json")
    evil = "a\x1b[2Jb,none"
    own = replace(task, metrics={**task.metrics, evil: task.metrics["rougeL"]}, main_metric=evil)
    print_evaluation(Evaluation(tmp_path, {"t\u202ex": own}, 0))
    out = capsys.readouterr().out
    assert "a[2Jb,none" in out
    assert all(char.isprintable() or char == "\n" for char in out)
