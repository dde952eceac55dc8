"""The README's table is drawn from what is committed, and its commands are those that CI runs."""

import re
import subprocess
import sys
from pathlib import Path

import kdbench

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_not_stale() -> None:
    words = "table settings=measured,gpt2-xl-to-gpt2-base out=README.md"
    assert f"`kdbench {words}`" in README
    command = [sys.executable, "-m", "kdbench", *words.split(), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stale_table_is_told_by_a_diff(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(README.replace("| 500 | 242 |", "| 500 | 252 |"), encoding="utf-8")
    words = ["table", "settings=measured,gpt2-xl-to-gpt2-base", f"out={copy}", "--check"]
    command = [sys.executable, "-m", "kdbench", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"^-\| prompts .* 252 .*\n\+\| prompts .* 242 ", done.stdout, re.M)
    assert "252" in copy.read_text(encoding="utf-8")


def test_ci_runs_the_commands_of_the_readme() -> None:
    for name in ("demo", "test"):
        (command,) = re.findall(rf"<!-- readme:{name} -->\n```sh\n(.*)\n```", README)
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints")
    assert "for name in test demo" in (ROOT / ".ci" / "run").read_text()


def test_the_python_interface_of_the_readme_is_there() -> None:
    for name in set(re.findall(r"kdbench\.(\w+)\(", README)):
        assert callable(getattr(kdbench, name))
    assert {"evaluate", "table"} <= set(re.findall(r"kdbench\.(\w+)\(", README))


def test_functions_stay_functions_after_their_modules_are_imported() -> None:
    import kdbench.evaluation
    import kdbench.scoring
    import kdbench.tables

    assert all(callable(getattr(kdbench, name)) for name in ("evaluate", "score", "table"))
