"""`pytest --kdbench-model=…` gates; without the options the plug-in does nothing."""

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import scipy.stats  # noqa: F401 - pytester forgets what its runs load, and numpy loads only once

from kdbench.comparing.baseline import BaselineOrigin, write_baseline
from kdbench.comparing.scores import read_run
from kdbench.comparing.tolerance import parse_tolerances
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
UPDATE = ("--kdbench-set=update=true", "--kdbench-set=reason=x")
INSTALLED = any(entry.name == "kdbench" for entry in entry_points(group="pytest11"))
PLUGIN = [] if INSTALLED else ["-p", "kdbench.comparing.pytest_plugin"]


def stored(folder: Path, name: str, changes: dict[str, float], status: str = "complete") -> Path:
    run = RunFolder(folder / "results" / name / "minillm-1")
    protocol = {"name": "minillm", "seeds": [10]}
    model = {"name": name, "sha256": None}
    record = {"method": None, "setting": None, "limit": None, "status": status, "tasks": {}}
    run.write_run({**record, "model": model, "protocol": protocol})
    for task, change in changes.items():
        means = [20 + change + number % 7 for number in range(40)]
        numbers = MetricResult(20, None, None, None, {}, 40, "points", "higher", "1")
        documents = {"id": [str(number) for number in range(40)], "rougeL": means}
        fingerprint = {"task": task, "protocol": protocol}
        run.write_task(TaskResult(fingerprint, {"rougeL": numbers}, documents, {}, 0, "rougeL"))
    return run.path


@pytest.fixture
def gate(pytester: pytest.Pytester) -> Path:
    side = read_run(stored(pytester.path, "old", {"dolly": 0, "vicuna": 0}))
    path = pytester.path / "gate.json"
    write_baseline(path, side, parse_tolerances("0.5"), BaselineOrigin("me", "now", "why"))
    pytester.makepyfile(test_other="def test_other(): pass")
    return path


def test_nothing_happens_without_the_options(pytester: pytest.Pytester, gate: Path) -> None:
    pytester.runpytest(*PLUGIN).assert_outcomes(passed=1)


def test_each_row_is_a_test(pytester: pytest.Pytester, gate: Path) -> None:
    new = stored(pytester.path, "new", {"dolly": -2, "vicuna": 0})
    options = [f"--kdbench-run={new}", f"--kdbench-baseline={gate}"]
    result = pytester.runpytest(*PLUGIN, *options, "-v")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*kdbench?dolly-rougeL?*FAILED*",
            "*kdbench?vicuna-rougeL?*PASSED*",
            "*kdbench?AVG-rougeL?*FAILED*",
            "task dolly, metric rougeL, prompts 40, base *, verdict regressed",
        ]
    )
    chosen = pytester.runpytest(*PLUGIN, *options, "-k", "vicuna")
    chosen.assert_outcomes(passed=1, deselected=3)
    alone = pytester.runpytest(*PLUGIN, *options, "--kdbench-tolerance=5", "--kdbench-strict")
    alone.assert_outcomes(passed=2, failed=2)
    wide = pytester.runpytest(*PLUGIN, *options, "--kdbench-set", "tolerance=rougeL:5")
    wide.assert_outcomes(passed=4)


def test_an_undecided_row_is_skipped(pytester: pytest.Pytester, gate: Path) -> None:
    new = stored(pytester.path, "new", {"dolly": 0, "vicuna": 0})
    content = json.loads((new / "dolly.json").read_text())
    for row in range(40):
        content["documents"]["rougeL"][row] += 5 if row % 2 else -5
    (new / "dolly.json").write_text(json.dumps(content))
    options = [f"--kdbench-run={new}", f"--kdbench-baseline={gate}", "-k", "dolly"]
    result = pytester.runpytest(*PLUGIN, *options, "-rs")
    result.assert_outcomes(skipped=1, deselected=3)
    result.stdout.fnmatch_lines(
        ["*not decided (passes): dolly rougeL sees a loss of *, allows 0.50, *"]
    )


def test_a_task_fails_with_one_of_its_categories(pytester: pytest.Pytester, gate: Path) -> None:
    new = stored(pytester.path, "new", {"dolly": 0, "vicuna": 0})
    content = json.loads((new / "dolly.json").read_text())
    content["documents"]["category"] = ["a", "b"] * 20
    for row in range(40):  # 'a' loses what 'b' gains
        content["documents"]["rougeL"][row] += 2 if row % 2 else -2
    (new / "dolly.json").write_text(json.dumps(content))
    options = [f"--kdbench-run={new}", f"--kdbench-baseline={gate}", "--kdbench-set=alpha=0.5"]
    pytester.runpytest(*PLUGIN, *options, "-k", "dolly").assert_outcomes(passed=1, deselected=3)
    split = pytester.runpytest(*PLUGIN, *options, "--kdbench-set=by=category", "-k", "dolly")
    split.assert_outcomes(failed=1, deselected=3)
    split.stdout.fnmatch_lines(["task dolly/a, metric rougeL, prompts 20, base *regressed"])


def test_wrong_options_are_a_usage_error(pytester: pytest.Pytester, gate: Path) -> None:
    for options, complaint in (
        (["--kdbench-model=m"], "baseline= is missing"),
        (
            ["--kdbench-model=m", "--kdbench-baseline=nowhere"],
            "baseline=nowhere: is not a run folder",
        ),
        (
            ["--kdbench-model=m", f"--kdbench-baseline={gate}", "--kdbench-set", "limt=3"],
            "unknown key 'limt': did you mean 'limit'?",
        ),
        (
            [f"--kdbench-baseline={gate}", "--kdbench-model=m", *UPDATE],
            "tests cannot write a baseline",
        ),
    ):
        result = pytester.runpytest(*PLUGIN, *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: *{complaint.replace('[', '?')}*"])


def test_an_incomplete_run_fails_every_row(pytester: pytest.Pytester, gate: Path) -> None:
    new = stored(pytester.path, "new", {"dolly": 0, "vicuna": 0}, status="failed")
    result = pytester.runpytest(*PLUGIN, f"--kdbench-run={new}", f"--kdbench-baseline={gate}")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        ["NO VERDICT: new: the run's status is 'failed'; rerun its command to complete it"]
    )


def test_nothing_of_kdbench_is_imported_for_it() -> None:
    code = (
        "import kdbench.comparing.pytest_plugin, sys\n"
        "print(*sorted(m for m in sys.modules if m.startswith(('kdbench', 'numpy', 'torch'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        "kdbench",
        "kdbench.comparing",
        "kdbench.comparing.pytest_plugin",
        "kdbench.errors",
        "kdbench.version",
    ]
