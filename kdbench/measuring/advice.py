"""Advice about a protocol that is not the one a student was trained for."""

from collections.abc import Mapping
from typing import Any

from kdbench.protocol import Protocol

_NAMES = {"task": "the task's format", "chat": "the tokenizer's chat template"}


def prompt_advice(card: Mapping[str, Any], protocol: Protocol) -> str | None:
    """A line if a student was trained on prompts of another form than the protocol's.

    Args:
        card: The run card of the student; empty for other checkpoints.
        protocol: The protocol of the evaluation.
    """
    training = card.get("training")
    settings = training.get("settings") if isinstance(training, dict) else None
    if not isinstance(settings, dict):
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
