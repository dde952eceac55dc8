"""The prompts of training rows: text, user's message, and the form in which they are encoded."""

from collections.abc import Mapping
from typing import Any

from kdbench.config import TrainSettings
from kdbench.protocol import Protocol
from kdbench.system.bundled import load_module

PLAIN = Protocol("training", max_prompt_tokens=None)
"""The task's prompt without BOS, not cut."""


def prompt_form(settings: TrainSettings) -> Protocol:
    """The form of the prompts, and whether they begin with BOS; not cut."""
    return Protocol(
        "training",
        prompt=settings.train_format,
        max_prompt_tokens=None,
        add_bos=settings.add_bos,
    )


def prompt_of(row: Mapping[str, Any]) -> str:
    """The task's prompt of a row."""
    return str(load_module("tasks/instruction.py").doc_to_text(row))


def message_of(row: Mapping[str, Any]) -> str:
    """What a user would say: instruction and input without the task's template."""
    return f"{row['instruction']}\n\n{row['input']}".strip()
