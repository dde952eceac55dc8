"""Advice about a protocol that is not the one a student was trained for."""

from collections.abc import Mapping
from typing import Any

from kdbench.protocol import Protocol

_ALPACA = "### Response"  # a template with this heading asks as the task does
_NAMES = {"task": "the task's format", "chat": "the tokenizer's chat template"}


def prompt_advice(card: Mapping[str, Any], protocol: Protocol) -> str | None:
    """A line if a student was trained on prompts of another form than the protocol's.

    Args:
        card: The run card of the student; empty for other checkpoints.
        protocol: The protocol of the evaluation.
    """
    settings = _training_settings(card)
    if settings is None:
        return None
    form, bos = settings.get("train_format", "task"), settings.get("add_bos", False)
    if form in _NAMES and form != protocol.prompt:
        other = "protocol=chat" if form == "chat" else "protocol=minillm or greedy"
        return (
            f"this student was trained on prompts in {_NAMES[form]}, and protocol "
            f"{protocol.name} asks in {_NAMES[protocol.prompt]}; {other} asks as in its training"
        )
    if form == "task" and bos != protocol.add_bos:
        value = str(bos).lower()
        return f"this student was trained with add_bos={value}; pass add_bos={value} to ask it so"
    return None


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


def _training_settings(card: Mapping[str, Any]) -> Mapping[str, Any] | None:
    training = card.get("training")
    settings = training.get("settings") if isinstance(training, dict) else None
    return settings if isinstance(settings, dict) else None
