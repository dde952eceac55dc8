"""Lines and tables on standard output; tables fit the terminal."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from kdbench.system.console import say, say_styled
from kdbench.system.layout import GridCell, NumberCell, fit, left_out_note, output_width, wrapped
from kdbench.text import printable

_WAY = "a wider terminal, a pipe, or --json"


class Printer:
    """Prints a verb's result.

    Args:
        interval: What the intervals in its tables are.
    """

    def __init__(self, interval: str = "95 % intervals") -> None:
        self._width, self._interval = output_width(), interval
        self._dropped: set[str] = set()
        self._has_table = False

    def line(self, text: str, style: str = "") -> None:
        """Print a line as it is, such as one with a path."""
        say_styled(text, style)

    def notes(self, texts: Iterable[str]) -> None:
        """Print sentences, each broken between words where the terminal ends."""
        for text in texts:
            for line in wrapped(printable(text), self._width, "  ", whole_words=True):
                say(line)

    @property
    def dropped(self) -> Collection[str]:
        """Kinds of errors for which tables had no room."""
        return self._dropped

    def table(self, rows: Sequence[Sequence[GridCell]], left: Collection[int] = (0,)) -> None:
        """Print a table, if it has more than its first row, the titles of the columns.

        Args:
            rows: Rows of equally many cells.
            left: Indices of left-aligned columns, which are repeated where the columns do not fit.
        """
        if len(rows) < 2:
            return
        cleaned = [[_clean(cell) for cell in row] for row in rows]
        fitted = fit(cleaned, left, self._width, fixed=max(1, len(left)))
        self._dropped |= set(fitted.dropped)
        if self._has_table and self._width is not None:  # blocks are apart, so tables are too
            say("")
        self._has_table = True
        for line in fitted.lines:
            say_styled(line)

    def close(self) -> None:
        """Print what the tables had no room for."""
        if note := left_out_note(self._dropped, _WAY, self._interval):
            self.notes([note])


def _clean(cell: GridCell) -> GridCell:
    """The cell without what a terminal obeys: names of metrics and tasks come from files."""
    if isinstance(cell, NumberCell):
        return replace(cell, text=printable(cell.text))
    return printable(cell)
