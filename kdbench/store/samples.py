"""The lines of a samples file."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Sample
from kdbench.store.schema import SEED
from kdbench.system.files import LinesFile

_LARGEST = 2**31 - 1

# Fields that a line lacks if they are not set.
_LEFT_OUT = {"tokens": (), "answer_start": None, "n_thinking_tokens": None, "unclosed": False}

Samples = Mapping[tuple[str, int], Sample]
"""Samples by document and seed."""


def sample_record(
    sample: Sample, scores: Mapping[str, float | None] | None = None
) -> dict[str, Any]:
    """Return the line of a sample.

    Args:
        sample: Sample to write.
        scores: Scores of the sample by metric; None before it is scored.
    """
    record = asdict(sample)
    record["id"] = record.pop("document")
    for key, unset in _LEFT_OUT.items():
        if record[key] == unset:
            del record[key]
    return record if scores is None else {**record, "scores": dict(scores)}


def read_sample(record: Mapping[str, Any], place: str) -> Sample:
    """Return the sample of a line.

    Args:
        record: Content of the line.
        place: File and line number, for error messages.

    Raises:
        InputError: A field is missing or of the wrong type.
    """
    output, seed = record.get("output"), record.get("seed", 0)
    n_tokens, finish = record.get("n_tokens"), record.get("finish")
    if record.get("id") is None:
        raise InputError(f"{place}: 'id' is missing")
    if type(record["id"]) not in (str, int):
        raise InputError(f"{place}: 'id' must be text")
    if not isinstance(output, str):
        raise InputError(f"{place}: 'output' must be a string")
    if not SEED.holds(seed):
        raise InputError(f"{place}: 'seed' must be a whole number")
    if n_tokens is not None and not _is_token_number(n_tokens):
        raise InputError(f"{place}: 'n_tokens' must be a whole number or null, 0 to {_LARGEST}")
    if not (finish is None or finish in ("stop", "length")):
        raise InputError(f"{place}: 'finish' must be stop, length or null")
    tokens = record.get("tokens", [])
    if not isinstance(tokens, list) or not all(map(_is_token_number, tokens)):
        raise InputError(f"{place}: 'tokens' must be a list of token ids")
    thinking = _read_thinking(record, len(output), place)
    return Sample(str(record["id"]), seed, output, n_tokens, finish, tuple(tokens), *thinking)


def _read_thinking(
    record: Mapping[str, Any], length: int, place: str
) -> tuple[int | None, int | None, bool]:
    """Return where the answer begins, the tokens of the thinking, and whether it never ended."""
    start, n_tokens = record.get("answer_start"), record.get("n_thinking_tokens")
    unclosed = record.get("unclosed", False)
    if start is not None and not (_is_token_number(start) and start <= length):
        raise InputError(f"{place}: 'answer_start' must be an index of the output or null")
    if n_tokens is not None and not _is_token_number(n_tokens):
        raise InputError(
            f"{place}: 'n_thinking_tokens' must be a whole number or null, 0 to {_LARGEST}"
        )
    if not isinstance(unclosed, bool):
        raise InputError(f"{place}: 'unclosed' must be true or false")
    return start, n_tokens, unclosed


def _is_token_number(value: object) -> bool:
    """Whether a value can be a token's id, or a number of tokens."""
    return type(value) is int and 0 <= value <= _LARGEST


def read_samples(file: LinesFile) -> Samples:
    """Return the samples of a file by document and seed; none if there is no file.

    Raises:
        InputError: A line is no sample; the message names it.
    """
    samples = (read_sample(line, f"{file.path}:{n}") for n, line in enumerate(file.read(), start=1))
    return {(sample.document, sample.seed): sample for sample in samples}
