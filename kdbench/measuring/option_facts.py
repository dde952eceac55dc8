"""What a dry run shows of a task that is scored by likelihood: its first documents and options."""

from collections.abc import Iterator, Sequence
from typing import Any

from kdbench.errors import InputError
from kdbench.measuring.asked import asked_context
from kdbench.measuring.likelihood.encoding import RequestEncoder, Scored
from kdbench.measuring.likelihood.measuring import asked_requests
from kdbench.measuring.likelihood.scorers import AskedText
from kdbench.measuring.measurement import Measurement
from kdbench.system.outline import Fact, excerpt
from kdbench.task import Document, Task
from kdbench.views.token_texts import token_lines

_SHOWN = 2  # documents of a task
_OPTIONS = 8  # of a document


def option_facts(
    measurement: Measurement, task: Task, tokenizer: Any, config: Any, shows_prompts: bool
) -> Iterator[Fact]:
    """What would be measured of a task's options.

    Args:
        measurement: The measurement, which has not begun.
        task: A task that is scored by likelihood.
        tokenizer: Tokenizer of the model; None if only the loaded backend can encode.
        config: Configuration of the model; None if it is not known.
        shows_prompts: Whether to show the first documents.

    Raises:
        InputError: The chat template fails, or a text cannot be scored.
    """
    protocol, options = measurement.protocol, measurement.option_measuring
    count = sum(len(document.requests) for document in task.documents)
    yield Fact(
        "samples", f"none: {count} given texts are scored by likelihood ({task.output_type})"
    )
    of_shard = f" (shard={measurement.settings.shard})" if measurement.settings.shard else ""
    yield Fact(
        "options",
        f"those of {options.missing(task)} documents to measure{of_shard}, "
        f"{len(options.stored(task))} of {len(task.documents)} stored",
    )
    if tokenizer is None and protocol.prompt == "chat":
        yield Fact("tokens", "known only to the loaded backend")
        return
    asked = asked_requests(task, protocol, tokenizer)
    encoded: dict[str, list[list[Scored]]] = {}
    if tokenizer is not None and config is not None:
        encoder = RequestEncoder(tokenizer, config, protocol.add_bos)
        encoded = {d.id: _encoded(encoder, task, d, asked[d.id]) for d in task.documents}
        yield _cut_fact(encoded, encoder.length)
    if shows_prompts:
        for number, document in enumerate(task.documents[:_SHOWN], start=1):
            yield Fact(f"prompt {number}", f"document {document.id}")
            parts = encoded.get(document.id)
            yield from _document_facts(document, asked[document.id], parts, tokenizer)


def _encoded(
    encoder: RequestEncoder, task: Task, document: Document, requests: Sequence[AskedText]
) -> list[list[Scored]]:
    try:
        return [encoder.encode(request) for request in requests]
    except InputError as error:
        raise InputError(f"task '{task.name}': document '{document.id}': {error}") from None


def _cut_fact(encoded: dict[str, list[list[Scored]]], length: int) -> Fact:
    cut = sum(any(part.cut for row in rows for part in row) for rows in encoded.values())
    read = (len(part.given) for rows in encoded.values() for row in rows for part in row)
    return Fact(
        "cut",
        f"{cut} of {len(encoded)} documents, on the left at the model's {length} tokens; the "
        f"longest text has {max(read, default=0)}",
    )


def _document_facts(
    document: Document,
    requests: Sequence[AskedText],
    parts: Sequence[Sequence[Scored]] | None,
    tokenizer: Any,
) -> Iterator[Fact]:
    """The text, the options and the tokens of a document."""
    if document.category is not None:
        yield Fact("category", document.category)
    is_rolling = len(requests[0]) == 1
    text = requests[0][0] if is_rolling else asked_context(requests)
    yield Fact("text", excerpt(text), is_text=True)
    if parts is not None and parts[0]:
        first = parts[0][0]
        ids = [*first.given, first.target[-1]]
        texts, numbers = token_lines(tokenizer, ids)
        yield Fact("", f"{len(ids)} tokens" + (", the first option's last" * (not is_rolling)))
        yield from (Fact("tokens", texts, is_text=True), Fact("ids", numbers))
    if is_rolling:
        return
    for number, request in enumerate(requests[:_OPTIONS], start=1):
        right = ", right" if request[-1] in document.references else ""
        name = f"option {number}{right}" if len(requests) > 1 else "scored text"
        yield Fact(name, excerpt(request[-1], 200, 50), is_text=True)
    if (left_out := len(requests) - _OPTIONS) > 0:
        yield Fact("", f"and {left_out} more")
