"""A comparison in words, for all outputs."""

from collections.abc import Iterator, Sequence

from kdbench.comparing.model import Comparison, Row, WorstPrompt
from kdbench.comparing.tolerance import said_tolerances
from kdbench.stats.paired import POWER
from kdbench.text import DECIMALS, signed

_INTERVALS = {
    "flip": "by sign flips turned round",
    "bootstrap": "by paired bootstrap over prompts",
    "hierarchical": "by bootstrap over prompts, then their seeds",
}


def header(comparison: Comparison) -> tuple[str, ...]:
    """Titles of the columns."""
    level = f"{100 * (1 - comparison.rules.alpha):g} % interval"
    names = ("task", "metric", "prompts", "base", "new", "change", level, "p", "allowed")
    return (*names, "sees", "needs", "verdict")


def cells(row: Row) -> tuple[str, ...]:
    """A row, in the order of `header`."""
    digits = DECIMALS.get(row.unit, 2)
    low = "−∞" if row.low is None else signed(row.low, digits)
    high = "∞" if row.high is None else signed(row.high, digits)
    return (
        row.task,
        row.metric,
        str(row.n),
        f"{row.base:.{digits}f}",
        f"{row.new:.{digits}f}",
        signed(row.change, digits),
        f"[{low}, {high}]",
        "<0.001" if row.p_adjusted < 0.001 else f"{row.p_adjusted:.3f}",
        f"{row.tolerance:.{digits}f}",
        "" if row.least is None else f"{row.least:.{digits}f}",
        str(row.needed) if row.needed and row.verdict == "inconclusive" else "",
        row.verdict,
    )


def line(comparison: Comparison, row: Row) -> str:
    """A row in one line: `task dolly, metric rougeL, …`."""
    pairs = zip(header(comparison), cells(row), strict=True)
    return ", ".join(f"{name} {word}" for name, word in pairs if word)


def worst(rows: Sequence[Row], most: int) -> list[tuple[Row, WorstPrompt]]:
    """The prompts that lost most, of the first row's unit alone: others do not compare."""
    units = {row.unit for row in rows[:1]}
    found = [(row, one) for row in rows if row.unit in units for one in row.worst]
    found.sort(key=lambda pair: -abs(pair[1].new - pair[1].base))
    return found[:most]


def said_loss(row: Row, prompt: WorstPrompt) -> str:
    """`dolly 117: 61.20 → 20.00 (-41.20)`."""
    digits = DECIMALS.get(row.unit, 2)
    change = prompt.new - prompt.base
    numbers = f"{prompt.base:.{digits}f} → {prompt.new:.{digits}f} ({signed(change, digits)})"
    return f"{row.task} {prompt.id}: {numbers}"


def explained(comparison: Comparison) -> Iterator[str]:
    """How it was judged."""
    rules = comparison.rules
    yield f"tolerance {said_tolerances(comparison.tolerances)}; alpha {rules.alpha:g}" + "".join(
        f"; {word}"
        for word, on in (
            ("strict", rules.strict),
            ("require_conclusive", rules.require_conclusive),
            ("allow_partial", comparison.method.partial),
        )
        if on
    )
    yield (
        f"p: sign-flip permutation over prompts, seeds averaged, Holm over {len(comparison.rows)} "
        f"rows; interval {_INTERVALS[comparison.method.interval]}, of each row alone."
    )
    yield (
        f"sees: the change that is called one with {POWER:.0%} chance, at the first level of "
        "Holm; needs: prompts with which an inconclusive row would see its tolerance."
    )
