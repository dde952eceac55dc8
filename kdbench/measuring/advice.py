"""Advice before a model works: a protocol or metrics that do not fit."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.metrics import of_repeated
from kdbench.protocol import Protocol
from kdbench.task import Task

_LONGEST = 60  # characters of a value
_FORMS = {"alpaca": "task", "task": "task", "text": "task", "chat": "chat"}
_NAMES = {
    "alpaca": "the Alpaca template",
    "task": "the Alpaca template",
    "text": "their own form, without a template",
    "chat": "the tokenizer's chat template",
}
_ASKS = {"task": "the task's format", "chat": "the tokenizer's chat template"}
# Keys of training that are keys of a protocol, with the value of a card that lacks them.
_OF_TASK: dict[str, Any] = {"add_bos": False}
_OF_CHAT: dict[str, Any] = {**_OF_TASK, "system": None, "chat_template_kwargs": {}}
_ALPACA = "### Response"  # a template with this heading asks as the task does


def prompt_advice(card: Mapping[str, Any], protocol: Protocol) -> str | None:
    """A line if a student was trained on prompts of another form than the protocol's.

    Args:
        card: The run card of the student; empty for other checkpoints.
        protocol: The protocol of the evaluation.
    """
    settings, form = _training_settings(card), trained_form(card)
    if settings is None or form is None:
        return None
    learned = settings.get("train_format", "alpaca")
    if form != protocol.prompt:
        other = "protocol=chat" if form == "chat" else "protocol=minillm or greedy"
        return (
            f"this student was trained on prompts in {_NAMES[learned]}, and protocol "
            f"{protocol.name} asks in {_ASKS[protocol.prompt]}; {other} asks as in its training"
        )
    for key, default in (_OF_CHAT if form == "chat" else _OF_TASK).items():
        value = settings.get(key, default)
        if value != getattr(protocol, key):
            word = _word(key, value)
            return f"this student was trained with {word}; pass {word} to ask it so"
    return None


def trained_form(card: Mapping[str, Any]) -> str | None:
    """The form of the prompts that a student learned: `task` or `chat`; None if it is not known.

    Args:
        card: The run card of the student; empty for other checkpoints.
    """
    settings = _training_settings(card)
    learned = "" if settings is None else settings.get("train_format", "alpaca")
    return _FORMS.get(learned) if isinstance(learned, str) else None


def _word(key: str, value: object) -> str:
    """A key and its value as words of a command line."""
    if isinstance(value, Mapping):
        return f"{key}={','.join(f'{name}={_plain(item)}' for name, item in value.items())}"
    return f"{key}={_plain(value)}"


def _plain(value: object) -> str:
    """A value as it is written on the command line, if it is short."""
    text = str(value).lower() if isinstance(value, bool | None) else str(value)
    if len(text) > _LONGEST or not text.isprintable():
        return "… (see its run card)"
    return shlex.quote(text)


def template_advice(card: Mapping[str, Any], template: object, protocol: Protocol) -> str | None:
    """A line if a checkpoint has a chat template that the protocol does not use.

    Args:
        card: The run card of the checkpoint, which says how it was trained; empty for others.
        template: The chat template of its tokenizer, or several by name; None if it has none.
        protocol: The protocol of the evaluation.
    """
    if not template or protocol.prompt == "chat" or _training_settings(card) is not None:
        return None
    if _ALPACA in str(template):
        return None
    return (
        f"note: the checkpoint has a chat template, and protocol {protocol.name} asks in the "
        "task's own format; if it was trained to chat, protocol=chat asks as in its training"
    )


def answers_advice(names: Sequence[str], tasks: Sequence[Task]) -> str | None:
    """A line if metrics need answers that are right or wrong, and no task has such answers.

    Args:
        names: Names of the requested metrics.
        tasks: Tasks to measure.
    """
    asked = [name for name in names if of_repeated(name)]
    own = (task.lm_eval is not None and not task.bundled for task in tasks)
    if not asked or any(own) or any(task.closed_answers for task in tasks):
        return None
    return (
        f"no task says which answers are right, so there will be no number for {', '.join(asked)}; "
        "a YAML with exact_match or with metadata: {closed_answers: true} does"
    )


def _training_settings(card: Mapping[str, Any]) -> Mapping[str, Any] | None:
    training = card.get("training")
    settings = training.get("settings") if isinstance(training, dict) else None
    return settings if isinstance(settings, dict) else None
