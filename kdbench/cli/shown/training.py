"""What a training achieved and cost."""

from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.next_command import after_train
from kdbench.cli.shown.printer import Printer
from kdbench.text import counted

if TYPE_CHECKING:
    from kdbench.distillation.recipe import Recipe
    from kdbench.distillation.train import Trained


def training_answer(recipe: "Recipe", trained: "Trained") -> VerbAnswer:
    """The answer of `train`.

    Args:
        recipe: What was asked for.
        trained: What came of it.
    """
    return VerbAnswer(
        partial(print_training, trained),
        partial(training_document, trained),
        following=after_train(recipe, trained),
    )


def print_training(trained: "Trained") -> None:
    """Print the validation scores before and after, the times, and the checkpoint."""
    printer, card = Printer(), trained.card
    if not trained.steps:
        printer.line(f"{trained.checkpoint}: already trained with the same settings")
    before, after = card["validations"][0], card["selected"]
    for name, unit in (("loss", "nats per token"), ("rougeL", "points")):
        if name in after:
            printer.line(f"validation {name}: {before[name]:.3f} → {after[name]:.3f} {unit}")
    for name, phase in card["phases"].items():
        printer.line(f"  {name:<20}{phase['seconds']:9.1f} s {phase['tokens']:>10} tokens")
    prompts = card.get("prompts", {})
    if prompts and prompts["used"] < prompts["of"]:
        printer.line(f"{prompts['used']} of {prompts['of']} training prompts were used")
    if after.get("rougeL", 0) < before.get("rougeL", 0):
        printer.line("validation rougeL is lower than before training", "yellow")
    step = f"{after['step']:.0f}"
    taken = f"{counted(trained.steps, 'step')} taken"
    printer.line(f"{taken}; checkpoint of step {step} in {trained.checkpoint}")


def training_document(trained: "Trained") -> dict[str, Any]:
    """The same, for JSON: the checkpoint, and its run card."""
    return {"checkpoint": trained.checkpoint, "steps": trained.steps, "card": trained.card}
