"""The workflows of docs/gate.md are valid, have minimal permissions and use known keys."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdbench.comparing.outputs.markdown import marker

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


def test_the_action_gets_inputs_it_has_and_its_report_is_uploaded() -> None:
    action = yaml.safe_load((DOCS.parent / "action.yml").read_text("utf-8"))
    (gate,) = (step for step in steps("gate") if step["uses"].startswith("OWNER/kdbench@"))
    assert set(gate["with"]) <= set(action["inputs"])
    required = {key for key, of_key in action["inputs"].items() if of_key.get("required")}
    assert required <= set(gate["with"])
    upload = steps("gate")[-1]
    assert upload["if"] == "always()"
    assert upload["with"]["path"] == gate["with"]["report"]
    (script,) = (step["run"] for step in steps("gate-comment"))
    assert f"--name {upload['with']['name']} " in script


def test_the_comment_is_neutral_when_it_is_posted(tmp_path: Path) -> None:
    """The script with a `gh` that answers as GitHub does; an artifact can hold anything."""
    (script,) = (step["run"] for step in steps("gate-comment"))
    posted, secret = tmp_path / "posted", tmp_path / "secret"
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    secret.write_text(f"{marker('main')}\nsecret\n")

    def run(comment: str) -> str | None:
        posted.unlink(missing_ok=True)
        gh.write_text(
            "#!/bin/sh\n"
            'case "$*" in\n'
            f"  *download*) mkdir -p gate; {comment};;\n"
            "  *--method?GET*) echo 7;;\n"
            "  *--paginate*) ;;\n"
            f"  *--method?POST*) cp comment.md {posted};;\n"
            "esac\n"
        )
        gh.chmod(0o755)
        shutil.rmtree(tmp_path / "gate", ignore_errors=True)
        names = ("RUN", "REPO", "HEAD", "SHA")
        env = {"PATH": f"{gh.parent}:/usr/bin:/bin", **dict.fromkeys(names, "x")}
        command = ["bash", "--noprofile", "--norc", "-e", "-c", script]
        subprocess.run(command, cwd=tmp_path, env=env, check=False, stderr=-3)
        return posted.read_text() if posted.exists() else None

    first = marker("main")
    assert run(f"printf '%s\\nhello @octocat a@1 /@b' '{first}' > gate/comment.md") == (
        f"{first}\nhello @&#8203;octocat a@1 /@b"
    )
    assert run("echo no marker > gate/comment.md") is None
    assert run(f"ln -s {secret} gate/comment.md") is None
    assert run("true") is None
    long = run(f"(echo '{first}'; head -c 200000 /dev/zero | tr '\\0' 'x') > gate/comment.md")
    assert long is not None
    assert len(long) == 65_000


@pytest.mark.parametrize("name", ["main", "a b/c", "x" * 500, "ü--> <script>", "..."])
def test_the_comment_workflow_finds_the_marker_that_regress_writes(name: str) -> None:
    (script,) = (step["run"] for step in steps("gate-comment"))
    (pattern,) = re.findall(r"grep -qxE '(.*)'", script)
    assert re.fullmatch(pattern, marker(name))
