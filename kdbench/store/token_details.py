"""`samples/<task>.tokens-<hash>.jsonl`: how well a teacher agrees with each token of a student.

One line per response of the student that both models scored, in document order. The hash in the
name is the teacher's. No number is computed from the file: without it, only views of single
responses show less.

    {"id": "17", "seed": 10, "n": 2, "tokens": "GAABAA==", "acceptance": "+h4=",
     "student": "+sg=", "teacher": "+gU=", "listed": "AQI=", "likely": "GAAZACsA",
     "likely_p": "+mQy", "texts": {"24": "6", "1": ["<|eos|>"], "201": [226, 150], …}}

Columns are bytes in base64, so that a token takes about 15 bytes; as JSON they would take 60.
Probabilities are one byte each, in steps of 1/250; 255 stands for an unknown one. Tokens are
little-endian integers of two bytes, or of four if one of the line needs them.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.errors import InputError
from kdbench.store.schema import COUNT, MAPPING, SEED, TEXT, FieldError, check_fields

if TYPE_CHECKING:
    from kdbench.store.folder import RunFolder
    from kdbench.system.files import LinesFile

_LAYOUT = 1
_IDENTITY = ("name", "sha256", "dtype", "top_k", "scores")  # of a teacher's, what names its scores
_STEPS, _UNKNOWN = 250, 255
_LARGEST = 2**24  # id; sums over a vocabulary are as long as it is large
_RATES = ("acceptance", "student", "teacher")

TokenText = str | Sequence[int] | Sequence[str]
"""A token's text; its bytes if they are not whole characters; the name of a special token alone."""


@dataclass(frozen=True, eq=False)
class TokenDetails:
    """The tokens of one response, n of them.

    Attributes:
        document: Document id.
        seed: Seed of the sampling.
        tokens: Ids of the response's tokens, int64 of shape (n,).
        acceptance: 1 - total variation of both models' distributions at each token, (n,); NaN where
            a teacher of a different tokenizer begins no token.
        student: The student's probability of the response's token, (n,).
        teacher: The teacher's, (n,); of the text up to the next common place if its tokenizer is a
            different one.
        listed: How many of the teacher's likeliest tokens are listed at each token, (n,).
        likely: Their ids, likeliest first, one token's after another's, (sum of `listed`,). An id
            beyond the student's vocabulary is a token that only the teacher has.
        likely_p: The teacher's probabilities of them.
    """

    document: str
    seed: int
    tokens: np.ndarray
    acceptance: np.ndarray
    student: np.ndarray
    teacher: np.ndarray
    listed: np.ndarray
    likely: np.ndarray
    likely_p: np.ndarray

    def likeliest(self) -> list[list[tuple[int, float]]]:
        """The teacher's likeliest tokens at each token, with their probabilities."""
        pairs = list(zip(self.likely.tolist(), self.likely_p.tolist(), strict=True))
        ends = np.concatenate([[0], self.listed.cumsum()]).tolist()
        return [pairs[start:stop] for start, stop in pairwise(ends)]

    def ids(self) -> set[int]:
        """All ids that occur."""
        return {*self.tokens.tolist(), *self.likely.tolist()}


def details_file(run: "RunFolder", task: str, teacher: Mapping[str, Any]) -> "LinesFile":
    """The file of a task's token details.

    Args:
        run: The student's run.
        task: Name of the task.
        teacher: Identity of the teacher, or what a result stores of it.
    """
    identity = {key: teacher[key] for key in _IDENTITY if key in teacher}
    content = json.dumps([_LAYOUT, identity], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return run.lines(f"{task}.tokens-{digest}")


def details_record(details: TokenDetails, texts: Mapping[int, TokenText]) -> dict[str, Any]:
    """Return the line of a response.

    Args:
        details: The tokens of the response.
        texts: Texts of tokens that no earlier line of the file has.
    """
    width = "<u4" if max(details.ids(), default=0) >= 2**16 else "<u2"
    record = {
        "id": details.document,
        "seed": details.seed,
        "n": len(details.tokens),
        "tokens": _base64(details.tokens.astype(width)),
        **{name: _base64(_quantised(getattr(details, name))) for name in _RATES},
        "listed": _base64(details.listed.astype("u1")),
        "likely": _base64(details.likely.astype(width)),
        "likely_p": _base64(_quantised(details.likely_p)),
    }
    if texts:
        record["texts"] = {str(number): text for number, text in sorted(texts.items())}
    return record


def check_details(record: Mapping[str, Any], place: str) -> None:
    """Check the fields of a line, except what its columns hold.

    Args:
        record: Content of the line.
        place: File and line number, for error messages.

    Raises:
        InputError: A field is missing or of the wrong type.
    """
    try:
        check_fields(dict(record), _FIELDS)
    except FieldError as error:
        raise InputError(f"{place}: no token details: {error}; delete the file") from None


def read_details(record: Mapping[str, Any], place: str) -> TokenDetails:
    """Return the tokens of a line.

    Args:
        record: Content of the line.
        place: File and line number, for error messages.

    Raises:
        InputError: A field is missing, of the wrong type, or of the wrong length.
    """
    check_details(record, place)
    n = record["n"]
    try:
        raw = {name: base64.b64decode(record[name], validate=True) for name in _COLUMNS}
        listed = np.frombuffer(raw["listed"], "u1").astype(np.int64)
        width = 4 if n and len(raw["tokens"]) == 4 * n else 2
        details = TokenDetails(
            record["id"],
            record["seed"],
            _ids(raw["tokens"], width),
            _probabilities(raw["acceptance"]),
            _probabilities(raw["student"]),
            _probabilities(raw["teacher"]),
            listed,
            _ids(raw["likely"], width),
            _probabilities(raw["likely_p"]),
        )
        columns = [details.tokens, listed, *(getattr(details, name) for name in _RATES)]
        if {len(column) for column in columns} != {n}:
            raise ValueError(f"its columns must have {n} values")
        if {len(details.likely), len(details.likely_p)} != {int(listed.sum())}:
            raise ValueError("'listed' must count 'likely' and 'likely_p'")
    except ValueError as error:
        raise InputError(f"{place}: no token details: {error}; delete the file") from None
    return details


def has_tokens(record: Mapping[str, Any], tokens: Sequence[int]) -> bool:
    """Whether a line is of these tokens.

    Args:
        record: Content of the line.
        tokens: Ids of the tokens of a response.
    """
    if record["n"] != len(tokens):
        return False
    widths = ("<u2", "<u4") if max(tokens, default=0) < 2**16 else ("<u4",)
    ids = np.array(tokens, dtype=np.int64)
    return any(record["tokens"] == _base64(ids.astype(width)) for width in widths)


def texts_of(record: Mapping[str, Any], place: str) -> dict[int, TokenText]:
    """Return the texts of tokens that a line adds.

    Raises:
        InputError: A text is of the wrong type.
    """
    texts = record.get("texts", {})
    for number, text in texts.items():
        is_id = number.isdecimal() and len(number) <= len(str(_LARGEST))
        if not (is_id and _is_token_text(text)):
            raise InputError(f"{place}: not a text of a token: {number[:20]!r}; delete the file")
    return {int(number): text for number, text in texts.items()}


def stored_details(
    run: "RunFolder", task: str, teacher: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the lines of a task's token details, each with its place; none if there is no file.

    Args:
        run: The student's run.
        task: Name of the task.
        teacher: What the task's result stores of the teacher.

    Raises:
        InputError: A line is malformed.
    """
    file = details_file(run, task, teacher)
    for number, record in enumerate(file.stream(), start=1):
        place = f"{file.path}:{number}"
        check_details(record, place)
        yield record, place


def _is_token_text(text: Any) -> bool:
    if isinstance(text, str):
        return True
    is_bytes = isinstance(text, list) and all(type(b) is int and 0 <= b < 256 for b in text)
    return is_bytes or (isinstance(text, list) and len(text) == 1 and isinstance(text[0], str))


def _base64(column: np.ndarray) -> str:
    return base64.b64encode(column.tobytes()).decode()


def _quantised(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    steps = np.rint(np.clip(np.where(known, values, 0.0), 0.0, 1.0) * _STEPS)
    return np.where(known, steps, _UNKNOWN).astype("u1")


def _probabilities(raw: bytes) -> np.ndarray:
    steps = np.frombuffer(raw, "u1").astype(float)
    if ((steps > _STEPS) & (steps != _UNKNOWN)).any():
        raise ValueError("a probability is above 1")
    return np.where(steps == _UNKNOWN, np.nan, steps / _STEPS)


def _ids(raw: bytes, width: int) -> np.ndarray:
    ids = np.frombuffer(raw, f"<u{width}").astype(np.int64)
    if ids.max(initial=0) > _LARGEST:
        raise ValueError(f"no vocabulary has a token {ids.max()}")
    return ids


_COLUMNS = ("tokens", *_RATES, "listed", "likely", "likely_p")
_FIELDS = {
    "id": TEXT,
    "seed": SEED,
    "n": COUNT,
    **dict.fromkeys(_COLUMNS, TEXT),
    "texts": MAPPING.if_given(),
}
