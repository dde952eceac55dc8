"""The schema of a gate's baseline file: whatever differs from it is refused in one line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kdbench.comparing.samples import LARGEST_SCORE, ScoredSample, is_score
from kdbench.comparing.scores import can_be_measured
from kdbench.comparing.texts import PromptTexts, questions
from kdbench.comparing.tolerance import parse_tolerances
from kdbench.errors import InputError, first_fault
from kdbench.system.files import read_json
from kdbench.text import printable, shortened

KIND = "gate"


class _StrictTypes(BaseModel):
    model_config = ConfigDict(strict=True)


class _Model(_StrictTypes):
    name: str
    sha256: str | None


class _Protocol(_StrictTypes):
    model_config = ConfigDict(strict=True, extra="allow")

    name: str
    seeds: list[int] = Field(default_factory=list)


class _Fingerprint(_StrictTypes):
    model_config = ConfigDict(strict=True, extra="allow")

    task: str
    protocol: _Protocol


class _Metric(_StrictTypes):
    unit: str
    direction: Literal["higher", "lower", "none"]
    version: str
    teacher: str | None = None
    bound: Literal["lower", "upper"] | None = None


class _KeptResponse(_StrictTypes):
    output: str
    scores: dict[str, float | None] = Field(default_factory=dict)
    choices: dict[str, str] = Field(default_factory=dict)


class _KeptTexts(_StrictTypes):
    prompt: str | None
    references: list[str]
    responses: dict[str, _KeptResponse]


class BaselineFile(_StrictTypes):
    """The content of a baseline.

    Attributes:
        model: Name and hash of the checkpoint.
        limit: Number of documents used of each task; None for all.
        tolerance: Tolerances as the user writes them.
        fingerprints: Fingerprint of each task.
        metrics: Description of each metric, by `task:metric`.
        scores: Document ids and scores of each task, by column.
        texts: Prompts, references and responses by seed, by `task:id`; of some prompts or none.
    """

    model: _Model
    limit: int | None = Field(ge=1)
    tolerance: str
    fingerprints: dict[str, _Fingerprint] = Field(min_length=1)
    metrics: dict[str, _Metric]
    scores: dict[str, dict[str, list[Any]]]
    texts: dict[str, _KeptTexts] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _check_tolerance(cls, content: dict[str, Any]) -> dict[str, Any]:
        if isinstance(content.get("tolerance"), str):
            parse_tolerances(content["tolerance"])
        return content

    @model_validator(mode="after")
    def _check_tasks(self) -> "BaselineFile":
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        for task, fingerprint in self.fingerprints.items():
            if fingerprint.task != task:
                yield f"the fingerprint of '{task}' is of '{fingerprint.task}'"
            columns = self.scores.get(task, {})
            ids = columns.get("id", [])
            if not ids or not all(isinstance(document, str) for document in ids):
                yield f"'{task}' has no list of document ids"
            if len(set(ids)) < len(ids):
                yield f"'{task}' has a document id twice"
            for metric in parse_tolerances(self.tolerance):
                if not can_be_measured(metric, self.fingerprint(task)) and metric not in columns:
                    continue  # of another kind of tasks
                if metric not in columns or f"{task}:{metric}" not in self.metrics:
                    yield f"'{task}' has no {metric}, which has a tolerance"
            if not columns.keys() - {"id"}:
                yield f"'{task}' has no metric with a tolerance"
            for name in columns.keys() - {"id"}:
                yield from self._column_faults(task, name)
        yield from self._text_faults()

    def _column_faults(self, task: str, name: str) -> Iterator[str]:
        scores = self.scores[task][name]
        if f"{task}:{name}" not in self.metrics:
            yield f"{name} of '{task}' is not described"
        if len(scores) != len(self.scores[task]["id"]):
            yield f"'{task}' does not have one score for each prompt"
        if not all(score is None or is_score(score) for score in scores):
            yield (
                f"{name} of '{task}' has a score that is neither null nor a number of at most "
                f"{LARGEST_SCORE:g}"
            )
        if all(score is None for score in scores):
            yield f"'{task}' has no score of {name}"

    def _text_faults(self) -> Iterator[str]:
        keys = {f"{task}:{document}" for task in self.fingerprints for document in self.ids(task)}
        for key, texts in self.texts.items():
            if key not in keys:
                yield f"texts: there is no prompt '{shortened(key)}'"
            for seed, response in texts.responses.items():
                if not re.fullmatch(r"\d{1,19}", seed, re.ASCII):
                    yield f"texts of '{shortened(key)}': '{shortened(seed)}' is no seed"
                if not all(score is None or is_score(score) for score in response.scores.values()):
                    yield f"texts of '{shortened(key)}': a score is larger than {LARGEST_SCORE:g}"

    def texts_of(self, task: str) -> dict[str, PromptTexts]:
        """The texts of a task's prompts by document id; of some prompts or none."""
        found = {
            document: self.texts[key]
            for document in self.ids(task)
            if (key := f"{task}:{document}") in self.texts
        }
        prompts = {document: texts.prompt for document, texts in found.items() if texts.prompt}
        asked = questions(prompts)
        return {
            document: PromptTexts(
                texts.prompt,
                asked.get(document, texts.prompt),
                tuple(texts.references),
                {
                    int(seed): ScoredSample(document, int(seed), **vars(response))
                    for seed, response in texts.responses.items()
                },
            )
            for document, texts in found.items()
        }

    def ids(self, task: str) -> list[str]:
        """The document ids of a task."""
        return [str(document) for document in self.scores[task]["id"]]

    def scores_of(self, task: str) -> dict[str, list[float | None]]:
        """The scores of a task by metric."""
        return {
            name: [None if score is None else float(score) for score in column]
            for name, column in self.scores[task].items()
            if name != "id"
        }

    def fingerprint(self, task: str) -> dict[str, Any]:
        """The fingerprint of a task, as the file has it."""
        return self.fingerprints[task].model_dump(exclude_unset=True)


def read_baseline_file(path: Path) -> BaselineFile:
    """Read and check a baseline.

    Args:
        path: File of the baseline.

    Raises:
        InputError: The file is not a baseline, or it is malformed.
    """
    content = read_json(path)
    if content.get("kind") != KIND:
        raise InputError(f"{path}: not a gate's baseline; kdbench regress --update writes one")
    try:
        return BaselineFile.model_validate(content)
    except ValidationError as error:
        place, reason = first_fault(error)
        reason = re.sub("a valid dictionary( or instance of _?[A-Za-z]+)?", "an object", reason)
        where = f"'{place}': " if place else ""
        raise InputError(printable(f"{path}: malformed baseline: {where}{reason}")) from None
    except InputError as error:
        raise InputError(f"{path}: malformed baseline: {error}") from None
