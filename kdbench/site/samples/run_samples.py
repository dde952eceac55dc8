"""The samples of one run on one task: where their lines are, and what lists and filters need."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.errors import InputError
from kdbench.measuring.likelihood.answers import read_answer
from kdbench.site.samples.lines import DocumentColumn, DocumentNumbers, LinesByDocument
from kdbench.site.samples.rejections import Rejections
from kdbench.store.folder import RunFolder
from kdbench.store.prompts import read_prompt
from kdbench.store.results import TaskResult
from kdbench.store.runs import StoredRun
from kdbench.store.samples import read_sample
from kdbench.store.token_details import TokenText, details_file, read_details, texts_of

HAS, CUT, EMPTY, RIGHT, WRONG, BETTER, WORSE = (1 << bit for bit in range(7))
"""What a list can be filtered by, as bits: the document has responses, one was cut at the limit or
is empty, most are right or wrong, a judge prefers most of them to the other side's or not."""

_RIGHT = {"answer_accuracy": 1.0, "exact_match": 100.0, "acc": 1.0}  # columns and what is right


@dataclass
class RunSamples:
    """The samples of a run on a task.

    Attributes:
        run: The run.
        result: Its result on the task.
        answers: Where its responses are, or its options in a task that is scored by likelihood.
        options: Whether the task is scored by likelihood.
        prompts: Where its prompts are; None if they are not stored.
        details: Where its token details are; None if they are not stored.
        seeds: Its seeds, in order.
        texts: Texts of the tokens in its token details, by id.
        rejections: Which tokens the teacher rejects.
        lengths: Sum of the numbers of tokens, by document.
        counted: Number of responses of which that is the sum.
        flags: Bits by document.
        asked: Hash of what was asked, by document; 0 if nothing was.
    """

    run: StoredRun
    result: TaskResult
    options: bool
    answers: LinesByDocument
    prompts: LinesByDocument | None
    details: LinesByDocument | None
    seeds: list[int]
    texts: dict[int, TokenText] = field(repr=False)
    rejections: Rejections
    lengths: DocumentColumn = field(repr=False)
    counted: DocumentColumn = field(repr=False)
    flags: DocumentColumn = field(repr=False)
    asked: DocumentColumn = field(repr=False)

    def column(self, name: str, numbers: DocumentNumbers) -> np.ndarray:
        """Means of a metric by document number, NaN where there is none."""
        values = np.full(len(numbers.ids), np.nan)
        for document, value in zip(
            self.result.documents["id"], self.result.documents.get(name, ()), strict=False
        ):
            number = numbers.get(document)
            if number is not None and value is not None:
                values[number] = value
        return values

    def mean_lengths(self, count: int) -> np.ndarray:
        """Mean number of tokens by document number, NaN where unknown."""
        known = self.counted.first(count)
        return np.where(known, self.lengths.first(count) / np.maximum(known, 1), np.nan)

    def all_flags(self, numbers: DocumentNumbers) -> np.ndarray:
        """Bits by document number."""
        flags = self.flags.first(len(numbers.ids)).astype(np.uint8)
        for name, full in _RIGHT.items():
            values = self.column(name, numbers) / full
            if not np.isnan(values).all():
                flags |= np.where(values > 0.5, RIGHT, 0).astype(np.uint8)
                flags |= np.where(values <= 0.5, WRONG, 0).astype(np.uint8)
                break
        judged = next((n for n in self.result.documents if n.startswith("win_rate@")), None)
        if judged is not None:
            values = self.column(judged, numbers)
            flags |= np.where(values > 0.5, BETTER, 0).astype(np.uint8)
            flags |= np.where(values < 0.5, WORSE, 0).astype(np.uint8)
        return flags


class _Scan:
    """What is collected while the lines of a run are read once."""

    def __init__(self, numbers: DocumentNumbers):
        self.numbers = numbers
        self.seeds: dict[int, None] = {}
        self.lengths, self.counted = DocumentColumn(), DocumentColumn()
        self.flags, self.asked = DocumentColumn(), DocumentColumn()
        self.texts: dict[int, TokenText] = {}
        self.rejections = Rejections()

    def sample(self, line: dict[str, Any], place: str) -> str:
        sample = read_sample(line, place)
        if not isinstance(line.get("scores", {}), dict):
            raise InputError(f"{place}: 'scores' must be an object")
        number = self.numbers.number(sample.document)
        self.seeds[sample.seed] = None
        bits = HAS | (CUT if sample.finish == "length" else 0)
        bits |= 0 if sample.answer.strip() else EMPTY
        self.flags[number] = self.flags[number] | bits
        if sample.n_tokens is not None:
            self.lengths[number] = self.lengths[number] + sample.n_tokens
            self.counted[number] = self.counted[number] + 1
        return sample.document

    def options(self, line: dict[str, Any], place: str) -> str:
        answer = read_answer(line, place)
        self.flags[self.numbers.number(answer.document)] = HAS
        return answer.document

    def prompt(self, line: dict[str, Any], place: str) -> str:
        prompt = read_prompt(line, place)
        asked = (prompt.prompt, prompt.cut, prompt.references)
        self.asked[self.numbers.number(prompt.id)] = hash(asked) or 1
        return prompt.id

    def tokens(self, line: dict[str, Any], place: str) -> str:
        details = read_details(line, place)
        self.texts |= texts_of(line, place)
        self.rejections.add(details, self.numbers.number(details.document))
        return details.document


def read_run_samples(
    results: Path, run: StoredRun, task: str, numbers: DocumentNumbers
) -> RunSamples | None:
    """Read the lines of a run's samples once; None if it has none.

    Args:
        results: Folder of the results.
        run: The run.
        task: Name of the task.
        numbers: Numbers of the task's documents.

    Raises:
        InputError: A line is malformed; the message names it.
    """
    folder, result, scan = RunFolder(results / run.folder), run.results[task], _Scan(numbers)
    options = folder.lines(f"{task}.options").path
    answers = folder.lines(task).path
    if not (answers.exists() or options.exists()):
        return None
    is_options = not answers.exists()
    lines = (
        LinesByDocument(options, numbers, scan.options)
        if is_options
        else LinesByDocument(answers, numbers, scan.sample)
    )
    return RunSamples(
        run,
        result,
        is_options,
        lines,
        _lines(folder.lines(f"{task}.prompts").path, numbers, scan.prompt),
        _lines(details_file(folder, task, result.teacher).path, numbers, scan.tokens)
        if result.teacher and not is_options
        else None,
        list(scan.seeds),
        scan.texts,
        scan.rejections,
        scan.lengths,
        scan.counted,
        scan.flags,
        scan.asked,
    )


def _lines(path: Path, numbers: DocumentNumbers, visit: Any) -> LinesByDocument | None:
    return LinesByDocument(path, numbers, visit) if path.exists() else None
