"""The evidence of a loss: what both runs answered where their scores differ most."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

from kdbench.comparing.model import ComparedRow, Comparison, Evidence, WorstPrompt
from kdbench.comparing.samples import ScoredSample, read_samples
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.tolerance import gain_sign
from kdbench.comparing.verdict import fails
from kdbench.errors import InputError
from kdbench.system.quiet import quiet_libraries
from kdbench.task import Document, data_folder, known_tasks, load_tasks, result_names
from kdbench.text import visible

SampleSets = tuple[list[ScoredSample], list[ScoredSample]]


def with_evidence(
    comparison: Comparison,
    base: ComparedRun,
    new: ComparedRun,
    data: Path | None = None,
    words: Sequence[str] = (),
) -> Comparison:
    """A comparison whose worst prompts have their evidence.

    Prompts and references are shown if the data sets are there and a row lost.

    Args:
        comparison: Comparison without evidence.
        base: Base of the comparison.
        new: Run that was judged.
        data: Folder of the data sets; None for `KDBENCH_DATA`.
        words: Task names and YAML files that the user gave.
    """
    tasks = {row.task for row in comparison.rows if row.worst}
    notes: list[str] = []
    samples: dict[str, SampleSets] = {}
    for task in sorted(tasks):
        try:
            samples[task] = (_samples(base, task), _samples(new, task))
        except InputError as error:
            notes.append(f"{task}: no responses are shown: {error}")
    lost = {row.task for row in comparison.rows if _has_lost(comparison, row)}
    documents = {task: _documents(new, task, data, words) for task in sorted(tasks & lost)}
    rows = tuple(
        _row_with_evidence(row, samples[row.task], documents.get(row.task, {}))
        if row.task in samples
        else row
        for row in comparison.rows
    )
    return replace(comparison, rows=rows, notes=(*comparison.notes, *notes))


def _samples(run: ComparedRun, task: str) -> list[ScoredSample]:
    return [] if run.folder is None else read_samples(run.folder, task)


def _has_lost(comparison: Comparison, row: ComparedRow) -> bool:
    return fails(row, comparison.rules) or row.verdict in ("regressed", "worse")


def _row_with_evidence(
    row: ComparedRow, samples: SampleSets, documents: Mapping[str, Document]
) -> ComparedRow:
    worst = tuple(
        replace(prompt, evidence=_evidence(row, prompt, samples, documents.get(prompt.id)))
        for prompt in row.worst
    )
    return replace(row, worst=worst)


def _evidence(
    row: ComparedRow, prompt: WorstPrompt, samples: SampleSets, document: Document | None
) -> Evidence | None:
    """The evidence of a prompt; None if no text that a reader could tell apart is stored."""
    old, new = (
        {sample.seed: sample for sample in of_run if sample.document == prompt.id}
        for of_run in samples
    )
    sign = gain_sign(row.metric, row.direction)
    stored = sorted(old.keys() & new.keys() or {*old, *new})
    seeds = [seed for seed in stored if _differs(old.get(seed), new.get(seed))]
    if not seeds:
        return None
    pairs = {seed: (old.get(seed), new.get(seed)) for seed in seeds}
    worst = min(seeds, key=lambda seed: _gain(row.metric, sign, *pairs[seed]))
    before, after = pairs[worst]
    return Evidence(
        seed=worst,
        base=None if before is None else before.output,
        new=None if after is None else after.output,
        base_score=None if before is None else before.scores.get(row.metric),
        new_score=None if after is None else after.scores.get(row.metric),
        prompt=None if document is None else document.prompt,
        reference=None if document is None else next(iter(document.references), None),
    )


def _differs(old: ScoredSample | None, new: ScoredSample | None) -> bool:
    """Whether a reader can tell the responses apart; spaces and control characters do not count."""
    if old is None or new is None:
        return True
    return visible(old.output) != visible(new.output)


def _gain(metric: str, sign: int, old: ScoredSample | None, new: ScoredSample | None) -> float:
    """The gain of a seed; of a single run, its score as a gain or a loss."""
    before = old and old.scores.get(metric)
    after = new and new.scores.get(metric)
    if (old and before is None) or (new and after is None):
        return inf
    return sign * ((after or 0.0) - (before or 0.0))


def _documents(
    run: ComparedRun, task: str, data: Path | None, words: Sequence[str]
) -> dict[str, Document]:
    """The documents of a task by id; empty unless the data that the run used are there.

    A name in a file never makes kdbench read a YAML file: only installed tasks and the user's own
    words are loaded.
    """
    named = [word for word in words if task in result_names(word)]
    folder = data_folder(data)
    if not named and (folder is None or task not in known_tasks()):
        return {}
    quiet_libraries()
    try:
        loaded = load_tasks(named or [task], folder)
    except InputError:
        return {}
    used = run.tasks[task].fingerprint.get("data_sha256")
    return {
        document.id: document
        for candidate in loaded
        if candidate.name == task and candidate.data["sha256"] == used
        for document in candidate.documents
    }
