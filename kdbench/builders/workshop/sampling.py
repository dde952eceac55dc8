"""Responses of a model to questions, each kept on disk as it comes."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from kdbench.builders.workshop.models import BuildModel
from kdbench.builders.workshop.questions import ModelQuestion, ModelResponse
from kdbench.errors import InputError, first_fault
from kdbench.generate import Backend, Row, Sample
from kdbench.protocol import Protocol
from kdbench.system.files import LinesFile
from kdbench.system.progress import progress


class SampleLine(BaseModel):
    """A line of the file.

    Attributes:
        id: Id of the question.
        seed: Seed of the sampling.
        output: The response.
        finish: Whether it ended by itself, or at the length limit.
        tokens: Number of its tokens; None if a server does not say.
        prompt_tokens: Number of the prompt's tokens; None if a server encodes it.
    """

    id: str
    seed: int
    output: str
    finish: Literal["stop", "length"] | None
    tokens: int | None = Field(ge=0)
    prompt_tokens: int | None = Field(ge=1)


def sample(
    file: Path,
    model: BuildModel,
    protocol: Protocol,
    questions: Sequence[ModelQuestion],
    title: str,
) -> list[SampleLine]:
    """Read the responses that exist, and sample those that are missing.

    Args:
        file: The file of the responses to these questions by this model.
        model: The model.
        protocol: Form of the prompts, decoding, and a seed for each response to a question.
        questions: The questions, with different ids.
        title: Title of the progress display.

    Returns:
        A line for each question and seed, in the order of the questions and of the seeds.

    Raises:
        InputError: The model is bad, a prompt does not fit, or the file is damaged.
    """
    kept = LinesFile(file)
    lines = {(line.id, line.seed): line for line in _read(kept)}
    wanted = [(question.id, seed) for question in questions for seed in protocol.seeds]
    if any(key not in lines for key in wanted):
        backend = model.backend(protocol)
        rows = _rows(backend, protocol, questions)
        counted = backend.tokenizer is not None
        lengths = {row.document: len(row.prompt_ids) if counted else None for row in rows}
        present = sum(key in lines for key in wanted)
        with (
            kept.appending() as add,
            progress(title, len(wanted), present, "samples", "generating responses") as advance,
        ):
            for batch in _unfinished(backend, model.chosen.own_engine, rows, lines):
                for made in backend.generate(batch, ()):
                    key = (made.document, made.seed)
                    if key not in lines:
                        lines[key] = _line(made, lengths[made.document])
                        add.add(lines[key].model_dump())
                        advance()
                add.sync()
    return [lines[key] for key in wanted]


def _rows(backend: Backend, protocol: Protocol, questions: Sequence[ModelQuestion]) -> list[Row]:
    rows = []
    for question in questions:
        ids = backend.encode(question.prompt, question.message).ids
        rows += [Row(question.id, seed, ids) for seed in protocol.seeds]
    return rows


def _unfinished(
    backend: Backend, own_engine: bool, rows: Sequence[Row], done: Container[tuple[str, int]]
) -> Iterator[Sequence[Row]]:
    """Yield the whole batches in which a response is missing, as an evaluation does.

    In low precision a text can depend on its batch, and a resumed build has the texts of an
    undisturbed one. An engine that chooses the batches itself would not choose the same again.
    """
    if own_engine:
        rows = [row for row in rows if (row.document, row.seed) not in done]
    for batch in backend.batches(rows):
        if any((row.document, row.seed) not in done for row in batch):
            yield batch


def _read(file: LinesFile) -> Iterator[SampleLine]:
    for number, line in enumerate(file.stream(), start=1):
        try:
            yield SampleLine.model_validate(line)
        except ValidationError as error:
            place, reason = first_fault(error)
            raise InputError(
                f"{file.path}:{number}: damaged: '{place}': {reason}; delete the file"
            ) from None


def _line(made: Sample, prompt_tokens: int | None) -> SampleLine:
    return SampleLine(
        id=made.document,
        seed=made.seed,
        output=made.answer,
        finish=made.finish,
        tokens=made.n_tokens,
        prompt_tokens=prompt_tokens,
    )


def by_question(lines: Sequence[SampleLine]) -> Mapping[str, list[ModelResponse]]:
    """The responses to each question, in the order of the seeds."""
    found: dict[str, list[ModelResponse]] = {}
    for line in lines:
        response = ModelResponse(line.output, line.finish, line.tokens)
        found.setdefault(line.id, []).append(response)
    return found


def cost_of(lines: Sequence[SampleLine], parameters: int | None) -> dict[str, Any]:
    """What the responses cost: their number, tokens, and floating-point operations.

    A token takes two operations a parameter; a prompt is read once for all responses to it. What a
    server does not say is None.
    """
    by_prompt = {line.id: line.prompt_tokens for line in lines}
    prompts = _sum(by_prompt.values())
    tokens = _sum(line.tokens for line in lines)
    flops = None
    if parameters is not None and prompts is not None and tokens is not None:
        flops = 2 * parameters * (prompts + tokens)
    return {
        "responses": len(lines),
        "prompt_tokens": prompts,
        "response_tokens": tokens,
        "flops": flops,
    }


def _sum(numbers: Iterable[int | None]) -> int | None:
    found = list(numbers)
    known = [number for number in found if number is not None]
    return sum(known) if len(known) == len(found) else None
