"""Tokens as a reader can check them: their texts, visibly separated, and their ids."""

from collections.abc import Sequence
from typing import Any

BETWEEN = "│"
"""Stands between the texts of tokens."""
_FIRST, _LAST = 48, 24  # tokens that are shown of a long text


def token_lines(tokenizer: Any, ids: Sequence[int]) -> tuple[str, str]:
    """The texts and the ids of tokens; the middle of a long text is left out.

    Args:
        tokenizer: Tokenizer of the model.
        ids: Ids of the tokens.

    Returns:
        The texts with `BETWEEN` between them, and the ids with spaces.
    """
    texts = _shown([token_text(tokenizer, token) for token in _ends(ids)], len(ids))
    numbers = _shown([str(token) for token in _ends(ids)], len(ids))
    return BETWEEN.join(texts), " ".join(numbers)


def token_text(tokenizer: Any, token: int) -> str:
    """The text of one token: its characters, or its name in the vocabulary if it is none alone.

    Args:
        tokenizer: Tokenizer of the model.
        token: Id of the token.
    """
    name = str(tokenizer.convert_ids_to_tokens(token))
    text = str(tokenizer.decode([token], clean_up_tokenization_spaces=False))
    if not text or "\ufffd" in text:  # a part of a character, or a special token
        return name
    # A SentencePiece tokenizer drops the space before the first token that it decodes.
    text = f" {text}" if name.startswith("▁") and not text.startswith(" ") else text
    return text.replace("\n", "\\n")


def _ends(ids: Sequence[int]) -> Sequence[int]:
    return ids if len(ids) <= _FIRST + _LAST else [*ids[:_FIRST], *ids[-_LAST:]]


def _shown(parts: list[str], count: int) -> list[str]:
    left_out = count - len(parts)
    return parts if not left_out else [*parts[:_FIRST], f"… {left_out} more …", *parts[_FIRST:]]
