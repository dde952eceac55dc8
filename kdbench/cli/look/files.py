"""Small facts about files that are listed: recipes, tables and gates' baselines."""

import re
from dataclasses import dataclass
from pathlib import Path

from kdbench.system.files import read_json
from kdbench.text import printable


@dataclass(frozen=True)
class GateSummary:
    """What a list shows of a gate's baseline.

    Attributes:
        model: Name of the checkpoint.
        day: Day on which it was written.
        who: Who wrote it.
        reason: Why.
        tolerance: Tolerances as the user writes them.
        limit: Number of documents of each task; None for all.
        prompts: Number of prompts by task.
        metrics: Metrics by task.
    """

    model: str
    day: str
    who: str
    reason: str
    tolerance: str
    limit: int | None
    prompts: dict[str, int]
    metrics: dict[str, list[str]]


def read_gate(path: Path) -> GateSummary:
    """Read what a list shows of a gate's baseline.

    Raises:
        InputError: The file is no baseline.
    """
    from kdbench.comparing.baseline_file import read_baseline_file

    content = read_baseline_file(path)
    origin = read_json(path).get("written") or {}
    scores = content.scores
    return GateSummary(
        printable(content.model.name),
        str(origin.get("when", ""))[:10],
        printable(str(origin.get("who", ""))),
        printable(str(origin.get("why", ""))),
        content.tolerance,
        content.limit,
        {task: len(columns["id"]) for task, columns in scores.items()},
        {task: [name for name in columns if name != "id"] for task, columns in scores.items()},
    )


def method_of(path: Path) -> str:
    """The method that a recipe names; empty if it names none."""
    found = re.search(r"^method: *(\S+)", path.read_text("utf-8", "replace"), re.M)
    return printable(found[1]) if found else ""


def first_comment(path: Path) -> str:
    """The title of a YAML file, else the first sentence of its comments; empty without either."""
    comments: list[str] = []
    for line in path.read_text("utf-8", "replace").splitlines():
        if line.startswith("title:"):
            return printable(line.removeprefix("title:").strip())
        if line.startswith("#"):
            comments.append(line.lstrip("# "))
    return printable(" ".join(comments).partition(". ")[0])
