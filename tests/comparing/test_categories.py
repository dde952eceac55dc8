"""Rows for each category: the task's own prompts, corrected together, and they can fail a gate."""

import json
from pathlib import Path

import numpy as np
import pytest
from gate_runs import Put, noisy

from kdbench.comparing.comparison import compare_runs
from kdbench.comparing.model import Comparison, RowTestMethod
from kdbench.comparing.outputs.junit import junit
from kdbench.comparing.outputs.numbers import numbers
from kdbench.comparing.outputs.terminal import terminal
from kdbench.comparing.scores import read_run
from kdbench.comparing.tolerance import parse_tolerances
from kdbench.comparing.verdict import Rules
from kdbench.errors import InputError
from kdbench.stats.paired import holm

N = 120
NAMES = ["a", "b", None]


def with_categories(run: Path, task: str = "mine") -> Path:
    path = run / f"{task}.json"
    content = json.loads(path.read_text())
    count = len(content["documents"]["id"])
    content["documents"]["category"] = [NAMES[index % 3] for index in range(count)]
    path.write_text(json.dumps(content))
    return run


def compared(base: Path, new: Path, by: str | None = "category") -> Comparison:
    tolerances = parse_tolerances("rougeL:0.5")
    return compare_runs(
        read_run(base), read_run(new), tolerances, Rules(), RowTestMethod(resamples=2000, by=by)
    )


def test_a_loss_in_one_category_fails_the_gate(put: Put) -> None:
    scores = noisy(N, 30, 1)
    lost = scores + noisy(N, 0.0, 2, 0.1)
    lost[::3] -= 1.2  # 'a' loses what 'b' gains: the task as a whole does not move
    lost[1::3] += 1.2
    base = put("old", {"mine": {"rougeL": scores}})
    new = put("new", {"mine": {"rougeL": lost}})
    with pytest.raises(InputError, match="by=category: new has no categories of mine"):
        compared(base, new)
    with_categories(new)  # a gate's baseline stores none
    assert compared(base, new, by=None).exit_code == 0
    comparison = compared(base, new)
    verdicts = {row.name: row.verdict for row in comparison.rows}
    assert verdicts["mine/a"] == "regressed"
    assert verdicts["mine/b"] == "improved"
    assert {verdicts["mine"], verdicts["mine/(none)"]} == {"unchanged"}
    assert comparison.exit_code == 1
    by_name = {row.name: row for row in comparison.rows}
    of_a = by_name["mine/a"]
    assert (of_a.n, of_a.task, of_a.category) == (N / 3, "mine", "a")
    assert of_a.base == pytest.approx(scores[::3].mean(), abs=1e-5)
    assert of_a.change == pytest.approx((lost - scores)[::3].mean(), abs=1e-5)
    assert {prompt.id for prompt in of_a.worst} <= {f"mine-{row}" for row in range(0, N, 3)}
    adjusted = holm([row.p for row in comparison.rows])
    assert [row.p_adjusted for row in comparison.rows] == pytest.approx(adjusted)
    assert "mine/a:rougeL" in numbers(comparison)["rows"]
    assert 'name="mine/a rougeL"' in junit(comparison)
    assert terminal(comparison).count("mine-0:") <= 1  # in two rows, shown once


def test_only_tasks_with_categories_are_split_and_the_average_is_over_tasks(put: Put) -> None:
    scores = {"mine": {"rougeL": noisy(12, 30, 1)}, "dolly": {"rougeL": noisy(12, 20, 2)}}
    base, new = put("old", scores), with_categories(put("new", scores))
    rows = {row.name: row for row in compared(base, new).rows}
    assert list(rows) == ["dolly", "mine", "AVG", "mine/(none)", "mine/a", "mine/b"]
    means = [np.mean(of_task["rougeL"]) for of_task in scores.values()]
    assert rows["AVG"].base == pytest.approx(np.mean(means), abs=1e-5)
