"""Fidelity on tasks that are scored by likelihood: final answers, and probabilities of options."""

from dataclasses import replace

from kdbench.fidelity.model_pair import ModelPair
from kdbench.fidelity.pairs import add_pairs
from kdbench.fidelity.results import Results
from kdbench.fidelity.wanted import WantedMetrics
from kdbench.measuring.likelihood.answers import OptionAnswers
from kdbench.measuring.likelihood.final import final_answer
from kdbench.metrics import Answer
from kdbench.task import Task

_ONCE = 0  # the seed of what has no seeds


def add_option_metrics(results: Results, pair: ModelPair, wanted: WantedMetrics) -> None:
    """Measure the metrics of answers and options and add them to the results.

    Nothing here depends on a tokenizer: both models give probabilities of the same texts.

    Args:
        results: Results to add to.
        pair: Student, teacher and task.
        wanted: Metrics to measure; those of responses get no number.

    Raises:
        InputError: A cached teacher lacks the task's options.
    """
    kind = pair.task.output_type
    no_responses = f"compares responses, and the task is scored by likelihood ({kind})"
    of_responses = {metric.name for metric in wanted.metrics if metric.compares == "responses"}
    nulls = sorted(name for name in wanted.names if name.partition("@")[0] in of_responses)
    results.add_nulls(nulls, wanted, no_responses)
    rest = tuple(metric for metric in wanted.metrics if metric.name not in of_responses)
    if not rest:
        return
    student, teacher = (
        {_ONCE: _answers(pair.task, model.options(pair.task))}
        for model in (pair.student, pair.teacher)
    )
    add_pairs(results, WantedMetrics(rest, wanted.names), student, teacher)
    for metric in rest:
        result = results.metrics[metric.name]
        results.metrics[metric.name] = replace(result, per_seed={}, seed_sd=None)


def _answers(task: Task, options: OptionAnswers) -> list[Answer]:
    return [final_answer(task, options[document.id]) for document in task.documents]
