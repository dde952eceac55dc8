"""Prompts as token ids, cut and checked against a model; the tokens that end a response."""

from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.generate.values import Prompt
from kdbench.system.console import note_once
from kdbench.system.time_limit import time_limit
from kdbench.views.chat import (
    ChatMessage,
    chat_text,
    check_variables,
    find_template,
    with_system,
)

if TYPE_CHECKING:
    from kdbench.protocol import Protocol

_SECONDS = 10  # a chat template takes milliseconds


def encode_prompt(
    tokenizer: Any, protocol: "Protocol", prompt: str, message: ChatMessage
) -> Prompt:
    """Encode a document and keep its first `max_prompt_tokens` tokens.

    Args:
        tokenizer: Tokenizer of the model.
        protocol: Protocol with the prompt's kind, its limit and `add_bos`.
        prompt: Text of the prompt.
        message: The user's message, without the task's template; for `prompt=chat`.

    Raises:
        InputError: The prompt encodes to no tokens.
    """
    text = prompt_text(tokenizer, protocol, prompt, message)
    ids = text_tokens(tokenizer, text, protocol.add_bos)
    kept = tuple(ids[: protocol.max_prompt_tokens])
    if not kept:
        raise InputError(f"a prompt encodes to no tokens: '{text[:40]}'")
    if protocol.prompt == "chat" and ids[-1] == tokenizer.eos_token_id:
        note_once(
            f"note: the chat template ends the prompt with the end token '{tokenizer.eos_token}', "
            "after which most models write nothing; chat_template=FILE gives another template"
        )
    return Prompt(kept, cut=len(kept) < len(ids))


def text_tokens(tokenizer: Any, text: str, add_bos: bool) -> list[int]:
    """Return the tokens of a text.

    Args:
        tokenizer: Tokenizer of the model.
        text: Text to encode.
        add_bos: Whether to keep what the tokenizer puts before a text. What it puts behind it,
            such as the end token, would end the prompt and is never kept.
    """
    plain: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not add_bos:
        return plain
    whole: list[int] = tokenizer(text, add_special_tokens=True)["input_ids"]
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[: start + len(plain)]
    return whole


def prompt_text(tokenizer: Any, protocol: "Protocol", prompt: str, message: ChatMessage) -> str:
    """Return the text to encode: the prompt, or the message in the tokenizer's chat template.

    Raises:
        InputError: The chat template fails, does not end or does not read a variable, the document
            has a system turn beside the protocol's, or it is a conversation and has no prompt.
    """
    if protocol.prompt == "task":
        check_has_prompt(prompt, message)
        return prompt
    template = find_template(tokenizer, protocol.chat_template, "the tokenizer")
    check_variables(template, protocol.chat_template_kwargs)
    turns = with_system(message, protocol.system)
    with time_limit(_SECONDS):
        return chat_text(tokenizer, template, turns, protocol.chat_template_kwargs)


def check_has_prompt(prompt: str, message: ChatMessage) -> None:
    """Check that a document has a prompt without a chat template.

    Raises:
        InputError: The document is a conversation.
    """
    if not prompt and not isinstance(message, str):
        raise InputError("the task's prompts are lists of chat turns: use protocol=chat")


def check_template(tokenizer: Any, protocol: "Protocol", place: object) -> None:
    """Check that a tokenizer has the protocol's chat template, and note a BOS token left out.

    Args:
        tokenizer: Tokenizer of the model.
        protocol: Protocol with the prompt's kind.
        place: The checkpoint, for error messages.

    Raises:
        InputError: It has no such template, or the template does not read a variable.
    """
    if protocol.prompt == "chat":
        template = find_template(tokenizer, protocol.chat_template, place)
        check_variables(template, protocol.chat_template_kwargs)
    elif not protocol.add_bos and adds_bos(tokenizer):
        note_once(
            f"note: the tokenizer of {place} begins a text with '{tokenizer.bos_token}', and the "
            "protocol leaves it out; add_bos=true keeps it"
        )


def adds_bos(tokenizer: Any) -> bool:
    """Whether a tokenizer puts its BOS token before a text unless it is told not to."""
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer("a")["input_ids"][:1] == [bos]


def check_fits(encoded: Prompt, protocol: "Protocol", tokens: int, positions: int | None) -> None:
    """Check that a model has room for a prompt and its response.

    Args:
        encoded: Encoded prompt.
        protocol: Protocol with the limit of the response.
        tokens: Number of tokens in the model's embedding.
        positions: Number of positions of the model; None if it has no limit.

    Raises:
        InputError: A token is not in the embedding, or prompt and response are too long.
    """
    if max(encoded.ids) >= tokens:
        raise InputError(
            "the tokenizer has more tokens than the model's embedding: they do not belong together"
        )
    if positions and len(encoded.ids) + protocol.max_new_tokens > positions:
        raise InputError(
            f"a prompt of {len(encoded.ids)} tokens and a response of {protocol.max_new_tokens} do "
            f"not fit into the model's {positions} positions; lower max_new_tokens= or "
            "max_prompt_tokens="
        )


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end a response: those of the tokenizer and the generation config.

    Args:
        model: Object with a `generation_config`, whose `eos_token_id` may be a list.
        tokenizer: Tokenizer of the model.
    """
    named = getattr(model.generation_config, "eos_token_id", None)
    configured = named if isinstance(named, list) else [named]
    return frozenset({tokenizer.eos_token_id, *configured} - {None})
