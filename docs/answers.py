"""Write stored answers and their pictures into the pages: `python docs/answers.py`.

With `--check` it only names the pages and pictures that are stale, and exits with 1.

A page holds an answer between two comments:

    <!-- kdbench:begin answer results/analyses/toy-all/seeds.json -->
    <!-- kdbench:end answer -->

What stands between them is the answer's sentences and tables, as `kdbench analyse` wrote them, or
those of `kdbench frontier`. A word after the file takes a part: `sentences` or `tables`. The
pictures beside the answers are copies of the stored ones.
"""

import argparse
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
    "analysis-budget-smollm2": "analyses/smollm2-135m/budget",
    "analysis-generalization-smollm2": "analyses/smollm2-135m-skills/generalization",
    "analysis-second_family": "analyses/gemma3-270m/second_family",
    "frontier": "toy-frontier/frontier/frontier",
    "frontier-guided": "toy-guided/frontier/frontier",
    "frontier-smollm2-guided": "smollm2-135m/frontier/frontier",
}
"""Pictures of the pages, and where in results/ they are stored, both without theme."""
PARTS = ("sentences", "tables")
BEGIN = "<!-- kdbench:begin answer "
BLOCK = re.compile(
    rf"(?P<begin>{BEGIN}(?P<file>\S+)(?: (?P<part>{'|'.join(PARTS)}))? -->\n)"
    r"(?:(?!<!-- kdbench:).)*(?P<end><!-- kdbench:end answer -->)",
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
    chosen = [paragraph for name in ([part] if part else PARTS) for paragraph in parts[name]]
    return "\n" + "\n\n".join(chosen) + "\n\n\n"


def with_answers(page: Path) -> str:
    """The text of a page with its answers as they are stored."""
    text = page.read_text("utf-8")
    if text.count(BEGIN) != len(BLOCK.findall(text)):
        raise InputError(
            f"{page}: an answer names a part other than {' and '.join(PARTS)}, or has no end"
        )

    def block(found: re.Match[str]) -> str:
        return found["begin"] + answer(ROOT / found["file"], found["part"]) + found["end"]

    return BLOCK.sub(block, text)


def stored_picture(name: str, theme: str) -> bytes:
    """A picture as it is stored: an analysis gives its light one no theme, a frontier does."""
    themed = ROOT / "results" / f"{name}-{theme}.svg"
    plain = ROOT / "results" / f"{name}.svg"
    return (plain if theme == "light" and not themed.exists() else themed).read_bytes()


def fresh_files() -> dict[Path, bytes]:
    """All pages and pictures with what they should hold."""
    files = {page: with_answers(page).encode() for page in pages()}
    for shown, stored in PICTURES.items():
        for theme in ("light", "dark"):
            files[IMAGES / f"{shown}-{theme}.svg"] = stored_picture(stored, theme)
    return files


def main() -> int:
    """Write the pages and pictures, or name those that are stale."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    check = parser.parse_args().check
    try:
        fresh = fresh_files()
    except (InputError, OSError) as error:
        parser.error(str(error))
    stale = [file for file in fresh if not file.exists() or file.read_bytes() != fresh[file]]
    for file in stale:
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")
        if not check:
            file.write_bytes(fresh[file])
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
