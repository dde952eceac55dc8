"""Which tasks are compared where none are named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_runs import Put, noisy

import kdbench
from kdbench.comparing.dry_run import plan_comparison
from kdbench.comparing.measured_tasks import measured_tasks
from kdbench.comparing.recipes import recipe_run
from kdbench.comparing.scores import read_run
from kdbench.comparing.settings import CompareSettings
from kdbench.comparing.tolerance import DEFAULT, parse_tolerances
from kdbench.config import build
from kdbench.errors import InputError

Scores = dict[str, dict[str, np.ndarray]]
SCORES: Scores = {
    "dolly": {"rougeL": noisy(30, 20)},
    "canaries": {"rougeL": noisy(30, 20)},
    "short": {"cut_off": noisy(30, 0)},
}
NOTE = "canaries, short: not compared, because neither run has rougeL by prompt"
WAY_OUT = "name other tasks with tasks=, or other metrics with tolerance="


def pooled(folder: Path, task: str = "canaries", metric: str = "rougeL") -> Path:
    """The run, without the scores by prompt of a metric."""
    file = folder / f"{task}.json"
    content = json.loads(file.read_text())
    del content["documents"][metric]
    file.write_text(json.dumps(content))
    return folder


@pytest.fixture
def results(put: Put, tmp_path: Path) -> Path:
    """Two runs of which `canaries` has one number of rougeL, and `short` none."""
    for name in ("a", "b"):
        pooled(put(name, SCORES))
    return tmp_path / "results"


def compared(results: Path, **keys: Any) -> Any:
    return kdbench.compare(base="a", new="b", results=results, **keys)


def test_a_task_on_which_no_run_has_the_metric_is_left_out_with_a_note(results: Path) -> None:
    found = compared(results)
    assert [(row.task, row.metric) for row in found.rows] == [("dolly", "rougeL")]
    assert found.notes[0] == NOTE
    settings = build(CompareSettings, {"base": "a", "new": "b", "results": results})
    sections = plan_comparison(settings)
    assert [fact.value for fact in sections[0].facts if fact.name == "left out"] == [NOTE]
    assert "dolly (complete)" in {fact.value for fact in sections[1].facts}


def test_a_named_task_is_not_left_out(results: Path) -> None:
    found = compared(results, tasks="dolly,canaries")
    assert found.exit_code == 2
    assert found.decision.sentence == (
        f"canaries: rougeL has no score per prompt, so it cannot be gated; {WAY_OUT}"
    )


def test_a_task_on_which_one_run_has_the_metric_is_not_left_out(put: Put, tmp_path: Path) -> None:
    pooled(put("a", SCORES))
    put("b", {task: SCORES[task] for task in ("dolly", "canaries")})
    found = compared(tmp_path / "results")
    assert found.exit_code == 2
    assert [problem.task for problem in found.problems] == ["canaries"]


def test_without_other_tasks_it_is_a_problem(results: Path) -> None:
    for name in ("a", "b"):
        pooled(results / name / "minillm-1", "dolly")
    found = compared(results)
    assert found.exit_code == 2
    assert {problem.task for problem in found.problems} == set(SCORES)
    assert WAY_OUT in found.decision.sentence


def test_each_metric_must_be_compared_somewhere(results: Path) -> None:
    both = [read_run(results / name / "minillm-1") for name in ("a", "b")]
    base, new, notes = measured_tasks(*both, parse_tolerances("rougeL:1,cut_off:0"))
    assert list(base.tasks) == list(new.tasks) == ["dolly", "short"]
    assert notes == ("canaries: not compared, because neither run has rougeL or cut_off by prompt",)
    for name in ("a", "b"):
        pooled(results / name / "minillm-1", "short", "cut_off")
    both = [read_run(results / name / "minillm-1") for name in ("a", "b")]
    assert measured_tasks(*both, parse_tolerances("rougeL:1,cut_off:0")) == (*both, ())


def test_a_task_of_one_training_is_not_left_out(put: Put) -> None:
    whole, less = read_run(put("a", SCORES)), read_run(pooled(put("b", SCORES)))
    recipe = recipe_run("both", [whole, less])
    assert "rougeL" not in recipe.tasks["canaries"].metrics
    base, _, notes = measured_tasks(recipe, less, DEFAULT)
    assert list(base.tasks) == ["canaries", "dolly"]
    assert notes == ("short: not compared, because neither run has rougeL by prompt",)


def test_a_gate_leaves_no_task_out(put: Put, tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = put(name, {"dolly": SCORES["dolly"], "choice": {"acc,none": noisy(30, 0.5)}})
        content = json.loads((folder / "choice.json").read_text())
        content["fingerprint"]["output_type"] = "multiple_choice"
        (folder / "choice.json").write_text(json.dumps(content))
    keys = {"results": tmp_path / "results", "gates": tmp_path / "gates"}
    every = {"run": "a", "update": True, "reason": "why", "tolerance": "rougeL:1,acc:0.1"}
    kdbench.regress(baseline="g", **every, **keys)
    message = "choice: tolerance= names no metric of this task, which has acc,none"
    for gated in (
        kdbench.compare(base="g", new="b", tolerance="rougeL:1", **keys),
        kdbench.regress(run="b", baseline="g", tolerance="rougeL:1", **keys).comparison,
        kdbench.regress(run="b", baseline="a", tolerance="rougeL:1", **keys).comparison,
    ):
        assert [problem.text for problem in gated.problems] == [message]
    assert compared(tmp_path / "results", tolerance="rougeL:1").exit_code == 0


def test_what_a_baseline_cannot_gate_is_said_with_the_way_out(results: Path) -> None:
    keys = {"run": "a", "baseline": "g", "update": True, "reason": "why", "results": results}
    message = f"rougeL of 'canaries' has no score per prompt, so it cannot be gated; {WAY_OUT}"
    with pytest.raises(InputError, match=message):
        kdbench.regress(**keys, gates=results / "gates")
    assert not (results / "gates").exists()
