"""What the verbs print after measuring or training."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from kdbench.cli.judged import judge_lines
from kdbench.metrics import of_repeated
from kdbench.system.console import say
from kdbench.task import NO_REFERENCES
from kdbench.text import DECIMALS, aligned

if TYPE_CHECKING:
    from kdbench.distillation.train import Trained
    from kdbench.measuring.measurement import Evaluation
    from kdbench.serving.speed import SpeedMeasurement
    from kdbench.store.results import MetricResult, TaskResult

_ALSO_SHOWN = ("exact_match", "response_length", "cut_off", "empty", "lm_loss")
_OF_THINKING = ("thinking_tokens", "unclosed_thinking")  # shown if the model has a thinking
_FIDELITY = ("acceptance@student", "top1@student", "fkl@teacher", "rkl@student", "rougeL_teacher")

_ANSWERS = {
    "answer_agreement": "agreement",
    "answers_rr": "both right",
    "answers_wr": "only student",
    "answers_rw": "only teacher",
    "answers_wws": "same wrong",
    "answers_wwd": "different wrong",
    "option_fkl": "KL(p‖q) nats",
    "option_ece": "calibration error",
}


def print_evaluation(evaluation: "Evaluation") -> None:
    """Print the results by task, and the headline fidelity metrics if there is a teacher."""
    for line in _quality_lines({**evaluation.results, **evaluation.groups}):
        say(line)
    for line in _own_lines({**evaluation.results, **evaluation.groups}):
        say(line)
    for line in _repeated_lines(evaluation.results):
        say(line)
    for line in [*_fidelity_lines(evaluation.results), *_answer_lines(evaluation.results)]:
        say(line)
    for line in judge_lines(evaluation.results):
        say(line)
    say(f"{evaluation.generated} {_done(evaluation.results)}; results in {evaluation.run}")
    for task, result in evaluation.results.items():
        if result.cut_prompts:
            say(f"{task}: {result.cut_prompts} prompts were cut at the protocol's limit")


def _done(results: "Mapping[str, TaskResult]") -> str:
    """What was made new: samples, and documents of tasks that are scored by likelihood."""
    by_likelihood = ["output_type" in result.fingerprint for result in results.values()]
    if not any(by_likelihood):
        return "samples generated"
    return "documents scored" if all(by_likelihood) else "samples generated or documents scored"


def print_training(trained: "Trained") -> None:
    """Print what the training achieved and cost."""
    card = trained.card
    if not trained.steps:
        say(f"{trained.checkpoint}: already trained with the same settings")
    before, after = card["validations"][0], card["selected"]
    for name, unit in (("loss", "nats per token"), ("rougeL", "points")):
        if name in after:
            say(f"validation {name}: {before[name]:.3f} → {after[name]:.3f} {unit}")
    for name, phase in card["phases"].items():
        say(f"  {name:<20}{phase['seconds']:9.1f} s {phase['tokens']:>10} tokens")
    prompts = card.get("prompts", {})
    if prompts and prompts["used"] < prompts["of"]:
        say(f"{prompts['used']} of {prompts['of']} training prompts were used")
    if after.get("rougeL", 0) < before.get("rougeL", 0):
        say("validation rougeL is lower than before training")
    step = f"{after['step']:.0f}"
    say(f"{trained.steps} steps taken; checkpoint of step {step} in {trained.checkpoint}")


def print_speed(measurement: "SpeedMeasurement") -> None:
    """Print the speed under each load."""
    records = measurement.records
    titles = ("requests at a time", "tokens a second", "latency p50 (s)", "latency p95 (s)")
    rows = [[*titles, "tokens of a response"]]
    for record in records.values():
        speeds = (record.tokens_per_second, record.latency_p50, record.latency_p95)
        cells = [f"{s.value:.4g} [{s.low:.4g}, {s.high:.4g}]" for s in speeds]
        rows.append([str(record.load.concurrency), *cells, f"{record.new_tokens:.4g}"])
    first = next(iter(records.values()))
    load, model = first.load, first.model
    in_dtype = f" in {model.dtype}" if model.dtype else ""
    say(
        f"{model.name}{in_dtype}, backend {first.backend['name']}, {first.hardware}: prompts of "
        f"{load.prompt_tokens} tokens, responses of {load.new_tokens}"
    )
    for line in aligned(rows):
        say(line)
    say("in brackets: the lowest and the highest repeat")
    if any(record.ends_early for record in records.values()):
        say(f"the model ended responses itself, before {load.new_tokens} tokens")
    stored = len(records) - measurement.measured
    folder = next(iter(records)).parent
    say(f"{measurement.measured} measured now, {stored} before; results in {folder}")


def _quality_lines(results: "Mapping[str, TaskResult]") -> list[str]:
    """The tasks with their main metric and a few others."""
    main = {result.main_metric for result in results.values()}
    known = {name for result in results.values() for name in result.metrics}
    also = [*_ALSO_SHOWN, *_OF_THINKING]
    shown = [name for name in also if name not in main and name in known]
    lack = {name for name in shown if all(_lacks(r, name) for r in results.values())}
    shown = [name for name in shown if name not in lack]
    title = " / ".join(sorted(main)) if len(main) < 3 else "main metric"
    rows = [["task", "prompts", f"{title} [95 % interval] ± seeds", *shown]]
    for task, result in results.items():
        others = [_short(result.metrics.get(name)) for name in shown]
        main_cell = _main_cell(result.metrics[result.main_metric])
        main_cell = f"{result.main_metric} {main_cell}" if len(main) > 1 else main_cell
        rows.append([task, str(result.data["used"]), main_cell, *others])
    return [*aligned(rows, left={0}), *_missing_lines(results)]


def _lacks(result: "TaskResult", name: str) -> bool:
    """Whether a metric has no number because the prompts have no references."""
    return name in result.metrics and result.metrics[name].reason == NO_REFERENCES


def _missing_lines(results: "Mapping[str, TaskResult]") -> Iterator[str]:
    """Which prompts the main metrics do not see."""
    for task, result in results.items():
        counted, used = result.metrics[result.main_metric].n, result.data["used"]
        if any(_lacks(result, name) for name in result.metrics):
            yield f"{task}: {NO_REFERENCES}, so nothing is compared with them"
        elif 0 < counted < used:
            yield f"{task}: {result.main_metric} counts {counted} of {used} prompts"


def _repeated_lines(results: "Mapping[str, TaskResult]") -> list[str]:
    """The metrics of repeated samples, a row each with a column for each k, and missing reasons."""
    found: dict[tuple[str, str], dict[int, MetricResult]] = {}
    for task, result in results.items():
        for name in filter(of_repeated, result.metrics):
            base, _, k = name.partition("@")
            found.setdefault((task, f"{base}@k"), {})[int(k)] = result.metrics[name]
    if not found:
        return []
    ks = sorted({k for by_k in found.values() for k in by_k})
    rows = [["repeated samples [95 % interval]", "", *(f"k={k}" for k in ks)]]
    for (task, name), by_k in found.items():
        rows.append([task, name, *(_repeated_cell(by_k.get(k)) for k in ks)])
    reasons = {
        f"{task}: {metric.reason}"
        for (task, _), by_k in found.items()
        for metric in by_k.values()
        if metric.reason
    }
    return [*aligned(rows, left={0, 1}), *sorted(reasons)]


def _repeated_cell(metric: "MetricResult | None") -> str:
    if metric is None:
        return ""
    if metric.value is None:
        return "–"
    if metric.ci_low is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} [{metric.ci_low:.3f}, {metric.ci_high:.3f}]"


def _own_lines(results: "Mapping[str, TaskResult]") -> list[str]:
    """The other metrics of the tasks that have metrics of their own."""
    rows = [["task", "metric", "value [95 % interval] ± seeds"]]
    for task, result in results.items():
        for name, metric in result.metrics.items():
            if "," in name and name != result.main_metric:
                rows.append([task, name, _main_cell(metric)])
    return aligned(rows, left={0, 1}) if len(rows) > 1 else []


def _fidelity_lines(results: "Mapping[str, TaskResult]") -> list[str]:
    """The headline fidelity metrics of the tasks that were compared with a teacher, and notes."""
    compared = {
        task: result
        for task, result in results.items()
        if result.teacher and any(name in result.metrics for name in _FIDELITY)
    }
    names = [
        name for name in _FIDELITY if any(name in result.metrics for result in compared.values())
    ]
    if not names:
        return []
    teachers = [result.teacher["name"] for result in compared.values() if result.teacher]
    rows = [[f"compared with {teachers[0]}", *names]]
    for task, result in compared.items():
        rows.append([task, *(_fidelity_cell(result.metrics.get(name)) for name in names)])
    shown = [result.metrics.get(name) for result in compared.values() for name in names]
    notes = _fidelity_notes([metric for metric in shown if metric is not None])
    return [*aligned(rows, left={0}), *notes, *_tokenizer_notes(compared.values())]


def _answer_lines(results: "Mapping[str, TaskResult]") -> list[str]:
    """Agreement of final answers, who is right, and probabilities of options, by task."""
    from kdbench.reports.points import equally_right_p

    compared = {
        task: result
        for task, result in results.items()
        if (metric := result.metrics.get("answer_agreement")) and metric.value is not None
    }
    shown = {
        name: title
        for name, title in _ANSWERS.items()
        if any(name in result.metrics for result in compared.values())
    }
    rows = [["final answers", "McNemar p", *shown.values()]]
    for task, result in compared.items():
        cells = [_fidelity_cell(result.metrics.get(name)) for name in shown]
        p = equally_right_p(result)
        rows.append([task, "–" if p is None else f"{p:.3f}", *cells])
    return aligned(rows, left={0}) if compared else []


def _fidelity_notes(metrics: "Collection[MetricResult]") -> list[str]:
    """Why cells are empty, and what the numbers in brackets are."""
    missing = {metric.reason for metric in metrics if metric.value is None and metric.reason}
    notes = sorted(missing)
    if any(metric.attained is not None for metric in metrics):
        notes.append("in brackets: share of the gap from undistilled student to ceiling")
    return notes


def _tokenizer_notes(results: "Iterable[TaskResult]") -> list[str]:
    """How far the tokens of different tokenizers meet."""
    notes: dict[str, None] = {}
    for result in results:
        share = result.metrics.get("aligned@student")
        difference = result.teacher and result.teacher.get("tokenizers")
        if difference and share is not None and share.value is not None:
            at = f"{share.value:.0%} of the student's tokens".replace("%", " %")
            notes[f"{difference}: compared where a token of each begins, {at}"] = None
    return list(notes)


def _fidelity_cell(metric: "MetricResult | None") -> str:
    if metric is None or metric.value is None:
        return "–"
    text = f"{metric.value:.3f}" if metric.unit != "points" else f"{metric.value:.2f}"
    if metric.bound:
        text = f"{'≥' if metric.bound == 'lower' else '≤'} {text}"
    return text if metric.attained is None else f"{text} ({metric.attained:.0%})"


def _main_cell(metric: "MetricResult") -> str:
    if metric.value is None:
        return metric.reason or ""
    decimals = DECIMALS.get(metric.unit, 2)
    text = f"{metric.value:.{decimals}f}"
    if metric.ci_low is not None:
        text += f" [{metric.ci_low:.{decimals}f}, {metric.ci_high:.{decimals}f}]"
    return text if metric.seed_sd is None else f"{text} ± {metric.seed_sd:.{decimals}f}"


def _short(metric: "MetricResult | None") -> str:
    return "" if metric is None or metric.value is None else f"{metric.value:.3g}"
