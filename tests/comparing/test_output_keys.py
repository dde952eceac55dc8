"""Every key that names an output file writes through pipes, devices and links."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from gate_runs import Put, noisy

from kdbench.cli import verbs
from kdbench.cli.app import guarded
from kdbench.doctor import examine, settings
from kdbench.doctor.finding import Diagnosis

NAMES = {"json": "o.json", "baseline": "o.json", "junit": "o.xml", "out": "o.csv"}
KEYS = [
    *(("compare", key) for key in ("markdown", "junit", "json")),
    *(("regress", key) for key in ("markdown", "junit", "json", "baseline")),
    ("table", "out"),
    ("doctor", "json"),
]
Arguments = Callable[[str, str, object], list[str]]


@pytest.fixture
def arguments(put: Put, tmp_path: Path) -> Arguments:
    """The arguments of a verb that writes an output."""
    runs = [put(name, {"dolly": {"rougeL": noisy(8, 20)}}, texts="text") for name in "ab"]

    def of(verb: str, key: str, output: object) -> list[str]:
        if verb == "doctor":
            return ["eval", "model=m", f"{key}={output}"]
        if verb == "table":
            return [f"results={tmp_path / 'results'}", f"{key}={output}", "format=csv"]
        if key == "baseline":
            return [f"run={runs[0]}", f"{key}={output}", "--update", "reason=why"]
        pair = [str(runs[0]), str(runs[1])]
        if verb == "regress":
            pair = [f"baseline={runs[0]}", f"run={runs[1]}"]
        return [*pair, f"{key}={output}"]

    return of


def without_a_model() -> None:
    """Let the doctor find nothing, without a model."""
    settings.parse_doctor = lambda words: (Mock(), settings.read_doctor(words)[1])
    examine.examine = lambda *_: Diagnosis("eval", (), (), {}, ())


@pytest.fixture(autouse=True)
def doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((settings, "parse_doctor"), (examine, "examine")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back after the test
    without_a_model()


def run(verb: str, of_verb: list[str]) -> None:
    code = guarded(getattr(verbs, f"_{verb}"), of_verb)
    assert not code, of_verb


@pytest.mark.parametrize(("verb", "key"), KEYS)
def test_pipes_and_links_stay(
    arguments: Arguments, tmp_path: Path, verb: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = tmp_path / "o", tmp_path / "target"
    folder.mkdir()
    path = folder / NAMES.get(key, "o.md")
    run(verb, arguments(verb, key, path))
    wanted = path.read_text()
    assert wanted.strip()
    path.unlink()

    path.symlink_to(target)
    for _ in range(2):  # a link to nothing, then to a file
        run(verb, arguments(verb, key, path))
        assert path.is_symlink()
        assert same(target.read_text(), wanted)
    path.unlink()

    os.mkfifo(path)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(path.read_text()))
    reader.start()
    run(verb, arguments(verb, key, path))
    reader.join()
    assert path.is_fifo()
    assert same(got[0], wanted)

    capsys.readouterr()
    run(verb, arguments(verb, key, "-"))
    assert same(capsys.readouterr().out, wanted)


def same(text: str, wanted: str) -> bool:
    """Whether two outputs are equal but for the time in a baseline."""
    if '"written"' not in wanted:
        return text == wanted
    return json.loads(text) | {"written": ""} == json.loads(wanted) | {"written": ""}


SCRIPT = """
import sys
from test_output_keys import run, without_a_model
without_a_model()
for verb_and_arguments in sys.stdin.read().splitlines():
    verb, *arguments = verb_and_arguments.split("\\t")
    run(verb, arguments)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="as on Linux")
@pytest.mark.parametrize(("number", "stream"), [(1, "stdout"), (2, "stderr")])
def test_the_files_that_a_shell_opened_are_not_replaced(
    arguments: Arguments, tmp_path: Path, number: int, stream: str
) -> None:
    """Not by the names in /dev: a fault would replace these if the tests run as root."""
    link, log = tmp_path / "link.json", tmp_path / "log"
    link.symlink_to(f"/proc/self/fd/{number}")
    log.write_text("before\n")
    lines = ["\t".join([verb, *arguments(verb, key, link)]) for verb, key in KEYS]
    helpers = Path(__file__).parents[1] / "helpers"
    paths = [str(Path(__file__).parent), str(helpers), str(Path(__file__).parents[2])]
    with log.open("a") as opened:
        inode = os.fstat(opened.fileno()).st_ino
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: opened}
        subprocess.run(
            [sys.executable, "-c", SCRIPT], input="\n".join(lines), text=True, check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, **streams,
        )  # fmt: skip
    assert log.stat().st_ino == inode
    assert link.is_symlink()
    text = log.read_text()
    assert text.startswith("before\n")
    assert text.count("<?xml") == 2
    assert text.count("<!-- kdbench regress: ") == 2
    assert text.count('"schema"') >= 3
