"""Unexpected errors, terminals that are not UTF-8, and text that a terminal would obey."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdbench.cli.app import EXIT_INTERNAL, guarded
from kdbench.errors import InputError
from kdbench.system.console import report_progress, say


def failing(error: BaseException) -> int:
    def verb(arguments: list[str]) -> None:
        raise error

    return guarded(verb, [])


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDBENCH_LOG", str(tmp_path / "crash.log"))
    return tmp_path / "crash.log"


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("of\nsomething"), RecursionError("deep"), SystemExit(0), SystemExit(1)],
)
def test_an_unexpected_error_is_one_line_with_a_log_and_its_own_exit_code(
    error: BaseException, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error) == EXIT_INTERNAL == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"kdbench: internal error: {type(error).__name__}")
    assert str(log) in lines[0]
    assert "raise error" in log.read_text()


def test_the_log_is_a_new_file_without_a_name_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KDBENCH_LOG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(ValueError("x"))
    (log,) = tmp_path.iterdir()
    assert f"(traceback in {log})" in capsys.readouterr().err


def test_the_traceback_is_printed_on_request(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KDBENCH_TRACEBACK", "1")
    failing(KeyError("x"))
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_messages_are_short_and_have_no_passwords(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(ValueError("https://me:secret@host/x " + "y" * 100_000))
    line = capsys.readouterr().err
    assert "secret" not in line
    assert len(line) < 1000


def run_python(code: str, encoding: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("verb", ["metrics", "table"])
def test_a_terminal_without_utf8_gets_escaped_characters(
    encoding: str, verb: str, tmp_path: Path
) -> None:
    words = [verb] if verb == "metrics" else [verb, f"results={tmp_path}", "published=verified"]
    code = f"import sys; sys.argv[1:] = {words!r}; from kdbench.cli.verbs import main; main()"
    done = run_python(code, encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding)


def test_lines_are_cleaned_of_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    say("results in r/\x1b[31mred\x07/\u202egnp\x9b2J")
    report_progress("task\x1b]0;title\x07\r::error")
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert all(char.isprintable() for char in text.rstrip("\n"))


def test_an_unknown_verb_is_repeated_without_escapes() -> None:
    code = (
        "import sys; sys.argv[1:] = ['\\x1b[31mevil']; from kdbench.cli.verbs import main; main()"
    )
    done = run_python(code, "utf-8")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr


def test_a_word_longer_than_any_name_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/".join(["folder" * 30] * 4)
    guarded(lambda words: _refuse(f"{path}: 'x{'y' * 5000}' is unknown"), [])
    assert capsys.readouterr().err == f"kdbench: {path}: 'x{'y' * 117}… is unknown\n"


def _refuse(line: str) -> None:
    raise InputError(line)
