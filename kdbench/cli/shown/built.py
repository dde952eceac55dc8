"""What a builder made."""

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.next_command import after_build
from kdbench.cli.shown.printer import Printer
from kdbench.text import counted

if TYPE_CHECKING:
    from kdbench.builders.workshop.build import Built


def built_answer(built: "Built") -> VerbAnswer:
    """The answer of `build`.

    Args:
        built: The data set.
    """
    return VerbAnswer(
        partial(print_built, built), partial(built_document, built), following=after_build(built)
    )


def print_built(built: "Built") -> None:
    """Print the rows, what the builder says about them, and what models were asked."""
    printer, card = Printer(), built.card
    if not built.is_new:
        printer.line(f"{built.folder}: already built with the same settings")
    read, written = counted(card.rows_in, "row"), counted(card.rows_out, "row")
    printer.line(f"{card.title}: {read} read, {written} written to {built.train_file}")
    for name, value in card.figures.items():
        if isinstance(value, list):
            printer.line(f"  {name}:")
            for point in value:
                printer.line(f"    {_numbers(point)}")
        else:
            printer.line(f"  {name}: {_numbers(value)}")
    for key, cost in card.cost.items():
        printer.line(f"  asked of {key}: {_paid(cost)}")


def _numbers(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_numbers(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _paid(cost: dict[str, int]) -> str:
    parts = []
    for name, amount in cost.items():
        words = name.replace("_", " ")
        parts.append(f"{amount:.3g} FLOPs" if name == "flops" else f"{amount} {words}")
    return ", ".join(parts)


def built_document(built: "Built") -> dict[str, Any]:
    """The same, for JSON: the folder and its card."""
    card = json.loads(built.card.model_dump_json(by_alias=True))
    return {"folder": built.folder, "file": built.train_file, "new": built.is_new, "card": card}
