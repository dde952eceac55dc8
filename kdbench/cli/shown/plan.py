"""The prompts and seeds that a gate needs."""

from typing import TYPE_CHECKING

from kdbench.cli.shown.printer import Printer

if TYPE_CHECKING:
    from kdbench.comparing.plan import GatePlan


def print_plan(plan: "GatePlan") -> None:
    """Print the plan.

    Args:
        plan: The plan.
    """
    printer = Printer()
    printer.notes([plan.title])
    printer.line("")
    printer.table(plan.table(), left=(0, 1))
    printer.line("")
    printer.notes(plan.notes)
