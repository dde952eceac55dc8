"""The results of `eval`, `score` and `judge`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.next_command import after_eval, after_judge
from kdbench.cli.shown.asked import AskedMetrics
from kdbench.cli.shown.fidelity import print_answers, print_fidelity
from kdbench.cli.shown.judged import print_judged
from kdbench.cli.shown.printer import Printer
from kdbench.cli.shown.quality import print_own, print_quality
from kdbench.cli.shown.repeated import print_repeated
from kdbench.text import counted

if TYPE_CHECKING:
    from kdbench.config import EvalSettings, ScoreSettings
    from kdbench.judging.settings import JudgeSettings
    from kdbench.judging.work import JudgedRun
    from kdbench.measuring.measurement import Evaluation
    from kdbench.store.results import TaskResult


def evaluation_answer(
    settings: "EvalSettings | ScoreSettings", evaluation: "Evaluation"
) -> VerbAnswer:
    """The answer of `eval` and `score`.

    Args:
        settings: Keys of the verb.
        evaluation: The results.
    """
    from kdbench.measuring.doubts import doubts

    return VerbAnswer(
        partial(print_evaluation, evaluation, settings.metric_names()),
        partial(evaluation_document, evaluation),
        warnings=doubts(evaluation),
        following=after_eval(settings, evaluation) if evaluation.results else "",
    )


def judgement_answer(settings: "JudgeSettings", judged: "JudgedRun") -> VerbAnswer:
    """The answer of `judge`.

    Args:
        settings: Keys of the verb.
        judged: The results.
    """
    return VerbAnswer(
        partial(print_judgement, judged),
        partial(judgement_document, judged),
        following=after_judge(settings, judged),
    )


def print_evaluation(evaluation: "Evaluation", asked: Sequence[str] = ()) -> None:
    """Print the results by task, and the metrics of fidelity if there is a teacher.

    Args:
        evaluation: The results.
        asked: Names in `metrics=`; without any, the usual metrics are printed.
    """
    printer, metrics = Printer(), AskedMetrics(tuple(asked))
    everything = {**evaluation.results, **evaluation.groups}
    print_quality(printer, everything, metrics)
    print_own(printer, everything)
    print_repeated(printer, evaluation.results)
    print_fidelity(printer, evaluation.results, metrics)
    print_answers(printer, evaluation.results, metrics)
    print_judged(printer, evaluation.results)
    printer.close()
    printer.line(f"{_done(evaluation)}; results in {evaluation.run}")
    for task, result in evaluation.results.items():
        if result.cut_prompts:
            were = "was" if result.cut_prompts == 1 else "were"
            cut = counted(result.cut_prompts, "prompt")
            printer.line(f"{task}: {cut} {were} cut at the protocol's limit")


def evaluation_document(evaluation: "Evaluation") -> dict[str, Any]:
    """The same, for JSON; the scores of single prompts are in the run's folder."""
    return {
        "run": evaluation.run,
        "generated": evaluation.generated,
        "results": _results(evaluation.results),
        "groups": _results(evaluation.groups),
    }


def print_judgement(judged: "JudgedRun") -> None:
    """Print the judge's metrics."""
    printer = Printer()
    print_judged(printer, judged.results)
    printer.close()
    printer.line(f"results in {judged.run}")


def judgement_document(judged: "JudgedRun") -> dict[str, Any]:
    """The judge's metrics, for JSON."""
    return {
        "run": judged.run,
        "asked": judged.asked,
        "stored": judged.stored,
        "results": _results(judged.results),
    }


def _results(results: "Mapping[str, TaskResult]") -> dict[str, Any]:
    return {
        task: {
            "main_metric": result.main_metric,
            "prompts": result.data.get("used"),
            "cut_prompts": result.cut_prompts,
            "metrics": {
                name: {**asdict(metric), "attained": metric.attained}
                for name, metric in result.metrics.items()
            },
            "teacher": result.teacher,
            "judge": result.judge,
        }
        for task, result in results.items()
    }


def _done(evaluation: "Evaluation") -> str:
    """What was made new: samples, and documents of tasks that are scored by likelihood."""
    by_likelihood = ["output_type" in r.fingerprint for r in evaluation.results.values()]
    if not any(by_likelihood):
        return f"{counted(evaluation.generated, 'sample')} generated"
    if all(by_likelihood):
        return f"{counted(evaluation.generated, 'document')} scored"
    return f"{evaluation.generated} samples generated or documents scored"
