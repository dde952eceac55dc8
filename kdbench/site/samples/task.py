"""The samples of a task: one index for lists and filters, and texts by page of documents."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.site.samples.heads import heads
from kdbench.site.samples.lines import DocumentNumbers
from kdbench.site.samples.packing import column, packed
from kdbench.site.samples.rejections import rejection_table
from kdbench.site.samples.run_samples import RunSamples
from kdbench.store.schema import is_number
from kdbench.store.token_details import TokenText

_RESPONSES = 800  # in a page of documents
_MOST, _FEWEST = 200, 10  # documents of a page
_ACCEPTANCE = "acceptance@student"
_NO_LENGTH = 2**16 - 1


@dataclass(frozen=True)
class TaskSamples:
    """The samples of a task.

    Attributes:
        name: Name of the task.
        score: Metric that is shown, and that differences are of.
        numbers: Numbers of its documents.
        runs: Its runs that have samples, students before teachers.
        labels: Labels of the runs.
        teachers: Which of the runs are teachers.
    """

    name: str
    score: str
    numbers: DocumentNumbers = field(repr=False)
    runs: Sequence[RunSamples]
    labels: Sequence[str]
    teachers: Sequence[bool]

    @property
    def count(self) -> int:
        """Number of documents."""
        return len(self.numbers.ids)

    @property
    def page_size(self) -> int:
        """Number of documents of which texts are loaded at once."""
        responses = sum(len(run.answers) for run in self.runs) / max(1, self.count)
        return int(np.clip(_RESPONSES / max(1.0, responses), _FEWEST, _MOST))

    @property
    def pages(self) -> int:
        """Number of pages of texts."""
        return -(-self.count // self.page_size)

    def index(self) -> str:
        """Everything but texts, packed."""
        metric = next(
            (run.result.metrics[self.score] for run in self.runs if self._scored(run)), None
        )
        categories = self._categories()
        names = sorted({name for name in categories if name is not None})
        codes = np.array([-1 if name is None else names.index(name) for name in categories])
        return packed(
            {
                "ids": self.numbers.ids,
                "score": self.score,
                "unit": metric.unit if metric else "",
                "lower": bool(metric and metric.direction == "lower"),
                "categories": names,
                "category": column(codes, "<i2") if names else None,
                "page": self.page_size,
                "runs": [self._run(number) for number in range(len(self.runs))],
            }
        )

    def _scored(self, run: RunSamples) -> bool:
        return self.score in run.result.metrics

    def _run(self, number: int) -> dict[str, Any]:
        run = self.runs[number]
        lengths = run.mean_lengths(self.count)
        known = np.where(np.isnan(lengths), _NO_LENGTH, np.minimum(lengths, _NO_LENGTH - 1))
        metric, agreement = (run.result.metrics.get(n) for n in (self.score, _ACCEPTANCE))
        return {
            "run": run.run.folder,
            "label": self.labels[number],
            "teacher": self.teachers[number],
            "compared": run.result.teacher is not None,
            "options": run.options,
            "seeds": run.seeds,
            "details": run.details is not None,
            "bound": bool(agreement and agreement.bound),
            "aligned": bool(run.result.teacher and run.result.teacher.get("tokenizers")),
            "value": metric.value if metric else None,
            "agreement": agreement.value if agreement else None,
            "score": column(run.column(self.score, self.numbers), "<f4"),
            "acceptance": column(run.column(_ACCEPTANCE, self.numbers), "<f4"),
            "length": column(known, "<u2"),
            "flags": column(run.all_flags(self.numbers), "u1"),
        }

    def _categories(self) -> list[str | None]:
        categories: list[str | None] = [None] * self.count
        for run in self.runs:
            for document, category in zip(
                run.result.documents["id"], run.result.categories or (), strict=False
            ):
                number = self.numbers.get(document)
                if number is not None and category is not None:
                    categories[number] = category
        return categories

    def heads(self) -> str:
        """The beginning of each prompt, packed."""
        return packed(heads(self._prompts(), self.count))

    def _prompts(self) -> RunSamples | None:
        """The run whose prompts are shown: the one with most of them."""
        known = [run for run in self.runs if run.prompts]
        return max(known, key=lambda run: len(run.prompts or ()), default=None)

    def tokens(self) -> str:
        """Texts of tokens, and which of them are rejected, packed."""
        detailed = {number: run for number, run in enumerate(self.runs) if run.details}
        vocabularies: list[dict[int, TokenText]] = []
        place: dict[int, int] = {}
        for number, run in detailed.items():
            place[number] = _place_in(vocabularies, run.texts)
        table = rejection_table({n: (run.rejections, run.texts) for n, run in detailed.items()})
        totals = {number: round(run.rejections.total, 3) for number, run in detailed.items()}
        return packed({"texts": vocabularies, "of": place, "rejected": table, "totals": totals})

    def page(self, number: int) -> str:
        """The texts of a page of documents, packed."""
        documents = self._documents(number)
        first = self._prompts()
        prompts = first.prompts.read(documents) if first and first.prompts else {}
        answers = [run.answers.read(documents) for run in self.runs]
        other = [self._asked_differently(run, first, documents) for run in self.runs]
        return packed(
            [
                {
                    "asked": _without_id(prompts[document][0]) if document in prompts else None,
                    "runs": {
                        index: _responses(of_run[document])
                        for index, of_run in enumerate(answers)
                        if document in of_run
                    },
                    "other": {
                        index: _without_id(lines[document][0])
                        for index, lines in enumerate(other)
                        if document in lines
                    },
                }
                for document in documents
            ]
        )

    def details(self, number: int) -> str:
        """The token details of a page of documents by run and seed, packed.

        They are most of a page, and a search does not need them.
        """
        documents = self._documents(number)
        lines = [run.details.read(documents) if run.details else {} for run in self.runs]
        return packed(
            [
                {
                    index: {line["seed"]: [line[name] for name in _OF_TOKENS] for line in known}
                    for index, of_run in enumerate(lines)
                    if (known := of_run.get(document))
                }
                for document in documents
            ]
        )

    def _documents(self, page: int) -> range:
        return range(page * self.page_size, min(self.count, (page + 1) * self.page_size))

    def _asked_differently(
        self, run: RunSamples, first: RunSamples | None, documents: range
    ) -> dict[int, list[dict[str, Any]]]:
        """The prompts of a run that differ from those that are shown."""
        if first is None or run is first or run.prompts is None:
            return {}
        differing = [
            document
            for document in documents
            if run.asked[document] not in (0, first.asked[document])
        ]
        return run.prompts.read(differing)

    def size(self) -> int:
        """Number of bytes of the files that the texts are from."""
        files: list[Path] = [
            lines.path
            for run in self.runs
            for lines in (run.answers, run.prompts, run.details)
            if lines is not None
        ]
        return sum(file.stat().st_size for file in files)


def _place_in(vocabularies: list[dict[int, TokenText]], texts: dict[int, TokenText]) -> int:
    """Add texts of tokens to the first vocabulary that they fit, and return its index."""
    for index, known in enumerate(vocabularies):
        if all(known.get(token, text) == text for token, text in texts.items()):
            known.update(texts)
            return index
    vocabularies.append(dict(texts))
    return len(vocabularies) - 1


def _without_id(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != "id"}


_OF_TOKENS = ("tokens", "acceptance", "student", "teacher", "listed", "likely", "likely_p")


def _responses(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The responses to a document, as they are stored but for their tokens."""
    responses = []
    for line in lines:
        kept = {key: value for key, value in line.items() if key not in ("id", "tokens")}
        if "scores" in kept:
            kept["scores"] = {k: x if is_number(x) else None for k, x in kept["scores"].items()}
        responses.append(kept)
    return responses
