"""Rows not significantly different from the best are bold with it."""

import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from kdbench.config import TableSettings
from kdbench.stats.paired import average_flips, sign_flips
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult
from kdbench.tables import Table, build_table
from kdbench.tables.ties import _p_values

TASKS = ("dolly", "vicuna")


def put(
    results: Path,
    name: str,
    scores: dict[str, np.ndarray],
    ids: bool = True,
    metric: str = "rougeL",
    direction: str = "higher",
) -> None:
    folder = RunFolder(results / name / "run-1")
    record = {"method": None, "setting": None, "limit": None, "status": "complete", "tasks": {}}
    folder.write_run({**record, "model": {"name": name}, "protocol": {"name": "minillm"}})
    for task, values in scores.items():
        n = len(values)
        mean = float(np.nanmean(values))
        number = MetricResult(mean, mean - 1, mean + 1, None, {}, n, "points", direction, "1")
        documents = {
            "id": [f"{task}-{row if ids else row + 1}" for row in range(n)],
            metric: [None if np.isnan(value) else float(value) for value in values],
        }
        fingerprint = {"task": task, "prompts_sha256": "same", "protocol": {}}
        folder.write_task(TaskResult(fingerprint, {metric: number}, documents, {}, 0, metric))


def draw(results: Path, **settings: object) -> Table:
    return build_table(TableSettings(results=results, published="none", tasks=TASKS, **settings))


def bold(table: Table) -> dict[str, list[bool]]:
    rows = [row for group in table.groups for row in group.rows]
    return {row.label: [bool(cell and cell.best) for cell in row.cells] for row in rows}


def students(results: Path, n: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    prompts = rng.normal(30, 18, n)
    base = {task: prompts + rng.normal(0, 2, n) for task in TASKS}
    put(results, "best", base)
    noise = rng.normal(0, 2, n)
    near = noise - noise.mean() - 0.1
    put(results, "near", {task: scores + near for task, scores in base.items()})
    put(results, "far", {task: scores - 3 + rng.normal(0, 2, n) for task, scores in base.items()})
    return base


def test_rows_close_to_the_best_are_bold_too(tmp_path: Path) -> None:
    students(tmp_path)
    table = draw(tmp_path)
    assert bold(table) == {"best": [True] * 3, "near": [True] * 3, "far": [False] * 3}
    assert table.render("md").count("**") == 2 * (6 + 1)  # the group has a title
    assert table.render("html").count("<b>") == 6
    assert table.render("tex").count(r"\textbf{") >= 6
    assert "any measured one not significantly different from it" in table.render("terminal")


def test_unpaired_rows_are_not_bold(tmp_path: Path) -> None:
    base = students(tmp_path)
    near = np.tile([1.0, -1.1], 100)  # with the best row's prompts it would be bold
    put(tmp_path, "apart", {task: scores + near for task, scores in base.items()}, ids=False)
    marks = bold(draw(tmp_path))
    assert marks["best"] == [True] * 3
    assert marks["apart"] == [False] * 3
    assert marks["near"] == [True] * 3


def test_lower_can_be_better(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    loss = rng.normal(3, 0.5, 100)
    for name, more in (("low", 0.0), ("same", 0.001), ("high", 1.0)):
        noise = rng.normal(0, 0.05, 100)
        scores = dict.fromkeys(TASKS, loss + more + noise)
        put(tmp_path, name, scores, metric="lm_loss", direction="lower")
    marks = bold(draw(tmp_path, metric="lm_loss"))
    assert marks["high"] == [False] * 3
    assert any(marks["low"])
    assert any(marks["same"])


def test_a_single_row_has_no_best_and_no_note(tmp_path: Path) -> None:
    put(tmp_path, "only", {task: np.arange(30.0) for task in TASKS})
    table = draw(tmp_path)
    assert bold(table) == {"only": [False] * 3}
    assert "significantly" not in table.render("md")


def test_the_average_needs_all_tasks(tmp_path: Path) -> None:
    base = students(tmp_path)
    put(tmp_path, "half", {"dolly": base["dolly"][::-1] - 0.1})  # the rows differ on every prompt
    assert bold(draw(tmp_path))["half"] == [True, False, False]


@pytest.mark.parametrize("n", [12, 60, 400])
def test_the_normal_limit_is_close_to_the_sign_flips(n: int) -> None:
    rng = np.random.default_rng(n)
    gaps = rng.normal(0.15, 1, (20, n))
    gaps[:, 0] = np.nan
    p_values = _p_values({"t": gaps})
    for row, p in zip(gaps, p_values, strict=True):
        known = row[1:]
        near = 1e-9 if n <= 20 else 0.02
        assert p == pytest.approx(sign_flips(known).p(), abs=near)
        assert p == pytest.approx(stats.ttest_1samp(known, 0).pvalue, abs=0.08)


def test_equal_rows_are_not_distinguished() -> None:
    assert _p_values({"t": np.zeros((1, 50))}) == [1.0]
    assert _p_values({"t": np.zeros((1, 5))}) == [1.0]


def test_thousands_of_small_tests_are_exact_and_fast() -> None:
    gaps = np.random.default_rng(0).normal(0.2, 1, (5000, 20))
    gaps[:, 3] = 0.0
    start = time.process_time()
    found = _p_values({"t": gaps})
    assert time.process_time() - start < 20  # all flips of each row would take minutes
    for row in (0, 1, 4999):
        assert found[row] == pytest.approx(sign_flips(gaps[row]).p(), abs=1e-12)


def test_exact_tests_of_several_tasks_with_holes() -> None:
    rng = np.random.default_rng(0)
    gaps = {"a": rng.integers(-1, 3, (4, 30)).astype(float), "b": rng.normal(0.3, 1, (4, 8))}
    gaps["a"][:, 9:] = np.nan
    for row, p in enumerate(_p_values(gaps)):
        known = {task: gap[row][~np.isnan(gap[row])] for task, gap in gaps.items()}
        flips = {task: sign_flips(gap) for task, gap in known.items()}
        assert p == pytest.approx(average_flips(known, flips).p(), abs=1e-12)
