"""The teacher's responses to the training prompts: sampled once, kept as a data set.

The folder has the layout of `data=DIR`, so other tools can read it or train on it. Empty responses,
which a data set may not have, are in `empty.jsonl` in the same folder. The folder's name is a hash
of teacher, prompts and sampling. All runs for which these are equal share the responses, and an
interrupted run resumes after the last one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from kdbench.distillation.rows import TrainingRow
from kdbench.errors import InputError, first_fault
from kdbench.generate import Row, Sample
from kdbench.generate.decoding.generator import Generator
from kdbench.protocol import Protocol
from kdbench.scores.served.teacher import ServedResponse
from kdbench.system.files import LinesFile
from kdbench.system.progress import progress

ServedAnswers = Callable[[Sequence[TrainingRow]], Iterator[tuple[str, ServedResponse]]]
"""Yields a server's responses to rows by id, as they come."""


class ResponseLine(BaseModel):
    """A line of the file.

    Attributes:
        id: The id of the row that was answered.
        output: The response.
        finish: Whether the response ended by itself, or at the length limit.
        n_tokens: The number of its tokens.
    """

    id: str
    output: list[str] = Field(min_length=1)
    finish: Literal["stop", "length"]
    n_tokens: int = Field(ge=0, strict=True)


def folder_of(cache: Path, teacher: str, prompts: str, protocol: Protocol, seed: int) -> Path:
    """The folder of a set of responses.

    Args:
        cache: The folder of all such sets.
        teacher: SHA-256 of the checkpoint, and the type of its weights.
        prompts: SHA-256 of the training set.
        protocol: Length limits and decoding.
        seed: Seed of the sampling.
    """
    key = json.dumps([teacher, prompts, protocol.as_dict(), seed], sort_keys=True)
    return cache / hashlib.sha256(key.encode()).hexdigest()[:12]


def teacher_responses(
    file: Path,
    rows: Sequence[TrainingRow],
    protocol: Protocol,
    seed: int,
    load: Callable[[], tuple[Any, Any]],
    batch_size: int | None,
    answers: ServedAnswers | None = None,
) -> tuple[dict[str, tuple[str, bool]], int]:
    """Read the responses that exist and sample those that are missing.

    Args:
        file: `<folder>/<set>/train.jsonl`; responses in it are kept.
        rows: The rows of the training set.
        protocol: Length limits and decoding.
        seed: Seed of the sampling.
        load: Returns the teacher's model and tokenizer; called only if a response is missing.
        batch_size: Rows that decode at once; None chooses it from the free memory.
        answers: Samples responses on a server instead; None loads the teacher.

    Returns:
        For each id the response and whether it ended by itself, and the number of tokens in all.
    """
    texts, empty = LinesFile(file), LinesFile(file.with_name("empty.jsonl"))
    lines = [*_read(texts), *_read(empty)]
    known = {line.id for line in lines}
    missing = [row for row in rows if row.id not in known]
    if missing:
        made_before = len(rows) - len(missing)
        sampled = (
            _sampled(Generator(*load(), protocol, batch_size), missing, seed)
            if answers is None
            else _served(answers, missing)
        )
        with (
            texts.appending() as add_text,
            empty.appending() as add_empty,
            progress(
                "teacher", len(rows), made_before, "samples", "generating responses"
            ) as advance,
        ):
            for batch in sampled:
                for line in batch:
                    (add_text if line["output"][0].strip() else add_empty).add(line)
                    lines.append(ResponseLine.model_validate(line))
                    advance()
                add_text.sync()
                add_empty.sync()
    responses = {line.id: (line.output[0], line.finish == "stop") for line in lines}
    return responses, sum(line.n_tokens for line in lines)


def _read(file: LinesFile) -> Iterator[ResponseLine]:
    """Read the lines that exist.

    Raises:
        InputError: one of them was not written by kdbench.
    """
    for number, line in enumerate(file.read(), start=1):
        try:
            yield ResponseLine.model_validate(line)
        except ValidationError as error:
            place, reason = first_fault(error)
            raise InputError(
                f"{file.path}:{number}: damaged: '{place}': {reason}; delete "
                f"{file.path.parent.parent} to sample the responses again"
            ) from None


def _sampled(
    generator: Generator, rows: Sequence[TrainingRow], seed: int
) -> Iterator[Iterator[dict[str, Any]]]:
    """Sample a response to each row; gives the lines of the file, batch by batch."""
    by_id = {row.id: row for row in rows}
    prompts = [Row(row.id, seed, generator.encode(row.prompt, row.message).ids) for row in rows]
    for batch in generator.batches(prompts):
        samples = generator.generate(batch, ())
        yield (_line_of(by_id[sample.document], sample) for sample in samples)


def _served(
    answers: ServedAnswers, rows: Sequence[TrainingRow]
) -> Iterator[Iterator[dict[str, Any]]]:
    """The same from a server, a line at a time."""
    by_id = {row.id: row for row in rows}
    for key, response in answers(rows):
        line = _line(by_id[key], response.output, response.finish, response.tokens)
        yield iter([line])


def _line_of(row: TrainingRow, sample: Sample) -> dict[str, Any]:
    return _line(row, sample.output, sample.finish, len(sample.tokens))


def _line(row: TrainingRow, output: str, finish: str | None, tokens: int) -> dict[str, Any]:
    """A line of the file, which is also a row to train on."""
    is_instruction = "instruction" in row.asked
    return {
        "id": row.id,
        **row.asked,
        **({} if is_instruction else {"response": output}),
        "output": [output],
        "finish": finish,
        "n_tokens": tokens,
    }
