"""The form of the prompts in training, which is that of a protocol in evaluation."""

from kdbench.config import TrainSettings
from kdbench.protocol import Protocol

PLAIN = Protocol("training", max_prompt_tokens=None)
"""The row's prompt without BOS, not cut."""


def prompt_form(settings: TrainSettings) -> Protocol:
    """The form of the prompts, and whether they begin with BOS; not cut."""
    return Protocol(
        "training",
        prompt="chat" if settings.train_format == "chat" else "task",
        max_prompt_tokens=None,
        add_bos=settings.add_bos,
        chat_template=settings.chat_template,
        system=settings.system,
        chat_template_kwargs=settings.chat_template_kwargs,
        thinking=settings.thinking,
        thinking_marks=settings.thinking_marks,
    )
