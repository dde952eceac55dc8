"""Running a verb in this process on a hostile input, and judging how it ended."""

import hashlib
import os
import re
import signal
import traceback
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from typer.testing import CliRunner

from kdbench.cli.verbs import app

SECONDS = 30
"""Processor time after which a verb counts as hanging; no input of the fuzzer needs a second."""

HEALTH = list(HealthCheck)
"""What hypothesis need not check: examples read and write files."""

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Phases without shrinking: an example has one change, and making it smaller takes minutes."""

_NO_NUMBER = re.compile(r"(?<![\w/=.'\"])(nan|-?inf|NaN|Infinity)(?![\w/=]|\]/)")

LONGEST_LINE = 10_000
"""Characters of the longest error message that still counts as one line."""


runs: Counter[str] = Counter()
"""Number of verbs that were run and judged, by how they ended."""


@dataclass(frozen=True)
class Outcome:
    """How a verb ended.

    Attributes:
        code: Exit code.
        out: Text on standard output.
        err: Text on standard error.
        error: Exception that reached the top; None if the verb handled all.
    """

    code: int
    out: str
    err: str
    error: BaseException | None


class HangError(Exception):
    """The verb took too long."""


def examples(share: float) -> int:
    """Number of examples for a target, in proportion to that of the profile."""
    return max(1, round(settings().max_examples * share * 0.35))


def run(words: Sequence[str]) -> Outcome:
    """Run a verb in this process, for at most SECONDS of processor time."""
    with _alarm():
        result = CliRunner().invoke(app, list(words))
    error = None if isinstance(result.exception, SystemExit) else result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr, error)


def judge(words: Sequence[str], folder: Path, fine: Sequence[int] = (0,)) -> Outcome:
    """Run a verb and check that it ended well or with one line.

    Args:
        words: Words of the command line.
        folder: Folder in which nothing may change if the verb refuses its input.
        fine: Exit codes of a verb that did its work.

    Raises:
        AssertionError: It ended in an exception, with another exit code, with several lines, with
            text that a terminal obeys, with numbers that are none, or it wrote something before it
            refused.
    """
    before = contents(folder)
    outcome = run(words)
    runs["done" if outcome.code in fine else "refused"] += 1
    if outcome.error is not None:
        told = "".join(traceback.format_exception(outcome.error)[-6:])
        raise AssertionError(f"{' '.join(map(ascii, words))} ended in a traceback:\n{told}")
    for text in (outcome.out, outcome.err):
        assert not (bad := unsafe(text)), f"text for a terminal holds {bad}: {text[:500]!r}"
    if outcome.code in fine or "NO VERDICT" in outcome.out:
        assert not (odd := _NO_NUMBER.search(outcome.out)), f"{odd[0]!r} in {outcome.out[-800:]!r}"
        return outcome
    assert outcome.code == 2, f"exit code {outcome.code}: {outcome.err[-800:]!r}"
    said = outcome.err.splitlines()
    assert len(said) == 1, f"not one line: {outcome.err[-800:]!r}"
    assert said[0].startswith("kdbench: "), said
    assert len(said[0]) <= LONGEST_LINE, f"a line of {len(said[0])} characters"
    assert contents(folder) == before, "something was written before the input was refused"
    return outcome


@contextmanager
def kept(name: str, content: bytes) -> Iterator[None]:
    """Write a fault and its input to the folder KDBENCH_FUZZ_FAILURES and go on, if it is set.

    Args:
        name: Name of the test.
        content: Hostile input.
    """
    folder = os.environ.get("KDBENCH_FUZZ_FAILURES")
    try:
        yield
    except AssertionError as fault:
        if folder is None:
            raise
        text = f"{name}\n{fault}\n"
        kind = re.sub(r"0x\w+|\d+|'[^']*'|\"[^\"]*\"|tmp\w+", "…", text)
        stem = f"{re.sub(r'[^a-z]+', '-', name)}-{hashlib.sha256(kind.encode()).hexdigest()[:8]}"
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{stem}.txt").write_text(text, encoding="utf-8", errors="replace")
        (Path(folder) / f"{stem}.input").write_bytes(content)


def unsafe(text: str) -> list[str]:
    """The characters of a text that a terminal would obey or that reorder it."""
    found = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"}
    return sorted(map(ascii, found))


def contents(folder: Path) -> dict[str, bytes | None]:
    """The files of a folder by relative path; locks are left out, which hold nothing."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".lock"
    }


@contextmanager
def _alarm() -> Iterator[None]:
    """Raise HangError in this thread after SECONDS of processor time, where the system can."""
    if os.name != "posix":
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise HangError(f"no end after {SECONDS} s of processor time")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
