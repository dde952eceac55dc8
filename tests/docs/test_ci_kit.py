"""The CI kit: the action's steps run, the hooks work, and the image has what it needs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gate_runs import PROTOCOL

from kdbench.comparing.baseline import BaselineOrigin, write_baseline
from kdbench.comparing.scores import read_run
from kdbench.comparing.settings import RegressSettings
from kdbench.comparing.tolerance import parse_tolerances
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = ACTION["runs"]["steps"]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))


def stored(folder: Path, name: str, change: float) -> Path:
    run = RunFolder(folder / "results" / name / "minillm-1")
    record = {"method": None, "setting": None, "limit": None, "status": "complete", "tasks": {}}
    run.write_run({**record, "model": {"name": name, "sha256": None}, "protocol": PROTOCOL})
    means = [20 + change + number % 7 for number in range(40)]
    numbers = MetricResult(20, None, None, None, {}, 40, "points", "higher", "1")
    documents = {"id": [str(number) for number in range(40)], "rougeL": means}
    fingerprint = {"task": "dolly", "protocol": PROTOCOL}
    run.write_task(TaskResult(fingerprint, {"rougeL": numbers}, documents, {}, 0, "rougeL"))
    return run.path


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A clean folder with a baseline, runs and, in place of the install, this kdbench."""
    old = read_run(stored(tmp_path, "old", 0))
    path = tmp_path / "baselines" / "gates" / "main.json"
    write_baseline(path, old, parse_tolerances("0.5"), BaselineOrigin("me", "now", "why"))
    stored(tmp_path, "same", 0)
    stored(tmp_path, "worse", -2)
    command = tmp_path / "temp" / "kdbench" / "bin" / "kdbench"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kdbench "$@"\n')
    command.chmod(0o755)
    return tmp_path


def value(text: str, inputs: dict[str, str], more: dict[str, str]) -> str:
    """What GitHub makes of the expressions in a text."""
    known = {f"inputs.{name}": given for name, given in inputs.items()} | more
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: known[match[1]], text)


def run_step(job: Path, name: str, given: dict[str, str]) -> tuple[int, dict[str, str], str]:
    """The exit code, the outputs and the summary of a step with inputs."""
    (step,) = (step for step in STEPS if step.get("id") == name)
    defaults = {key: str(of_key.get("default", "")) for key, of_key in ACTION["inputs"].items()}
    places = {"github.action_path": str(ROOT)}
    output, summary = job / "output", job / "summary"
    for file in (output, summary):
        file.write_text("")
    python = job / "python"
    python.mkdir(exist_ok=True)
    if not (python / "python").exists():  # as setup-python puts it into the path
        (python / "python").symlink_to(sys.executable)
    env = {
        "PATH": f"{python}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": str(job),
        "RUNNER_TEMP": str(job / "temp"),
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(summary),
        **{key: value(text, defaults | given, places) for key, text in step["env"].items()},
    }
    script = job / "step.sh"
    script.write_text(step["run"])
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]  # as GitHub does
    done = subprocess.run(command, cwd=job, env=env, capture_output=True, text=True, check=False)
    lines = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return done.returncode, lines, summary.read_text() + done.stderr


def test_every_step_names_its_shell_and_no_input_reaches_a_script() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS:
        if "run" not in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
            continue
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        done = subprocess.run(["bash", "-n"], input=step["run"], text=True, check=False)
        assert done.returncode == 0
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text("utf-8")))
    assert used == set(ACTION["inputs"])
    for key in ("model", "baseline", "data", "tasks", "tolerance"):
        assert key in RegressSettings.model_fields
    assert all(of_key["description"] for of_key in ACTION["inputs"].values())


@pytest.mark.parametrize(
    ("arguments", "code", "decision"),
    [
        ("run=results/same/minillm-1", 0, "PASS"),
        ("\n  run=results/worse/minillm-1\n\n  alpha=0.01\n", 1, "FAIL"),
        ("run=results/worse/minillm-1\ntasks=vicuna", 2, "NO VERDICT"),
        ("run=results/same/minillm-1\nno such key=$(touch evil)", 2, "NO VERDICT"),
    ],
)
def test_the_gate_of_the_action(job: Path, arguments: str, code: int, decision: str) -> None:
    report = job / "a report"
    report.mkdir()
    (report / "gate.json").write_text('{"decision": {"word": "of an earlier run"}}')
    given = {"baseline": "main", "arguments": arguments, "report": "a report"}
    got, outputs, text = run_step(job, "gate", given)
    assert (got, outputs["exit-code"], outputs["decision"]) == (code, str(code), decision), text
    assert outputs["report"] == "a report"
    assert not (job / "evil").exists()
    if decision in ("PASS", "FAIL"):
        assert sorted(file.name for file in report.iterdir()) == [
            "comment.md", "gate.json", "junit.xml",
        ]  # fmt: skip
        assert f"### kdbench: {decision}: 1 " in text
        word = json.loads((report / "gate.json").read_text())["decision"]["word"]
        assert word == decision


def test_the_inputs_of_the_action_become_keys(job: Path) -> None:
    command = job / "temp" / "kdbench" / "bin" / "kdbench"
    command.write_text('#!/bin/sh\nprintf "%s|" "$@" > called\n')
    given = {
        "model": "a model", "baseline": "main", "data": "d", "tasks": "dolly,x y",
        "tolerance": "rougeL:1", "report": "r",
    }  # fmt: skip
    code, outputs, _ = run_step(job, "gate", given)
    assert (code, outputs["decision"]) == (0, "NO VERDICT")
    assert (job / "called").read_text() == (
        "regress|baseline=main|markdown=r/comment.md|junit=r/junit.xml|json=r/gate.json|"
        "model=a model|data=d|tasks=dolly,x y|tolerance=rougeL:1|"
    )


def test_the_keys_of_the_caches(job: Path) -> None:
    code, first, _ = run_step(job, "keys", {"model": "org/a,b"})
    assert code == 0
    assert all(re.fullmatch(r"[0-9a-f]{16}", key) for key in first.values())
    _, second, _ = run_step(job, "keys", {"model": "org/c"})
    assert first["models"] != second["models"]
    assert first["packages"] == second["packages"]
    named = {
        match for step in STEPS for match in re.findall(r"steps\.keys\.outputs\.(\w+)", str(step))
    }
    assert set(first) == named


def test_the_hooks_find_a_stale_table(job: Path) -> None:
    assert [hook["language"] for hook in HOOKS] == ["python", "system"]
    assert not any(hook["pass_filenames"] for hook in HOOKS)
    (entry,) = {hook["entry"] for hook in HOOKS}
    verb, *words = entry.split()[1:]
    keys = [verb, "results=results", "out=TABLE.md", "published=none"]
    command = [sys.executable, "-m", "kdbench", *keys]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*more: str) -> int:
        done = subprocess.run([*command, *more], cwd=job, env=env, check=False, stdout=-3)
        return done.returncode

    assert run(*words) == 1  # there is no table yet
    assert not (job / "TABLE.md").exists()
    assert run() == 0
    assert run(*words) == 0
    shutil.rmtree(job / "results" / "worse")
    assert run(*words) == 1


def instructions(name: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    return re.findall(rf"^{name} (.*)$", text, re.M)


def test_the_image_gets_the_files_that_the_package_is_built_from() -> None:
    copied = {word for line in instructions("COPY") for word in line.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    build = (ROOT / "pyproject.toml").read_text("utf-8")
    for needed in ("README.md", "LICENSE", "tasks", "baselines", "kdbench"):
        assert needed in build
        assert needed in copied
    assert "torch" in instructions("RUN")[0]
    assert instructions("ENTRYPOINT") == ['["kdbench"]']
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert text.index("\nUSER kdbench") > text.rindex("\nRUN ")
    (folder,) = re.findall(r"HF_HOME=(\S+)", text)
    assert instructions("VOLUME") == [json.dumps([folder])]
