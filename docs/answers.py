"""Write stored answers into the pages: `python docs/answers.py`.

With `--check` it only names the pages that are stale, and exits with 1.

A page holds an answer between two comments:

    <!-- kdbench:begin answer results/analyses/toy-all/seeds.json -->
    <!-- kdbench:end answer -->

What stands between them is the answer's sentences and tables, as `kdbench analyse` wrote them, or
those of `kdbench frontier`. A word after the file takes a part: `sentences` or `tables`.
"""

import re
import sys
from pathlib import Path

from kdbench.errors import InputError
from kdbench.frontiers.table import markdown_sentences
from kdbench.frontiers.table import markdown_table as frontier_table
from kdbench.reports.conclusions import markdown_table
from kdbench.store.conclusions import read_conclusion
from kdbench.store.frontiers import read_frontier
from kdbench.text import escape_md

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"(?P<begin><!-- kdbench:begin answer (?P<file>\S+)(?: (?P<part>sentences|tables))? -->\n)"
    r".*?(?P<end><!-- kdbench:end answer -->)",
    re.DOTALL,
)


def pages() -> list[Path]:
    """The pages that may hold answers."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def parts_of(file: Path) -> dict[str, list[str]]:
    """The sentences and the tables of a stored answer, in Markdown."""
    if file.name == "frontier.json":
        frontier = read_frontier(file.parents[1])
        if frontier is None:
            raise InputError(f"{file}: no frontier is stored there")
        return {"sentences": markdown_sentences(frontier), "tables": [frontier_table(frontier)]}
    conclusion = read_conclusion(file)
    sentences = [escape_md(sentence) for sentence in conclusion.sentences]
    return {"sentences": sentences, "tables": [*map(markdown_table, conclusion.tables)]}


def answer(file: Path, part: str | None) -> str:
    """A stored answer in Markdown."""
    parts = parts_of(file)
    chosen = parts[part] if part else [*parts["sentences"], *parts["tables"]]
    return "\n\n".join(["", *chosen, "", ""]).removeprefix("\n").removesuffix("\n")


def with_answers(text: str) -> str:
    """The text of a page with its answers as they are stored."""

    def block(found: re.Match[str]) -> str:
        return found["begin"] + answer(ROOT / found["file"], found["part"]) + found["end"]

    return BLOCK.sub(block, text)


def main(arguments: list[str]) -> int:
    """Write the pages, or name those that are stale."""
    texts = {page: page.read_text("utf-8") for page in pages()}
    new = {page: with_answers(text) for page, text in texts.items()}
    stale = [page for page, text in texts.items() if text != new[page]]
    for page in stale:
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")
        if "--check" not in arguments:
            page.write_text(new[page], "utf-8")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
