"""Chat messages, and their text in a tokenizer's chat template."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kdbench.errors import InputError, nearest, reason_of


class Turn(NamedTuple):
    """A turn of a conversation.

    Attributes:
        role: Who wrote it, such as `user`.
        content: What is said.
    """

    role: str
    content: str


ChatMessage = str | tuple[Turn, ...]
"""What a user says, or a conversation."""


def turns_of(message: ChatMessage) -> list[dict[str, str]]:
    """Return a message as turns for a chat template; a text is one turn of the user."""
    if isinstance(message, str):
        return [{"role": "user", "content": message}]
    return [turn._asdict() for turn in message]


def find_template(tokenizer: Any, chosen: str | None, place: object) -> str:
    """Return the chat template to use.

    Args:
        tokenizer: Tokenizer, which may have a template, several with names, or none.
        chosen: Value of the protocol's `chat_template`: a name or the text of a template; None for
            the tokenizer's own.
        place: The checkpoint, for error messages.

    Raises:
        InputError: The tokenizer has no template, none of this name, or several and no default.
    """
    stored = tokenizer.chat_template
    named = stored if isinstance(stored, Mapping) else {"default": stored} if stored else {}
    if chosen is not None and is_template(chosen):
        return chosen
    if not named:
        raise InputError(
            f"{place}: no chat template; use protocol=minillm or greedy, or pass chat_template=FILE"
        )
    if chosen is not None and chosen not in named:
        raise InputError(
            f"chat_template={chosen}: no such file, and {place} has no template of this name: "
            f"{nearest(chosen, named)}"
        )
    if chosen is None and "default" not in named:
        raise InputError(
            f"{place}: has several chat templates and no default; pass chat_template=NAME: "
            f"{', '.join(sorted(named))}"
        )
    return str(named[chosen or "default"])


def is_template(text: str) -> bool:
    """Return whether a text is a template, not the name of one."""
    return "{" in text or "\n" in text


def chat_text(tokenizer: Any, template: str, message: ChatMessage) -> str:
    """Render a message with a chat template, ready for the model's answer.

    If the last turn is the assistant's, the answer continues it.

    Args:
        tokenizer: Tokenizer, whose special tokens the template may use.
        template: Text of the template.
        message: Message or conversation.

    Raises:
        InputError: The template has an error or refuses the turns.
    """
    turns = turns_of(message)
    continued = turns[-1]["role"] == "assistant"
    try:
        return str(
            tokenizer.apply_chat_template(
                turns,
                chat_template=template,
                tokenize=False,
                add_generation_prompt=not continued,
                continue_final_message=continued,
            )
        )
    except Exception as error:
        raise InputError(
            f"the chat template fails: {reason_of(error, 200)}; choose another with chat_template="
        ) from error
