"""`kdbench table --dry-run`: which rows and columns a table has, and what would be written."""

from kdbench.config import TableSettings, given_facts
from kdbench.system.outline import Fact, Section
from kdbench.system.outputs import is_stream
from kdbench.tables.build import build_table
from kdbench.tables.write import form_of, stale_diff, whole_file


def plan_table(settings: TableSettings) -> list[Section]:
    """What `kdbench table` would draw and write.

    Raises:
        InputError: As for the table itself, or for its file.
    """
    form, table = form_of(settings.out, settings.format), build_table(settings)
    facts = [*given_facts(settings), Fact("columns", " ".join(table.columns))]
    if settings.out is None or is_stream(settings.out):
        facts.append(Fact("writes", f"nothing: the {form} form goes to the terminal"))
    else:
        text = whole_file(settings.out, form, table.render(form), settings.block)
        state = "changes" if stale_diff(settings.out, text) else "is up to date"
        facts.append(Fact("writes", f"{settings.out}, which {state}"))
    sections = [Section("kdbench table: a dry run, which writes nothing", tuple(facts))]
    for group in table.groups:
        rows = []
        for row in group.rows:
            empty = sum(cell is None for cell in row.cells)
            source = f"{row.kind}, {row.source}" if row.source else row.kind
            note = f"; {empty} of {len(row.cells)} cells are empty" if empty else ""
            rows.append(Fact(row.label, f"{source}{note}"))
        sections.append(Section(group.title, tuple(rows)))
    return sections
