"""What log and schedule learn of a step."""

from collections.abc import Callable, Sequence

from kdbench.training.loss import amounts_of
from kdbench.training.notes import Notes
from kdbench.training.objective import Term
from kdbench.training.schedule import StepSignals
from kdbench.training.step import Learned, StepOutcome, StepWork

SumNumbers = Callable[[Sequence[float]], list[float]]


def note_learned(notes: Notes, terms: Sequence[Term], learned: Learned, work: StepWork) -> None:
    """Add the terms and diagnostics of a step on this process to the log's next line.

    Args:
        notes: The means of that line.
        terms: What was minimised.
        learned: What the step gave.
        work: Its responses.
    """
    amounts = amounts_of(terms, work.rollouts)
    for key, total in learned.terms.items():
        notes.add(f"loss/{terms[key]}", float(total), amounts[key])
    for name, (total, count) in learned.diagnostics.items():
        notes.add(name, float(total), count)


def step_signals(
    outcome: StepOutcome,
    terms: Sequence[Term],
    steps: int,
    diagnoses: bool,
    sum_over_processes: SumNumbers,
) -> StepSignals:
    """What a schedule learns of a step, over all processes; every process must call it.

    Args:
        outcome: Of this process.
        terms: What was minimised.
        steps: The number of steps of the run.
        diagnoses: Whether the schedule needs the diagnostics.
        sum_over_processes: Returns the sums of numbers over all processes.
    """
    learned, work = outcome.learned, outcome.work
    sums = [float(learned.terms.get(key, 0.0)) for key in range(len(terms))]
    loss, *totals = sum_over_processes([float(learned.distillation), *sums])
    means = {
        str(term): total / amount
        for term, total, amount in zip(terms, totals, work.amounts, strict=True)
        if amount
    }
    diagnostics: dict[str, float] = {}
    if diagnoses:
        notes = Notes()
        for name, (total, count) in learned.diagnostics.items():
            notes.add(name, float(total), count)
        diagnostics = notes.take_means()
    return StepSignals(outcome.number, outcome.number / max(1, steps), loss, means, diagnostics)
