"""Builds that are killed at a chosen line, each in a process of its own.

The processes are forked from a server that has imported torch once, so that a kill takes less than
a second. Nothing waits for a time: a process kills itself right after a line.
"""

import hashlib
import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TORN = b'{"id": "torn'


@dataclass(frozen=True)
class Killed:
    """Where a process kills itself.

    Attributes:
        step: Name of the folder of the file that is extended: a step of the builder, the set's
            name for `train.jsonl`, or `whole` for `removed.jsonl`.
        line: Number of lines that are then in the files of the step, from 1.
        torn: Whether half of a line follows, as after a power cut.
    """

    step: str
    line: int
    torn: bool = False


@dataclass
class Recorded:
    """What processes added to files.

    Attributes:
        steps: The step of each line, in the order in which they came.
        work: How often each line of the kept work was added, by file and content.
    """

    steps: list[str] = field(default_factory=list)
    work: Counter[tuple[str, str]] = field(default_factory=Counter)

    def lines_of_work(self) -> Counter[str]:
        """Number of lines of kept work by step."""
        found: Counter[str] = Counter()
        for (file, _), count in self.work.items():
            found[file.partition("/")[0]] += count
        return found


def run_build(
    words: Sequence[str], log: Path, killed: Killed | None = None, before: Recorded | None = None
) -> tuple[int | None, Recorded]:
    """Run `kdbench build` in a process.

    Args:
        words: The words of the command after `build`.
        log: File for the notes of the process.
        killed: Where it is killed; None lets it finish.
        before: What earlier processes of this build added.

    Returns:
        Its exit code, 0 if it finished and the negative signal if it was killed, and what it added.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "transformers", "kdbench.builders.workshop.build"])
    log.unlink(missing_ok=True)
    kept = dict(before.lines_of_work()) if before is not None else {}
    process = context.Process(target=_build, args=(list(words), str(log), killed, kept))
    process.start()
    process.join()
    return process.exitcode, _read(log)


def files_of(folder: Path) -> Mapping[str, str]:
    """The SHA-256 of each file of a built folder, but for what says when and where it was built."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "run.json")
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def kills(undisturbed: Recorded, often: bool = False) -> list[Killed]:
    """Kills at the middle line of each step, in the order of the lines.

    Args:
        undisturbed: What a build added that nobody killed.
        often: Whether there are kills at the first and at the last line too.
    """
    lines, seen, found = Counter(undisturbed.steps), Counter[str](), list[Killed]()
    for step in undisturbed.steps:
        seen[step] += 1
        middle = (lines[step] + 1) // 2
        if seen[step] == middle or (often and seen[step] in (1, lines[step])):
            found.append(Killed(step, seen[step], torn=seen[step] == middle < lines[step]))
    return found


def _build(words: list[str], log: str, killed: Killed | None, kept: dict[str, int]) -> None:
    from kdbench.builders.workshop.build import build
    from kdbench.builders.workshop.recipe import parse_build
    from kdbench.system import files

    os.environ["HF_HUB_OFFLINE"] = "1"
    lines, add = Counter(kept), files.Appender.add

    def recorded(self: files.Appender, record: Mapping[str, Any]) -> None:
        add(self, record)
        path = self._path
        step, is_work = path.parent.name, path.parent.parent.name == "work"
        lines[step] += 1
        with Path(log).open("a", encoding="utf-8") as notes:
            content = json.dumps(record, sort_keys=True)
            notes.write(json.dumps([step, path.name, is_work, content]) + "\n")
        if killed is not None and (step, lines[step]) == (killed.step, killed.line):
            if killed.torn:
                with path.open("ab") as file:
                    file.write(_TORN)
            os.kill(os.getpid(), signal.SIGKILL)

    files.Appender.add = recorded  # type: ignore[method-assign]
    build(parse_build(words))


def _read(log: Path) -> Recorded:
    found = Recorded()
    for line in log.read_text("utf-8").splitlines() if log.exists() else ():
        step, file, is_work, content = json.loads(line)
        found.steps.append(step)
        if is_work:
            found.work[f"{step}/{file}", content] += 1
    return found
