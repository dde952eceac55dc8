"""Chat messages, and their text in a tokenizer's chat template."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from kdbench.errors import InputError, nearest, reason_of

# What transformers takes for itself, and what decides the prompt.
_SET_BY_KDBENCH = {
    "add_generation_prompt",
    "chat_template",
    "continue_final_message",
    "conversation",
    "documents",
    "max_length",
    "messages",
    "padding",
    "processor_kwargs",
    "return_assistant_tokens_mask",
    "return_dict",
    "return_tensors",
    "sanitize_control_tokens",
    "tokenize",
    "tokenizer_kwargs",
    "tools",
    "truncation",
}
_GIVEN_BY_TRANSFORMERS = {"raise_exception", "strftime_now", "bos_token", "eos_token"}
_GENERATION_TAG = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")  # of transformers alone


class Turn(NamedTuple):
    """A turn of a conversation.

    Attributes:
        role: Who wrote it, such as `user`.
        content: What is said.
    """

    role: str
    content: str


class Description(NamedTuple):
    """A system turn from a task's description; a protocol's system turn comes before it.

    Attributes:
        role: `system`.
        content: The description.
        delimiter: Text between the protocol's system turn and the description, as in lm-eval.
    """

    role: str
    content: str
    delimiter: str


ChatMessage = str | tuple[Turn | Description, ...]
"""What a user says, or a conversation."""


def turns_of(message: ChatMessage) -> list[dict[str, str]]:
    """Return a message as turns for a chat template; a text is one turn of the user."""
    if isinstance(message, str):
        return [{"role": "user", "content": message}]
    return [{"role": turn.role, "content": turn.content} for turn in message]


def plain_text(message: ChatMessage) -> str:
    """Return what a message says, without a template; turns with their roles."""
    if isinstance(message, str):
        return message
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in message)


def with_system(message: ChatMessage, system: str | None) -> ChatMessage:
    """Return a conversation that begins with a system turn.

    Args:
        message: Message or conversation.
        system: Text of the turn; None to leave the message as it is.

    Raises:
        InputError: The conversation has a system turn of its own.
    """
    if system is None:
        return message
    turns = (Turn("user", message),) if isinstance(message, str) else message
    first, *rest = turns
    if isinstance(first, Description):
        return (Turn("system", system + first.delimiter + first.content), *rest)
    if any(turn.role == "system" for turn in turns):
        raise InputError(
            "a document's chat turns have a system turn of their own; leave out system=, or remove "
            "the turn from the data"
        )
    return (Turn("system", system), *turns)


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


def chat_text(
    tokenizer: Any,
    template: str,
    message: ChatMessage,
    variables: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Render a message with a chat template, ready for the model's answer.

    If the last turn is the assistant's, the answer continues it.

    Args:
        tokenizer: Tokenizer, whose special tokens the template may use.
        template: Text of the template.
        message: Message or conversation.
        variables: Variables of the template, which `check_variables` has checked.

    Raises:
        InputError: The template has an error, or refuses or leaves out a turn.
    """
    turns = turns_of(message)

    def render(turns: list[dict[str, str]]) -> str:
        continued = turns[-1]["role"] == "assistant"
        text = tokenizer.apply_chat_template(
            turns,
            chat_template=template,
            tokenize=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
            **variables,
        )
        return str(text)

    try:
        text = render(turns)
    except Exception as error:
        # A template that did not end within the time limit would not end now.
        way_out = "" if isinstance(error, TimeoutError) else _way_out(render, turns)
        raise InputError(
            f"the chat template fails: {reason_of(error, 200)}; {way_out}choose another with "
            "chat_template="
        ) from error
    for turn in turns:
        if turn["role"] == "system" and turn["content"].strip() not in text:
            raise InputError(
                "the chat template leaves out the system turn; leave out system= (or the turn in "
                "the data), or choose another template with chat_template="
            )
    return text


def _way_out(render: Callable[[list[dict[str, str]]], str], turns: list[dict[str, str]]) -> str:
    """Return what would make a template take a conversation: a system turn, or none."""
    without = [turn for turn in turns if turn["role"] != "system"]
    has_system = len(without) < len(turns)
    other = without if has_system else [{"role": "system", "content": "text"}, *turns]
    try:
        render(other)
    except Exception:  # noqa: BLE001 - whatever the template raises
        return ""
    if has_system:
        return "it takes no system turn: leave out system= (or the turn in the data), or "
    return "it needs a system turn: pass system=TEXT, or "


@cache
def template_variables(template: str) -> frozenset[str]:
    """Return the variables that a template reads; none if it has a syntax error."""
    from jinja2 import Environment, TemplateSyntaxError, meta

    extensions = ["jinja2.ext.loopcontrols", "jinja2.ext.do"]
    environment = Environment(autoescape=False, extensions=extensions)  # noqa: S701 - only read
    try:
        tree = environment.parse(_GENERATION_TAG.sub("", template))
    except TemplateSyntaxError:
        return frozenset()
    return frozenset(meta.find_undeclared_variables(tree) - environment.globals.keys())


def check_variables(template: str, variables: Iterable[str]) -> None:
    """Check that a template reads the variables that it is given.

    Args:
        template: Text of the template.
        variables: Names of the variables.

    Raises:
        InputError: It does not read one, so that it would change nothing, or kdbench sets it.
    """
    for name in variables:
        place = f"chat_template_kwargs={name}=…"
        if name in _SET_BY_KDBENCH:
            raise InputError(f"{place}: kdbench sets it; leave it out")
        if name not in template_variables(template):
            free = template_variables(template) - _SET_BY_KDBENCH - _GIVEN_BY_TRANSFORMERS
            raise InputError(
                f"{place}: the chat template reads no such variable, so it would change nothing; "
                + (nearest(name, free) if free else "it reads none that can be set")
            )
