"""`kdbench eval --dry-run`: what a measurement would ask, without weights and without writing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.checkpoint import Checkpoint, count_parameters, load_tokenizer, pick_device
from kdbench.generate import Prompt
from kdbench.generate.prompts import (
    check_fits,
    check_template,
    encode_prompt,
    prompt_text,
    text_tokens,
)
from kdbench.generate.unloaded import UnloadedCheckpoint
from kdbench.measuring.asked import split_prompt, token_spans
from kdbench.measuring.estimate import Load, estimated_time
from kdbench.measuring.measurement import Measurement
from kdbench.measuring.option_facts import option_facts
from kdbench.protocol import Protocol
from kdbench.system.outline import Fact, Section, excerpt, plain_fields
from kdbench.system.progress import slow_step
from kdbench.task import Document, Task
from kdbench.text import counted
from kdbench.views.chat import plain_text, turns_of, with_system
from kdbench.views.token_texts import token_lines

_SHOWN = 2  # prompts of each task
_DIGITS = 12  # of a hash


@dataclass(frozen=True)
class Reading:
    """How a model reads prompts, known without its weights.

    Attributes:
        tokenizer: Its tokenizer; None if only the loaded backend can encode.
        dtype: Precision in which the weights would be loaded.
        device: Device that the model would run on; None if a server runs it.
        parameters: Number of its parameters; None if unknown.
        tokens: Number of tokens in its embedding; None if unknown.
        positions: Number of its positions; None if it has no limit or it is unknown.
        config: Its configuration; None if unknown.
    """

    tokenizer: Any
    dtype: str
    device: str | None
    parameters: int | None = None
    tokens: int | None = None
    positions: int | None = None
    config: Any = None


def reading(measurement: Measurement) -> Reading:
    """Find out how a model reads prompts; only its configuration and tokenizer are loaded.

    Raises:
        InputError: The tokenizer or the configuration is broken, the protocol needs a chat template
            that the tokenizer lacks, or the device is not available.
    """
    settings, checkpoint = measurement.settings, measurement.checkpoint
    if checkpoint.served is not None:
        return Reading(None, settings.dtype, None)
    device, parameters = pick_device(settings.device), count_parameters(checkpoint)
    if not measurement.encodes_plainly:
        return Reading(None, settings.dtype, device, parameters)
    with slow_step(f"loading the tokenizer of {measurement.name}"):
        tokenizer = load_tokenizer(checkpoint, settings.trust_remote_code)
    check_template(tokenizer, measurement.protocol, checkpoint.path)
    measurement.note_unused_template(tokenizer)
    if checkpoint.gguf is not None:
        return Reading(tokenizer, settings.dtype, device)
    unloaded = UnloadedCheckpoint(checkpoint.base or checkpoint, settings.trust_remote_code)
    kind = device.partition(":")[0]
    return Reading(
        tokenizer,
        unloaded.dtype(settings.dtype, kind),
        device,
        parameters,
        unloaded.config.vocab_size,
        getattr(unloaded.config, "max_position_embeddings", None),
        unloaded.config,
    )


def outline(measurement: Measurement, role: str, shows_prompts: bool = True) -> list[Section]:
    """The sections of a measurement: the model, and each task with its first prompts.

    Args:
        measurement: The measurement, which has not begun.
        role: What the model is, such as `Model` or `Teacher`.
        shows_prompts: Whether to show the first prompts; otherwise only how they are cut.

    Raises:
        InputError: As `reading`, or a prompt has no tokens or does not fit into the model.
    """
    how = reading(measurement)
    sections = [Section(role, tuple(_model_facts(measurement, how)))]
    for task in measurement.tasks:
        facts = list(_task_facts(measurement, task, how, shows_prompts))
        sections.append(Section(f"{role}: {task.name}", tuple(facts)))
    return sections


def document_facts(document: Document) -> Iterator[Fact]:
    """The references and the category of a document."""
    if document.category is not None:
        yield Fact("category", document.category)
    if not document.references:
        yield Fact("references", "none")
    for number, reference in enumerate(document.references[:_SHOWN], start=1):
        yield Fact(f"reference {number}", excerpt(reference, 400, 100), is_text=True)
    if (left_out := len(document.references) - _SHOWN) > 0:
        yield Fact("", f"and {left_out} more")


def data_fact(task: Task) -> Fact:
    """Which documents of a task are used."""
    data = task.data
    known: dict[object, str] = {True: ", the published set", False: ", not the published set"}
    note = known.get(data.get("published"), "")
    text = f"{data['used']} of {data['rows']}, sha256 {str(data['sha256'])[:_DIGITS]}{note}"
    return Fact("documents", text)


def checkpoint_fact(checkpoint: Checkpoint, parameters: int | None) -> Fact:
    """Which checkpoint was found."""
    if checkpoint.served is not None:
        return Fact("model", f"{checkpoint.served}, on a server")
    size = "" if parameters is None else f", {parameters:,} parameters"
    place = checkpoint.place
    return Fact("checkpoint", f"{place} (sha256 {checkpoint.sha256[:_DIGITS]}{size})")


def _model_facts(measurement: Measurement, how: Reading) -> Iterator[Fact]:
    settings, protocol = measurement.settings, measurement.protocol
    yield checkpoint_fact(measurement.checkpoint, how.parameters)
    place = "" if how.device is None else f", {how.dtype} on {how.device}"
    yield Fact("backend", f"{settings.backend}{place}, batch_size={settings.batch_size}")
    fields = {key: value for key, value in protocol.as_dict().items() if key != "name"}
    yield Fact("protocol", f"{protocol.name}: {plain_fields(fields)}")
    yield Fact("results", str(measurement.run.path))
    generating = [task for task in measurement.tasks if task.generates]
    missing = sum(map(measurement.sampling.missing, generating))
    load = Load(missing, protocol.max_new_tokens, how.parameters, settings.backend, how.dtype)
    yield Fact("time", estimated_time(load, settings.results))


def _task_facts(
    measurement: Measurement, task: Task, how: Reading, shows_prompts: bool
) -> Iterator[Fact]:
    protocol = measurement.protocol
    if shows_prompts:
        yield data_fact(task)
    if not task.generates:
        yield from option_facts(measurement, task, how.tokenizer, how.config, shows_prompts)
        return
    missing = measurement.sampling.missing(task)
    stored = len(measurement.sampling.stored(task))
    total = len(task.documents) * len(protocol.seeds)
    of_shard = f" (shard={measurement.settings.shard})" if measurement.settings.shard else ""
    yield Fact(
        "samples",
        f"{missing} to generate{of_shard}, {stored} of {total} stored; "
        f"{counted(len(task.documents), 'document')} × {counted(len(protocol.seeds), 'seed')}",
    )
    if how.tokenizer is None:
        yield Fact("tokens", "known only to the loaded backend; the prompts are the task's texts")
        prompts: list[Prompt | None] = [None] * len(task.documents)
    else:
        prompts = [_encoded(how, protocol, document) for document in task.documents]
        yield _cut_fact(protocol, [prompt for prompt in prompts if prompt is not None])
    if shows_prompts:
        shown = list(zip(task.documents, prompts, strict=True))[:_SHOWN]
        for number, (document, prompt) in enumerate(shown, start=1):
            yield Fact(f"prompt {number}", f"document {document.id}")
            yield from _prompt_facts(how.tokenizer, protocol, document, prompt)
            yield from document_facts(document)


def _encoded(how: Reading, protocol: Protocol, document: Document) -> Prompt:
    prompt = encode_prompt(how.tokenizer, protocol, document.prompt, document.conversation)
    if how.tokens is not None:
        check_fits(prompt, protocol, how.tokens, how.positions)
    return prompt


def _cut_fact(protocol: Protocol, prompts: Sequence[Prompt]) -> Fact:
    longest = max(len(prompt.ids) for prompt in prompts)
    if protocol.max_prompt_tokens is None:
        return Fact("cut", f"no prompt is cut; the longest has {longest} tokens")
    cut = sum(prompt.cut for prompt in prompts)
    return Fact(
        "cut",
        f"{cut} of {len(prompts)} prompts, on the right at {protocol.max_prompt_tokens} tokens; "
        f"the longest has {longest} after the cut",
    )


def _prompt_facts(
    tokenizer: Any, protocol: Protocol, document: Document, prompt: Prompt | None
) -> Iterator[Fact]:
    """The text of a prompt, its tokens, what was cut, BOS and turns."""
    if prompt is None:
        text = document.prompt or plain_text(document.conversation)
        yield Fact("text", excerpt(text), is_text=True)
        return
    split = split_prompt(tokenizer, protocol, document, prompt.ids)
    yield Fact("text", excerpt(split.kept), is_text=True)
    if split.removed:
        yield Fact("cut off", f"{split.n_removed} tokens on the right:")
        yield Fact("", excerpt(split.removed, 400, 200), is_text=True)
    yield Fact("", counted(len(prompt.ids), "token"))
    texts, numbers = token_lines(tokenizer, prompt.ids)
    yield from (Fact("tokens", texts, is_text=True), Fact("ids", numbers))
    yield Fact("BOS", _bos(tokenizer, prompt.ids))
    if protocol.prompt == "chat" and tokenizer.is_fast:
        yield Fact("turns", turns_line(tokenizer, protocol, document, len(prompt.ids)))


def _bos(tokenizer: Any, ids: Sequence[int]) -> str:
    bos = tokenizer.bos_token_id
    if bos is None:
        return "the tokenizer has none"
    if ids[0] != bos:
        return f"none; the tokenizer's is '{tokenizer.bos_token}'"
    return f"'{tokenizer.bos_token}' at the start{', twice' * (tuple(ids[:2]) == (bos, bos))}"


def turns_line(tokenizer: Any, protocol: Protocol, document: Document, count: int) -> str:
    """Where the chat template put each turn, in tokens from 0.

    Args:
        tokenizer: A fast tokenizer.
        protocol: Protocol of chat prompts.
        document: Document that is asked.
        count: Number of tokens of the prompt, after the cut.
    """
    text = prompt_text(tokenizer, protocol, document.prompt, document.conversation)
    spans = token_spans(tokenizer, text)
    before = len(text_tokens(tokenizer, text, protocol.add_bos)) - len(spans)  # such as BOS
    turns = turns_of(with_system(document.conversation, protocol.system))
    start, places = 0, []
    for turn in turns:
        content = turn["content"].strip()
        at = text.find(content, start)
        if at < 0:
            places.append(f"{turn['role']} not found as it stands")
            continue
        start = at + len(content)
        inside = [i for i, (low, high) in enumerate(spans, before) if high > at and low < start]
        if inside and inside[0] < count:
            cut = " (cut there)" if inside[-1] >= count else ""
            last = min(inside[-1], count - 1)
            places.append(f"{turn['role']} = tokens {inside[0]} to {last}{cut}")
        elif inside:
            places.append(f"{turn['role']} is cut off")
    return f"{', '.join(places)}; the answer begins at token {count}"
