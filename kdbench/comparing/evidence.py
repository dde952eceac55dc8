"""The evidence of a loss: what was asked, and what both runs answered where their texts differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from kdbench.comparing.model import ComparedRow, Comparison, Evidence, ScoresOfSeed, WorstPrompt
from kdbench.comparing.samples import ScoredSample
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.texts import PromptTexts, TextsOfTask, questions, stored_texts
from kdbench.comparing.tolerance import gain_sign
from kdbench.comparing.verdict import fails
from kdbench.errors import InputError
from kdbench.system.quiet import quiet_libraries
from kdbench.task import data_folder, known_tasks, load_tasks, result_names
from kdbench.text import visible

_NOTHING = PromptTexts(None, None, (), {})


@dataclass(frozen=True)
class _TextsOfRuns:
    """The texts of a task's worst prompts in both runs, and those of the data set."""

    base: TextsOfTask
    new: TextsOfTask
    data: TextsOfTask

    def asked(self, document: str) -> PromptTexts:
        """The first texts of a prompt that say what was asked."""
        sources = (side.get(document, _NOTHING) for side in (self.new, self.base, self.data))
        return next((texts for texts in sources if texts.prompt is not None), _NOTHING)


def with_evidence(
    comparison: Comparison,
    base: ComparedRun,
    new: ComparedRun,
    data: Path | None = None,
    words: Sequence[str] = (),
) -> Comparison:
    """A comparison whose worst prompts have their evidence; that of a recipe has none.

    Prompts and references come from the runs or, if these lack them and a row lost, from the data.

    Args:
        comparison: Comparison without evidence.
        base: Base of the comparison.
        new: Run that was judged.
        data: Folder of the data sets; None for `KDBENCH_DATA`.
        words: Task names and YAML files that the user gave.
    """
    if base.trainings or new.trainings:
        return comparison  # a mean over trainings has no responses
    worst: dict[str, set[str]] = {}
    for row in comparison.rows:
        if row.worst:
            worst.setdefault(row.task, set()).update(prompt.id for prompt in row.worst)
    lost = {row.task for row in comparison.rows if _has_lost(comparison, row)}
    notes: list[str] = []
    texts: dict[str, _TextsOfRuns] = {}
    for task in sorted(worst):
        try:
            its = _texts(new, task, worst[task])
            asked = any(of_prompt.prompt is not None for of_prompt in its.values())
            old = _texts(base, task, worst[task], prompts=not asked)
        except InputError as error:
            notes.append(f"{task}: no responses are shown: {error}")
            continue
        known = asked or any(of_prompt.prompt is not None for of_prompt in old.values())
        data_set = {} if known or task not in lost else _data_texts(new, task, data, words)
        texts[task] = _TextsOfRuns(old, its, data_set)
    rows = (
        _row_with_evidence(row, texts[row.task]) if row.task in texts else row
        for row in comparison.rows
    )
    return replace(comparison, rows=tuple(rows), notes=(*comparison.notes, *notes))


def _texts(run: ComparedRun, task: str, ids: Iterable[str], prompts: bool = True) -> TextsOfTask:
    if run.folder is not None:
        return stored_texts(run.folder, task, sorted(ids), prompts)
    kept = run.texts.get(task, {})
    return {document: kept[document] for document in ids if document in kept}


def _has_lost(comparison: Comparison, row: ComparedRow) -> bool:
    return fails(row, comparison.rules) or row.verdict in ("regressed", "worse")


def _row_with_evidence(row: ComparedRow, texts: _TextsOfRuns) -> ComparedRow:
    worst = (replace(prompt, evidence=_evidence(row, prompt, texts)) for prompt in row.worst)
    return replace(row, worst=tuple(worst))


def _evidence(row: ComparedRow, prompt: WorstPrompt, texts: _TextsOfRuns) -> Evidence | None:
    """The evidence of a prompt; None if no text that a reader could tell apart is stored."""
    old, new = (side.get(prompt.id, _NOTHING).samples for side in (texts.base, texts.new))
    stored = sorted(old.keys() & new.keys() or {*old, *new})
    pairs = {seed: (old.get(seed), new.get(seed)) for seed in stored}
    differing = [seed for seed in stored if _differs(row.metric, *pairs[seed])]
    if not differing:
        return None
    sign = gain_sign(row.metric, row.direction)
    differing.sort(key=lambda seed: _gain(row.metric, sign, *pairs[seed]))
    seeds = [
        ScoresOfSeed(seed, *(_score(row.metric, sample) for sample in pairs[seed]))
        for seed in differing
    ]
    before, after = pairs[differing[0]]
    asked = texts.asked(prompt.id)
    return Evidence(
        seed=None if any(side and side.choices for side in (before, after)) else differing[0],
        base=None if before is None else before.text(row.metric),
        new=None if after is None else after.text(row.metric),
        base_score=seeds[0].base,
        new_score=seeds[0].new,
        differing=tuple(seeds),
        n_seeds=len(stored),
        prompt=asked.prompt,
        question=asked.question,
        references=asked.references,
    )


def _differs(metric: str, old: ScoredSample | None, new: ScoredSample | None) -> bool:
    """Whether a reader can tell the responses apart; spaces and control characters do not count."""
    if old is None or new is None:
        return True
    return visible(old.text(metric)) != visible(new.text(metric))


def _gain(metric: str, sign: int, old: ScoredSample | None, new: ScoredSample | None) -> float:
    """The gain of a seed; of a single run, its score as a gain or a loss."""
    before, after = _score(metric, old), _score(metric, new)
    if (old and before is None) or (new and after is None):
        return inf
    return sign * ((after or 0.0) - (before or 0.0))


def _score(metric: str, sample: ScoredSample | None) -> float | None:
    return None if sample is None else sample.scores.get(metric)


def _data_texts(
    run: ComparedRun, task: str, data: Path | None, words: Sequence[str]
) -> dict[str, PromptTexts]:
    """The prompts of a data set by id; empty unless the data that the run used are there.

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
    documents = {
        document.id: document
        for candidate in loaded
        if candidate.name == task and candidate.data["sha256"] == used
        for document in candidate.documents
    }
    asked = questions({id_: document.prompt for id_, document in documents.items()})
    return {
        id_: PromptTexts(document.prompt, asked[id_], document.references, {})
        for id_, document in documents.items()
    }
