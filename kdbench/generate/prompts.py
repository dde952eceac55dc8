"""Prompts as token ids, cut and checked against a model; the tokens that end a response."""

from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.generate.values import Prompt

if TYPE_CHECKING:
    from kdbench.protocol import Protocol


def encode_prompt(tokenizer: Any, protocol: "Protocol", prompt: str, message: str) -> Prompt:
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
    ids = tokenizer(text, add_special_tokens=protocol.add_bos)["input_ids"]
    kept = tuple(ids[: protocol.max_prompt_tokens])
    if not kept:
        raise InputError(f"a prompt encodes to no tokens: '{text[:40]}'")
    return Prompt(kept, cut=len(kept) < len(ids))


def prompt_text(tokenizer: Any, protocol: "Protocol", prompt: str, message: str) -> str:
    """Return the text to encode: the prompt, or the message in the tokenizer's chat template."""
    if protocol.prompt == "task":
        return prompt
    turns = [{"role": "user", "content": message}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


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
