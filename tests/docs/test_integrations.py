"""The commands of the page on other tools run, in its order, and so does its example tracker."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdbench.cli.verbs import app
from kdbench.trackers import trackers

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text("utf-8")
FEW = ["limit=2", "seeds=1", "max_new_tokens=4", "tasks=dolly", "device=cpu", "report_to=lines"]


def commands(verb: str) -> list[list[str]]:
    """The arguments of every command of a verb on the page."""
    lines = re.findall(rf"^kdbench {verb} .*$", PAGE, re.M)
    return [shlex.split(line)[2:] for line in lines]


def run(verb: str, *arguments: str) -> str:
    done = CliRunner().invoke(app, [verb, *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def folder(world, tmp_path, monkeypatch) -> Path:
    """A folder with path/to/student and path/to/data, and the page's tracker installed."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world.student, "path/to/student")
    shutil.copytree(world.data, "path/to/data")
    (source,) = re.findall(
        r"^```python test kdbench_example_trackers/.*?\n(.*?)^```$", PAGE, re.M | re.S
    )
    scope: dict = {}
    exec(compile(source, "lines.py", "exec"), scope)
    trackers.names()
    monkeypatch.setitem(trackers._parts, "lines", scope["Lines"])
    return tmp_path


def test_the_commands_of_the_page_run_in_its_order(folder):
    (measure,) = commands("eval")
    run("eval", *(word for word in measure if "report_to" not in word), *FEW)
    summary, closed = (json.loads(line) for line in Path("log.jsonl").read_text().splitlines())
    assert summary["samples"] == 2
    assert "dolly/rougeL_ci_low" in summary
    assert closed == {"failed": False}
    card, _ = commands("card")
    run("card", *card)
    assert Path("README.md").read_text().count("kdbench:begin card") == 1
    (push,) = commands("push")
    assert "my-org/my-student" in run("push", *push)
    (export,) = commands("export")
    run("export", *export)
    (take,) = commands("import")
    run(
        "import",
        *(word.replace("path/to/lm_eval_output", "lm_eval_results") for word in take),
        "name=back",
    )
    (table,) = [words for words in commands("table") if "format=tex" in words]
    run("table", *table, "tasks=dolly")
    assert Path("table.tex").read_text().startswith("% needs \\usepackage{booktabs}\n")
