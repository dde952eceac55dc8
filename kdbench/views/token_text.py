"""The text of tokens: what each token of a vocabulary writes, and where tokens begin in a text."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

SpecialToken = str
"""The name of a token that stands for no text, such as `<|im_end|>`."""


def token_texts(tokenizer: Any) -> list[bytes | SpecialToken | None]:
    """What each token of a vocabulary writes.

    Args:
        tokenizer: Tokenizer of transformers.

    Returns:
        By id: the bytes of the token's text; the name of a special token; None for an id without a
        token.
    """
    to_bytes = _reader(tokenizer)
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    added = set(tokenizer.added_tokens_decoder)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    texts: list[bytes | SpecialToken | None] = [None] * (1 + max(vocabulary.values()))
    for token, number in vocabulary.items():
        if number in special:
            texts[number] = token
        else:
            # Added tokens are kept as they are written; only those of the model are encoded.
            texts[number] = token.encode() if number in added else to_bytes(token)
    return texts


def byte_lengths(tokenizer: Any, ends: Collection[int]) -> list[int]:
    """The number of bytes that each token writes, by id.

    Args:
        tokenizer: Tokenizer of transformers.
        ends: Tokens that end a response; they get -1, as they write nothing. Any other special
            token writes its name, as it does for a model that does not have it.
    """
    texts = [text.encode() if isinstance(text, str) else text for text in token_texts(tokenizer)]
    return [-1 if number in ends else len(text or b"") for number, text in enumerate(texts)]


def token_starts(
    tokenizer: Any, ids: Sequence[int], within: str | None = None
) -> tuple[str, list[int | None]]:
    """Where each token of a text begins.

    Tokens are decoded prefix by prefix, because a token's text can depend on those before it.

    Args:
        tokenizer: Tokenizer of transformers.
        ids: Tokens of a text, without an end token.
        within: The text that was encoded; None for what the tokens write, which can begin with a
            space that the tokenizer added, or have other characters.

    Returns:
        The text, and for each token the byte of the text at which it begins; None if it begins
        inside a character, or after a place where the tokens do not write the text.
    """
    prefixes = [list(ids[:length]) for length in range(len(ids) + 1)]
    decoded = tokenizer.batch_decode(
        prefixes, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    text: str = decoded[-1] if within is None else within
    if decoded[-1].startswith(" ") and not text.startswith(" "):
        decoded = [prefix[1:] for prefix in decoded]
    starts = [len(prefix.encode()) if text.startswith(prefix) else None for prefix in decoded[:-1]]
    return text, _ascending(starts)


def _ascending(starts: list[int | None]) -> list[int | None]:
    """The starts without those behind a later one: broken characters decode to more of them."""
    smallest = max((start for start in starts if start is not None), default=0)
    kept: list[int | None] = []
    for start in reversed(starts):
        if start is not None and start <= smallest:
            smallest = start
            kept.append(start)
        else:
            kept.append(None)
    return kept[::-1]


def _reader(tokenizer: Any) -> Callable[[str], bytes]:
    """The function from a token of the vocabulary to its bytes."""
    kinds = _decoders(tokenizer)
    if "ByteLevel" in kinds:
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
        return lambda token: bytes(byte_of[char] for char in token if char in byte_of)
    if kinds & {"ByteFallback", "Metaspace", "Replace"}:
        return _sentencepiece_bytes
    return str.encode


def _sentencepiece_bytes(token: str) -> bytes:
    """The bytes of a token in which `▁` is a space and `<0x0A>` a byte."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()


def _decoders(tokenizer: Any) -> set[str]:
    """The kinds of decoders of a tokenizer; empty for one that is not of the library tokenizers."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return set()
    decoder = json.loads(backend.to_str())["decoder"] or {}
    return {str(part["type"]) for part in [decoder, *decoder.get("decoders", [])] if "type" in part}
