"""The workflows of docs/gate.md are valid, have minimal permissions and use known keys."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdbench.comparing.outputs.markdown import marker
from kdbench.comparing.settings import RegressSettings
from kdbench.config import parse

DOCS = Path(__file__).parents[2] / "docs"
FILES = {name: DOCS / f"{name}-workflow.yml" for name in ("gate", "gate-comment")}


def read(name: str) -> dict[Any, Any]:
    content = yaml.safe_load(FILES[name].read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def steps(name: str) -> list[dict[str, Any]]:
    (job,) = read(name)["jobs"].values()
    return list(job["steps"])


def test_the_workflow_that_runs_the_requests_code_may_only_read() -> None:
    workflow = read("gate")
    assert workflow[True] == "pull_request"  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())
    assert "secrets." not in FILES["gate"].read_text("utf-8")


def test_the_workflow_that_may_write_runs_no_code_of_the_request() -> None:
    workflow = read("gate-comment")
    assert workflow[True] == {"workflow_run": {"workflows": ["gate"], "types": ["completed"]}}
    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert all("uses" not in step for step in steps("gate-comment"))
    for step in steps("gate-comment"):
        assert "${{" not in step["run"]  # a branch name must never reach the shell
        done = subprocess.run(["bash", "-n"], input=step["run"], text=True, check=False)
        assert done.returncode == 0
    assert workflow[True]["workflow_run"]["workflows"] == [read("gate")["name"]]


def test_the_command_has_known_keys_and_its_files_are_uploaded() -> None:
    scripts = [step.get("run", "") for step in steps("gate")]
    (command,) = (script for script in scripts if "kdbench regress" in script)
    settings = parse(RegressSettings, shlex.split(command)[2:])
    upload = steps("gate")[-1]
    assert upload["if"] == "always()"
    folder = upload["with"]["path"]
    assert {settings.markdown, settings.junit, settings.json_file} == {
        Path(folder, name) for name in ("comment.md", "junit.xml", "gate.json")
    }


@pytest.mark.parametrize("name", ["main", "a b/c", "x" * 500, "ü--> <script>", "..."])
def test_the_comment_workflow_finds_the_marker_that_regress_writes(name: str) -> None:
    (script,) = (step["run"] for step in steps("gate-comment"))
    (pattern,) = re.findall(r"grep -qxE '(.*)'", script)
    assert re.fullmatch(pattern, marker(name))
