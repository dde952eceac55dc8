"""The phrases that all outputs share: column titles, cells and explanations."""

from collections.abc import Iterator, Sequence

from kdbench.comparing.model import ComparedRow, Comparison, WorstPrompt
from kdbench.comparing.tolerance import format_tolerances
from kdbench.stats.defaults import POWER
from kdbench.text import DECIMALS, excerpts, signed

_LOSSES_OF_A_ROW = 3
_TEXT_LENGTH = 400  # characters
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
        str(row.needed) if row.needed and row.verdict == "inconclusive" else "",
        row.verdict,
    )


def row_line(comparison: Comparison, row: ComparedRow) -> str:
    """A row in one line: `task dolly, metric rougeL, …`."""
    pairs = zip(header(comparison), cells(row), strict=True)
    return ", ".join(f"{title} {cell}" for title, cell in pairs if cell)


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


def evidence_lines(row: ComparedRow, prompt: WorstPrompt, length: int) -> list[tuple[str, str]]:
    """The evidence of a prompt as titles and texts; empty if there is none.

    Args:
        row: Row of the prompt.
        prompt: Prompt with a large loss.
        length: Largest number of characters of a text.
    """
    evidence = prompt.evidence
    if evidence is None:
        return []
    digits = DECIMALS.get(row.unit, 2)
    scores = (evidence.base_score, evidence.new_score)
    texts = ["not stored" if score is None else f"{score:.{digits}f}" for score in scores]
    # A metric of all responses to a prompt, such as pass@8, has no score of one of them.
    has_scores = any(score is not None for score in scores)
    shown_scores = f" ({texts[0]} → {texts[1]})" if has_scores else ""
    lines = [("seed", f"{evidence.seed}{shown_scores}")]
    for title, text in (("prompt", evidence.prompt), ("reference", evidence.reference)):
        if text is not None:
            lines.append((title, excerpts([text], length)[0]))
    responses = {"base": evidence.base, "new": evidence.new}
    stored = excerpts([text for text in responses.values() if text is not None], length)
    shown = iter(stored)
    for title, response in responses.items():
        lines.append((title, "(not stored)" if response is None else next(shown) or "(empty)"))
    return lines


def loss_lines(row: ComparedRow) -> Iterator[str]:
    """The prompts of a row with the largest losses, with their evidence; empty without evidence."""
    for prompt in row.worst[:_LOSSES_OF_A_ROW]:
        evidence = evidence_lines(row, prompt, _TEXT_LENGTH)
        if evidence:
            yield loss_line(row, prompt)
            yield from (f"  {title}: {text}" for title, text in evidence)


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
