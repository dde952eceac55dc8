"""Prompts as token ids, cut and checked against a model; the tokens that end a response."""

from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Prompt
from kdbench.protocol import Protocol


def encode_prompt(tokenizer: Any, protocol: Protocol, prompt: str, message: str) -> Prompt:
    """Token ids of a document's prompt, cut on the right at `max_prompt_tokens`.

    Raises:
        InputError: no token.
    """
    text = prompt_text(tokenizer, protocol, prompt, message)
    ids = tokenizer(text, add_special_tokens=protocol.add_bos)["input_ids"]
    kept = tuple(ids[: protocol.max_prompt_tokens])
    if not kept:
        raise InputError(f"a prompt encodes to no tokens: '{text[:40]}'")
    return Prompt(kept, cut=len(kept) < len(ids))


def prompt_text(tokenizer: Any, protocol: Protocol, prompt: str, message: str) -> str:
    """What is encoded: the document's prompt, or its message in the tokenizer's chat template."""
    if protocol.prompt == "task":
        return prompt
    turns = [{"role": "user", "content": message}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def check_fits(encoded: Prompt, protocol: Protocol, tokens: int, positions: int | None) -> None:
    """Check that a model can take a prompt and its response.

    Args:
        encoded: the prompt.
        protocol: the limit of the response.
        tokens: that the model has embeddings for.
        positions: of the model, None if they have no end.

    Raises:
        InputError: it cannot.
    """
    if max(encoded.ids) >= tokens:
        raise InputError("the tokenizer has more tokens than the model's embedding: not a pair")
    if positions and len(encoded.ids) + protocol.max_new_tokens > positions:
        raise InputError(
            f"a prompt of {len(encoded.ids)} tokens and {protocol.max_new_tokens} new ones do "
            f"not fit into the model's {positions} positions; lower max_new_tokens= or "
            "max_prompt_tokens="
        )


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """EOS of the tokenizer and of the generation configuration, which may name several.

    Args:
        model: anything with a `generation_config`.
        tokenizer: of the model.
    """
    named = getattr(model.generation_config, "eos_token_id", None)
    several = named if isinstance(named, list) else [named]
    return frozenset({tokenizer.eos_token_id, *several} - {None})
