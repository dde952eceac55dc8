"""What the verbs print when they have measured or trained."""

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kdbench.system.console import say

if TYPE_CHECKING:
    from kdbench.distillation.train import Trained
    from kdbench.measuring.measurement import Evaluation

_ALSO_SHOWN = ("exact_match", "response_length", "cut_off", "empty", "lm_loss")
_FIDELITY = ("acceptance@student", "top1@student", "fkl@teacher", "rkl@student", "rougeL_teacher")


def print_evaluation(evaluation: "Evaluation") -> None:
    """The results by task, and beside the teacher where there is one."""
    main = {result.main_metric for result in evaluation.results.values()}
    shown = [name for name in _ALSO_SHOWN if name not in main]
    drawn = Table("task", "prompts", box=None, header_style="bold")
    for title in (f"{' / '.join(sorted(main))} [95 % interval] ± seeds", *shown):
        drawn.add_column(Text(title), justify="right")
    for task, result in evaluation.results.items():
        cells = [_main_cell(result.metrics[result.main_metric])]
        for name in shown:
            metric = result.metrics.get(name)
            cells.append("" if metric is None or metric.value is None else f"{metric.value:.3g}")
        drawn.add_row(task, str(result.data["used"]), *cells)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(drawn)
    if fidelity := _fidelity_table(evaluation.results):
        console.print(fidelity)
    say(f"{evaluation.generated} samples generated; results in {evaluation.run}")
    for task, result in evaluation.results.items():
        if result.cut_prompts:
            say(f"{task}: {result.cut_prompts} prompts were cut at the protocol's limit")


def _fidelity_table(results: Any) -> Any:
    """The headline metrics beside the teacher; None without one."""
    compared = {task: result for task, result in results.items() if result.teacher}
    names = [n for n in _FIDELITY if any(n in one.metrics for one in compared.values())]
    if not names:
        return None
    teacher = next(iter(compared.values())).teacher["name"]
    drawn = Table(box=None, header_style="bold")
    drawn.add_column(Text(f"beside {teacher}"))
    for name in names:
        drawn.add_column(Text(name), justify="right")
    for task, result in compared.items():
        cells = [_fidelity_cell(result.metrics.get(name)) for name in names]
        drawn.add_row(task, *map(Text, cells))
    reasons = {
        metric.reason
        for result in compared.values()
        for name in names
        if (metric := result.metrics.get(name)) and metric.value is None
    }
    notes = sorted(filter(None, reasons))
    found = [one.metrics.get(name) for one in compared.values() for name in names]
    if any(metric is not None and metric.attained is not None for metric in found):
        notes.append("in brackets: the way from the undistilled student to the ceiling")
    drawn.caption = Text("; ".join(notes)) if notes else None
    return drawn


def _fidelity_cell(metric: Any) -> str:
    if metric is None or metric.value is None:
        return "–"
    text = f"{metric.value:.3f}" if metric.unit != "points" else f"{metric.value:.2f}"
    if metric.bound:
        text = f"{'≥' if metric.bound == 'lower' else '≤'} {text}"
    return text if metric.attained is None else f"{text} ({metric.attained:.0%})"


def print_training(trained: "Trained") -> None:
    """What the training did and cost."""
    card = trained.card
    if not trained.steps:
        say(f"{trained.checkpoint}: trained already, by the same settings")
    start, kept = card["validations"][0], card["selected"]
    for name, unit in (("loss", "nats a token"), ("rougeL", "points")):
        say(f"validation {name}: {start[name]:.3f} → {kept[name]:.3f} {unit}")
    for name, phase in card["phases"].items():
        say(f"  {name:<20}{phase['seconds']:9.1f} s {phase['tokens']:>10} tokens")
    prompts = card.get("prompts", {})
    if prompts and prompts["used"] < prompts["of"]:
        say(f"{prompts['used']} of {prompts['of']} training prompts were used")
    if kept["rougeL"] < start["rougeL"]:
        say("validation rougeL is lower than before training")
    step = f"{kept['step']:.0f}"
    say(f"{trained.steps} steps taken; checkpoint of step {step} in {trained.checkpoint}")


def _main_cell(metric: Any) -> str:
    if metric.value is None:
        return metric.reason or ""
    text = f"{metric.value:.2f}"
    if metric.ci_low is not None:
        text += f" [{metric.ci_low:.2f}, {metric.ci_high:.2f}]"
    return text if metric.seed_sd is None else f"{text} ± {metric.seed_sd:.2f}"
