"""Write stored answers and their pictures into the pages: `python docs/answers.py`.

With `--check` it only names the pages and pictures that are stale, and exits with 1.

A page holds an answer between two comments:

    <!-- kdbench:begin answer results/analyses/toy-all/seeds.json -->
    <!-- kdbench:end answer -->

What stands between them is the answer's sentences and tables, as `kdbench analyse` wrote them, or
those of `kdbench frontier`. A word after the file takes a part: `sentences` or `tables`. The
pictures beside the answers are copies of the stored ones.
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
IMAGES = ROOT / "docs" / "images"
PICTURES = {
    "analysis-budget": "analyses/toy-all/budget",
    "analysis-generalization": "analyses/toy-all-answers/generalization",
    "frontier": "toy-frontier/frontier/frontier",
    "frontier-guided": "toy-guided/frontier/frontier",
    "frontier-smollm2-guided": "smollm2-135m/frontier/frontier",
}
"""Pictures of the pages, and where in results/ they are stored, both without theme."""
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


def stored_picture(name: str, theme: str) -> bytes:
    """A picture as it is stored: an analysis gives its light one no theme, a frontier does."""
    themed, plain = (ROOT / "results" / f"{name}{end}.svg" for end in (f"-{theme}", ""))
    return (plain if theme == "light" and not themed.exists() else themed).read_bytes()


def fresh_files() -> dict[Path, bytes]:
    """All pages and pictures with what they should hold."""
    files = {page: with_answers(page.read_text("utf-8")).encode() for page in pages()}
    for shown, stored in PICTURES.items():
        for theme in ("light", "dark"):
            files[IMAGES / f"{shown}-{theme}.svg"] = stored_picture(stored, theme)
    return files


def main(arguments: list[str]) -> int:
    """Write the pages and pictures, or name those that are stale."""
    stale = {
        file: fresh
        for file, fresh in fresh_files().items()
        if not file.exists() or file.read_bytes() != fresh
    }
    for file, fresh in stale.items():
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")
        if "--check" not in arguments:
            file.write_bytes(fresh)
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
