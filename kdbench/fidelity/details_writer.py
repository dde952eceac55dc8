"""Token details of a student's responses, stored as they are measured.

See `kdbench.fidelity.token_details` for the values, and `kdbench.store.token_details` for the file.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kdbench.fidelity.model_pair import ModelPair
from kdbench.fidelity.texts import ComparedText
from kdbench.store.token_details import (
    TokenDetails,
    TokenText,
    check_details,
    details_file,
    details_record,
    has_tokens,
    read_details,
)
from kdbench.system.files import Appender, LinesFile
from kdbench.views.token_text import token_texts

_SMALLEST = 0.01  # probability of a listed token, except the likeliest


@dataclass
class DetailsWriter:
    """Writes the token details of a task.

    Lines are appended to a file of their own as they are measured, and become the finished file, in
    the order of the texts, once there is one of each.

    Attributes:
        file: The finished file.
        ids: From the teacher's ids of tokens to those of the file.
        text: Text of a token of the file.
    """

    file: LinesFile
    ids: Callable[[np.ndarray], np.ndarray]
    text: Callable[[int], TokenText]
    _lines: Appender | None = field(default=None, repr=False)

    @property
    def _unfinished(self) -> LinesFile:
        return LinesFile(self.file.path.with_suffix(".partial.jsonl"))

    @cached_property
    def _stored(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Lines by document and seed, of a finished file and of one that a crash left."""
        stored = {}
        for file in (self.file, self._unfinished):
            for number, line in enumerate(file.read(), start=1):
                check_details(line, f"{file.path}:{number}")
                stored[line["id"], line["seed"]] = line
        return stored

    def has(self, text: ComparedText) -> bool:
        """Whether the tokens of a text are stored."""
        line = self._stored.get(text.key)
        return line is not None and has_tokens(line, text.rollout.response_ids)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Open the file for lines."""
        with self._unfinished.appending() as self._lines:
            yield

    def add(self, text: ComparedText, values: np.ndarray) -> None:
        """Add a text.

        Args:
            text: The text.
            values: The rows of `detail_values` at its tokens.
        """
        if self.has(text) or self._lines is None:
            return
        record = details_record(self._details(text, values), {})
        self._stored[text.key] = record
        self._lines.add(record)

    def finish(self, texts: Sequence[ComparedText]) -> None:
        """Write the finished file, unless it is there or a text is missing."""
        if not all(map(self.has, texts)):
            return
        if not is_finished(self.file) or self._unfinished.path.exists():
            self.file.replace(self._with_texts([text.key for text in texts]))
        self._unfinished.path.unlink(missing_ok=True)

    def _with_texts(self, keys: Sequence[tuple[str, int]]) -> Iterator[dict[str, Any]]:
        """The lines in order, each with the texts of the tokens that are new in it."""
        known: set[int] = set()
        for key in keys:
            line = {name: value for name, value in self._stored[key].items() if name != "texts"}
            new = read_details(line, str(self.file.path)).ids() - known
            known |= new
            texts = {str(number): self.text(number) for number in sorted(new)}
            yield {**line, "texts": texts} if texts else line

    def _details(self, text: ComparedText, values: np.ndarray) -> TokenDetails:
        count = (values.shape[1] - 3) // 2
        likely, likely_p = values[:, 3 : 3 + count], values[:, 3 + count :]
        shown = likely_p >= _SMALLEST
        shown[:, 0] = ~np.isnan(likely_p[:, 0])
        acceptance, student, teacher = values[:, :3].T
        return TokenDetails(
            *text.key,
            np.array(text.rollout.response_ids),
            acceptance,
            student,
            teacher,
            shown.sum(axis=1),
            self.ids(likely[shown].astype(np.int64)),
            likely_p[shown],
        )


def is_finished(file: LinesFile) -> bool:
    """Whether a file of token details exists, ends with a whole line and has no line twice."""
    return file.path.exists() and not file.is_damaged()


def details_writer(pair: ModelPair) -> DetailsWriter | None:
    """Return the writer of a student's token details on a task; None if none are wanted.

    Args:
        pair: Student, teacher and task.
    """
    if not pair.student.settings.token_details:
        return None
    file = details_file(pair.student.run, pair.task.name, pair.teacher.identity)
    tokens = _Tokens(pair)
    return DetailsWriter(file, tokens.ids, tokens.text)


class _Tokens:
    """Ids and texts of the tokens of student and teacher.

    With different tokenizers, ids of the teacher's are joint ones (`joint_ids`). Those of tokens
    that the student has become its ids; all others follow after the student's last.

    Args:
        pair: Student and teacher.
    """

    def __init__(self, pair: ModelPair):
        self._student, self._teacher = pair.student.backend.tokenizer, pair.teacher.tokenizer
        self._classes = pair.classes if pair.is_aligned else None

    def ids(self, teacher_ids: np.ndarray) -> np.ndarray:
        """The file's ids of tokens of the teacher, (n,) to (n,)."""
        if self._classes is None:
            return teacher_ids
        shared = np.array(self._classes.student_ids)
        is_shared = teacher_ids < len(shared)
        known = shared[np.where(is_shared, teacher_ids, 0)] if len(shared) else teacher_ids
        return np.where(is_shared, known, teacher_ids - len(shared))

    def text(self, number: int) -> TokenText:
        """The text of a token, by its id in the file."""
        first = len(self._texts) if self._classes is None else self._classes.student_size
        texts, place = (self._texts, number) if number < first else (self._more, number - first)
        text = texts[place] if place < len(texts) else None
        if text is None:  # an id without a token
            return []
        if isinstance(text, str):
            return [text]
        try:
            return text.decode()
        except UnicodeDecodeError:
            return list(text)

    @cached_property
    def _texts(self) -> list[bytes | str | None]:
        return token_texts(self._student)

    @cached_property
    def _more(self) -> list[bytes | str | None]:
        """Texts of the teacher's tokens, for those that only it has."""
        return token_texts(self._teacher)
