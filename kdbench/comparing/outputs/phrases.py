"""The phrases that all outputs share: column titles, cells and explanations."""

from collections.abc import Iterator, Sequence

from kdbench.comparing.model import ComparedRow, Comparison, WorstPrompt
from kdbench.comparing.tolerance import format_tolerances
from kdbench.comparing.verdict import fails, is_undecided
from kdbench.stats.defaults import POWER
from kdbench.text import DECIMALS, signed

_UNDECIDED = 10  # rows
_INTERVALS = {
    "flip": "changes that neither test rejects",
    "bootstrap": "paired bootstrap over prompts",
    "hierarchical": "bootstrap over prompts and their seeds",
}


def header(comparison: Comparison) -> tuple[str, ...]:
    """The titles of the columns."""
    level = f"{100 * (1 - comparison.rules.alpha):g} % interval"
    titles = ("task", "metric", "prompts", "base", "new", "change", level, "p", "allowed")
    return (*titles, "sees", "needs", "verdict")


def cells(row: ComparedRow) -> tuple[str, ...]:
    """The cells of a row, in the order of `header`."""
    digits = DECIMALS.get(row.unit, 2)
    low = "−∞" if row.low is None else signed(row.low, digits)
    high = "∞" if row.high is None else signed(row.high, digits)
    return (
        row.name,
        row.metric,
        str(row.n),
        f"{row.base:.{digits}f}",
        f"{row.new:.{digits}f}",
        signed(row.change, digits),
        f"[{low}, {high}]",
        "<0.001" if row.p_adjusted < 0.001 else f"{row.p_adjusted:.3f}",
        f"{row.tolerance:.{digits}f}",
        "" if row.least is None else f"{row.least:.{digits}f}",
        str(row.needed) if row.needed and is_undecided(row) else "",
        row.verdict,
    )


def row_line(comparison: Comparison, row: ComparedRow) -> str:
    """A row in one line: `task dolly, metric rougeL, …`."""
    pairs = zip(header(comparison), cells(row), strict=True)
    return ", ".join(f"{title} {cell}" for title, cell in pairs if cell)


def undecided_lines(comparison: Comparison) -> Iterator[str]:
    """The rows that could not be decided, with what each can see and needs."""
    if comparison.problems:
        return
    undecided = [row for row in comparison.rows if is_undecided(row)]
    for row in undecided[:_UNDECIDED]:
        word = "fails" if fails(row, comparison.rules) else "passes"
        yield f"not decided ({word}): {row.shortfall}"
    if len(undecided) > _UNDECIDED:
        yield f"not decided: {len(undecided) - _UNDECIDED} more rows"


def largest_losses(
    rows: Sequence[ComparedRow], count: int
) -> list[tuple[ComparedRow, WorstPrompt]]:
    """The prompts with the largest losses, with their rows.

    Only rows with the unit of the first row are used, because losses in different units do not
    compare.

    Args:
        rows: Rows of the comparison.
        count: Largest number of prompts.
    """
    units = {row.unit for row in rows[:1]}
    # A prompt of a category is a prompt of its task too.
    losses = list(
        {
            (row.task, row.metric, prompt.id): (row, prompt)
            for row in rows
            if row.unit in units
            for prompt in row.worst
        }.values()
    )
    losses.sort(key=lambda loss: -abs(loss[1].new - loss[1].base))
    return losses[:count]


def loss_line(row: ComparedRow, prompt: WorstPrompt) -> str:
    """The loss of a prompt in one line: `dolly 117: 61.20 → 20.00 (-41.20)`."""
    digits = DECIMALS.get(row.unit, 2)
    change = prompt.new - prompt.base
    numbers = f"{prompt.base:.{digits}f} → {prompt.new:.{digits}f} ({signed(change, digits)})"
    return f"{row.name} {prompt.id}: {numbers}"


def method_lines(comparison: Comparison) -> Iterator[str]:
    """How the rows were tested and what their columns mean."""
    rules = comparison.rules
    options = {
        "strict": rules.strict,
        "require_conclusive": rules.require_conclusive,
        "allow_partial": comparison.method.partial,
    }
    yield "; ".join(
        [
            f"tolerance {format_tolerances(comparison.tolerances)}",
            f"alpha {rules.alpha:g}",
            *(option for option, is_on in options.items() if is_on),
        ]
    )
    count = len(comparison.rows)
    yield (
        "p: two-sided, over prompts (seeds averaged); the larger one of a sign-flip test and a "
        f"test that allows for skew, Holm's correction over {count} row{'s' * (count != 1)}"
    )
    yield f"interval: {_INTERVALS[comparison.method.interval]}, for each row alone"
    yield (
        f"sees: smallest change detected with {100 * POWER:g} % power (at Holm's strictest level); "
        "needs: prompts required to detect a change as large as the tolerance"
    )
