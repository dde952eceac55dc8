"""What makes the numbers of a finished run meaningless, a line each with the way out."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from kdbench.errors import InputError
from kdbench.generate import Sample
from kdbench.measuring.measurement import Evaluation
from kdbench.metrics.rouge import rouge_words
from kdbench.store.packed_folder import open_run
from kdbench.store.places import run_folders_in
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.samples import read_sample
from kdbench.text import counted

NEARLY_ALL = 0.95
"""Share of responses that are cut, empty or without words from which a task is doubted. What is
left, 5 %, is less than the usual width of an interval over prompts."""

FEW_PROMPTS = 20
"""Number of prompts below which a line says that they are few. Simulated intervals of skewed scores
cover the truth in 95 % of samples of ten and in 93 % of four; but they are wide, and none knows of
rare scores that a sample lacks (see `benchmarks/intervals.py`)."""

_SEEN = 1000  # responses of a task that are read; faults of this kind show in all of them
_LEAST = 5  # responses that can be called all alike


def doubts(evaluation: Evaluation) -> list[str]:
    """Find what makes the results doubtful; empty if nothing does.

    Args:
        evaluation: Finished results.
    """
    results = evaluation.results
    samples = {task: _samples(evaluation.run, task) for task in results}
    texts = {task: [sample.answer for sample in seen] for task, seen in samples.items()}
    found: list[str] = [*_of_lengths(results, samples), *_of_texts(results, texts)]
    found += [*_of_teachers(evaluation.run, results), *_of_few(results)]
    return found


def _of_lengths(
    results: Mapping[str, TaskResult], samples: Mapping[str, Sequence[Sample]]
) -> Iterator[str]:
    cut = _shares(results, "cut_off", samples, lambda sample: sample.finish == "length")
    if full := [task for task, share in cut.items() if share == 1]:
        yield (
            f"{_listed(full)}: no response ended by itself, all were cut at max_new_tokens="
            f"{_limit(results[full[0]])}; raise it, or check the end token with kdbench doctor eval"
        )
    if part := [task for task, share in cut.items() if NEARLY_ALL <= share < 1]:
        least = _percent(min(cut[task] for task in part))
        yield (
            f"{_listed(part)}: {least} or more of the responses were cut at max_new_tokens="
            f"{_limit(results[part[0]])}; raise it"
        )
    empty = _shares(results, "empty", samples, lambda sample: not sample.answer)
    if blank := [task for task, share in empty.items() if share >= NEARLY_ALL]:
        share = min(empty[task] for task in blank)
        number = "every response is" if share == 1 else f"{_percent(share)} of the responses are"
        yield (
            f"{_listed(blank)}: {number} empty; look at one prompt with --dry-run, and at the chat "
            "template with kdbench doctor eval"
        )


def _of_texts(
    results: Mapping[str, TaskResult], texts: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    alike = _tasks(texts, lambda seen: len(seen) >= _LEAST and len(set(seen)) == 1 and seen[0])
    if alike:
        yield (
            f"{_listed(alike)}: all responses are the same text; the prompts may not reach the "
            "model, see one with --dry-run"
        )
    unseen = [
        task
        for task in _tasks(texts, lambda seen: _share_unseen(seen) >= NEARLY_ALL)
        if results[task].main_metric == "rougeL" and not results[task].metrics["rougeL"].value
    ]
    if unseen:
        yield (
            f"{_listed(unseen)}: rougeL sees no word in the responses, because only a-z and 0-9 "
            "count; give rouge_tokenizer=unicode, or rouge_tokenizer=characters for scripts "
            "without spaces"
        )


def _of_teachers(run: Path, results: Mapping[str, TaskResult]) -> Iterator[str]:
    """Teachers that are worse than their student, by more than the student's interval."""
    better = []
    for task, result in results.items():
        student, teacher = result.metrics.get(result.main_metric), _teacher(run, task, result)
        if student is not None and teacher is not None and _is_better(student, teacher):
            better.append(task)
    if better:
        name = (results[better[0]].teacher or {}).get("name", "the teacher")
        yield (
            f"{_listed(better)}: the student is better than its teacher {name}; check that the "
            "teacher gets the prompts it was trained on, with kdbench doctor eval model=TEACHER"
        )


def _of_few(results: Mapping[str, TaskResult]) -> Iterator[str]:
    few = [
        task
        for task, result in results.items()
        if (main := result.metrics.get(result.main_metric)) is not None
        and main.ci_low is not None
        and main.n < FEW_PROMPTS
    ]
    if few:
        least = min(results[task].metrics[results[task].main_metric].n for task in few)
        yield (
            f"{_listed(few)}: only {counted(least, 'prompt')} (below {FEW_PROMPTS}, intervals "
            "are wide and rare scores are missing); a larger limit= gives more prompts"
        )


def _shares(
    results: Mapping[str, TaskResult],
    name: str,
    samples: Mapping[str, Sequence[Sample]],
    holds: Callable[[Sample], bool],
) -> dict[str, float]:
    """A share of the responses by task: the metric's value, else that of the samples seen.

    Args:
        results: Results by task.
        name: Name of the metric.
        samples: Samples that are stored.
        holds: Whether a sample counts.
    """
    shares = {}
    for task, result in results.items():
        metric, seen = result.metrics.get(name), samples[task]
        if metric is not None and metric.value is not None:
            shares[task] = metric.value
        elif metric is None and seen:
            shares[task] = sum(map(holds, seen)) / len(seen)
    return shares


def _samples(run: Path, task: str) -> list[Sample]:
    """The first samples of a task; none if they are not stored, or the file is damaged."""
    folder = open_run(run)
    samples: list[Sample] = []
    for file in [folder.lines(task), *folder.shard_files(task)]:
        with suppress(OSError, ValueError, InputError), file.path.open("rb") as stream:
            for line in islice(stream, _SEEN - len(samples)):
                samples.append(read_sample(json.loads(line), str(file.path)))
    return samples


def _tasks(
    texts: Mapping[str, Sequence[str]], holds: Callable[[Sequence[str]], object]
) -> list[str]:
    return [task for task, seen in texts.items() if holds(seen)]


def _share_unseen(texts: Sequence[str]) -> float:
    """The share of texts with letters of which ROUGE-L sees no word, among those with letters."""
    written = [text for text in texts if any(map(str.isalnum, text))]
    return sum(not rouge_words(text) for text in written) / len(written) if written else 0.0


def _teacher(run: Path, task: str, result: TaskResult) -> MetricResult | None:
    """The teacher's main metric on the same prompts, if it is stored beside the student's run."""
    sha256 = (result.teacher or {}).get("sha256")
    if sha256 is None:
        return None
    for path in run_folders_in(run.parent.parent):
        folder = open_run(path)
        with suppress(OSError, InputError):
            if folder.read_whole_run()["model"].get("sha256") != sha256:
                continue
            stored = folder.read_task(task)
            if stored is not None and stored.fingerprint == result.fingerprint:
                return stored.metrics.get(result.main_metric)
    return None


def _is_better(student: MetricResult, teacher: MetricResult) -> bool:
    if student.ci_low is None or student.ci_high is None or teacher.value is None:
        return False
    if student.direction == "higher":
        return student.ci_low > teacher.value
    return student.direction == "lower" and student.ci_high < teacher.value


def _limit(result: TaskResult) -> object:
    return result.fingerprint.get("protocol", {}).get("max_new_tokens", "…")


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _listed(tasks: Sequence[str]) -> str:
    return ", ".join(tasks)
