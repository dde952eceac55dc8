"""Rows of a data set become documents: prompts, messages and references as lm-eval renders them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.system.console import note_once
from kdbench.system.time_limit import time_limit
from kdbench.task.model import Document
from kdbench.task.printed import check_is_text, is_turns
from kdbench.task.prompt_documents import checked_category
from kdbench.task.requests import gold_options, make_requests
from kdbench.task.turns import chat_turns
from kdbench.views.chat import ChatMessage, Turn

_SECONDS = 30  # a document takes milliseconds
_FEWSHOT_SEED = 1234  # lm-eval's default
_ONE_FIELD = re.compile(r"\s*\{\{-?\s*(\w+)\s*-?\}\}\s*")
_FIELD = re.compile(r"\{\{-?\s*(\w+)\s*-?\}\}")


def make_documents(
    task: Any,
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    is_bundled: bool,
    is_lm_evals: bool = False,
) -> Iterator[Document]:
    """Yield the documents of a task.

    Args:
        task: lm-eval's task.
        rows: Rows of the data set.
        path: The YAML, for error messages.
        is_bundled: Whether the task comes with kdbench, so that its fields are known.
        is_lm_evals: Whether the task comes with lm-eval, so that users cannot fix its ids and
            references: equal ids are replaced by numbers, and an unusable reference is left out.

    Raises:
        InputError: Two documents have one id, a reference is empty or missing, or a function or
            template of the YAML fails on a row.
    """
    task.set_fewshot_seed(_FEWSHOT_SEED)
    if task.config.doc_to_target == "" and task.config.num_fewshot:
        raise InputError(f"{path}: num_fewshot needs doc_to_target, the examples' answers")
    seen: set[str] = set()
    names = document_ids(rows) if is_lm_evals else None
    stored = rows if is_bundled else None  # whose rows are read again when they are asked for
    for index, row in enumerate(rows):
        name = str(row.get("id", index)) if names is None else names[index]
        if name in seen:
            raise InputError(f"{path}: two documents have the id '{name}'")
        seen.add(name)
        place = f"{path}: document '{name}'"
        try:
            with time_limit(_SECONDS):
                own = is_bundled or bool(_conversation(task.config, row))
                turns = () if own else chat_turns(task, row)
                prompt, message = _prompt(task, row, is_bundled)
                references = _references(task, row, is_lm_evals)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        except Exception as error:
            reason = reason_of(error)
            raise InputError(f"{place}: {reason}") from error
        category = _category(task.config.metadata or {}, row, place)
        fields = row if stored is None else stored[index]
        yield Document(name, prompt, message, references, fields, category, turns)


def _category(metadata: Mapping[str, Any], row: Mapping[str, Any], place: str) -> str | None:
    """Return the value of the field that `metadata.category` names; None if it names none."""
    field = metadata.get("category")
    if field is None:
        return None
    if field not in row:
        known = ", ".join(map(str, row))
        raise InputError(f"{place}: metadata.category: no field '{field}'; it has {known}")
    try:
        return None if row[field] is None else checked_category(row[field])
    except InputError as error:
        raise InputError(f"{place}: '{field}' {error}") from None


def make_asked_documents(
    task: Any, rows: Sequence[Mapping[str, Any]], path: Path
) -> Iterator[Document]:
    """Yield the documents of a task that is scored by likelihood.

    The references are the right options, if any.

    Args:
        task: lm-eval's task.
        rows: Rows of the data set. Their `id` is the document's if all have different ones.
        path: The YAML, for error messages.

    Raises:
        InputError: A function or template of the YAML fails on a row, or asks for something else.
    """
    made = make_requests(task, rows)
    unanswered = 0
    for name, row in zip(document_ids(rows), rows, strict=True):
        try:
            gold = gold_options(task, row)
            requests = next(made)
            prompt = requests[0][0] if len(requests[0]) > 1 else ""
            texts = tuple(requests[option][-1] for option in gold if option < len(requests))
        except InputError as error:
            raise InputError(f"{path}: document '{name}': {error}") from None
        unanswered += not gold
        category = _category(task.config.metadata or {}, row, f"{path}: document '{name}'")
        yield Document(name, prompt, prompt, texts, row, category, requests=requests)
    if unanswered and task.config.process_results is None:
        text = (
            f"{path}: {unanswered} of {len(rows)} documents name no right option in doc_to_target"
        )
        if unanswered == len(rows):
            raise InputError(f"{text}: give the index of an option, or its text")
        note_once(f"note: {text}; their accuracy is 0, as in lm-eval")


def document_ids(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the rows' own ids if all are there and different, else their numbers from 0."""
    ids = [str(row.get("id")) for row in rows]
    own = all(row.get("id") is not None for row in rows) and len(set(ids)) == len(ids)
    return ids if own else [str(index) for index in range(len(ids))]


def _prompt(task: Any, row: Mapping[str, Any], is_bundled: bool) -> tuple[str, ChatMessage]:
    """Return the text of the prompt, and the message for a chat template."""
    turns = _conversation(task.config, row)
    if turns:
        return "", turns
    shots = task.config.num_fewshot or 0
    prefix = task.doc_to_prefix(row)
    prompt = task.fewshot_context(row, shots, gen_prefix=prefix)
    _check_no_null(task.config.doc_to_text, row, prompt, "doc_to_text")
    if not is_bundled and any(bracket in prompt for bracket in "[{("):
        check_is_text(task.config.doc_to_text, row, task.doc_to_text(row))
    # Only the author of another task knows which part of its prompt is the template.
    instruction = row.get("instruction") if is_bundled else None
    if instruction:
        return prompt, f"{instruction}\n\n{row.get('input') or ''}".strip()
    if prefix:
        return prompt, (Turn("user", prompt.removesuffix(prefix)), Turn("assistant", prefix))
    return prompt, prompt


def _conversation(config: Any, row: Mapping[str, Any]) -> ChatMessage:
    """Return the turns of a row whose prompt is a list of them; empty for any other prompt."""
    template = config.doc_to_text
    if not isinstance(template, str):
        return ()
    match = _ONE_FIELD.fullmatch(template)
    value = row.get(match[1] if match else template)
    if not isinstance(value, list) or not is_turns(value):
        if isinstance(value, list | Mapping):
            raise InputError(
                "doc_to_text must be a text or a list of chat turns with 'role' and 'content', "
                f"not {str(value)[:60]}"
            )
        return ()
    for key in ("num_fewshot", "description", "gen_prefix"):
        if getattr(config, key):
            raise InputError(f"{key}: has no place in a list of chat turns")
    roles = [turn["role"] for turn in value]
    if not all(isinstance(turn["content"], str) for turn in value):
        raise InputError("a chat turn's content must be text")
    if roles[-1] == "assistant":
        raise InputError("the last chat turn is the assistant's; it must be the one to answer")
    return tuple(Turn(turn["role"], turn["content"]) for turn in value)


def _references(task: Any, row: Mapping[str, Any], may_lack: bool) -> tuple[str, ...]:
    """Return the references; none if the YAML has no `doc_to_target`, or a row may lack them."""
    if task.config.doc_to_target == "":
        return ()
    try:
        return _checked_references(task, row)
    except InputError:
        if may_lack:
            return ()
        raise


def _checked_references(task: Any, row: Mapping[str, Any]) -> tuple[str, ...]:
    target = task.doc_to_target(row)
    if task.config.doc_to_choice is not None:
        target = task.doc_to_choice(row)[target]
    references = target if isinstance(target, list | tuple) else [target]
    if not references or any(reference is None for reference in references):
        raise InputError("has no reference (null or missing)")
    if any(isinstance(reference, Mapping | list | tuple | set) for reference in references):
        raise InputError(f"a reference must be text, not {str(references)[:60]}")
    # As in lm-eval, numbers, booleans and dates are what Python prints.
    texts = tuple(str(reference) for reference in references)
    if not all(texts):
        raise InputError("has an empty reference")
    if len(texts) == 1:
        _check_no_null(task.config.doc_to_target, row, texts[0], "doc_to_target")
    return texts


def _check_no_null(template: object, row: Mapping[str, Any], text: str, key: str) -> None:
    """Check that a template does not print a missing value as the word None.

    Raises:
        InputError: It does.
    """
    if not isinstance(template, str) or "None" not in text or template in row:
        return
    from lm_eval.utils import env

    def refuse_null(value: object) -> object:
        if value is None:
            raise InputError(f"{key}: {_null_field(template, row)} is null or missing")
        return value

    env.overlay(finalize=refuse_null).from_string(template).render(**row)


def _null_field(template: str, row: Mapping[str, Any]) -> str:
    """The first field of a template that is null, for a message."""
    for name in _FIELD.findall(template):
        if name in row and row[name] is None:
            return f"the field '{name}'"
    return "a value that it prints"
