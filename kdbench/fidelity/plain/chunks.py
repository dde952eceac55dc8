"""Plain text in chunks of tokens, as `llama-perplexity` cuts it."""

from pathlib import Path
from typing import Any

from kdbench.errors import InputError


def read_text(path: Path) -> str:
    """Read a file of plain text.

    Raises:
        InputError: There is no such file, or it is not text in UTF-8.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError):
            reason = f"not text in UTF-8 (byte {error.start})"
        else:
            reason = str(error.strerror or error)
        raise InputError(f"text={path}: {reason}; give a file of plain text") from None
    if not text.strip():
        raise InputError(f"text={path}: holds no text")
    return text


def chunks_of(
    text: str, tokenizer: Any, context: int, most: int | None, path: Path
) -> list[tuple[int, ...]]:
    """Cut a text into chunks of equally many tokens; what is left at the end is not used.

    If the tokenizer begins a text with its begin token, each chunk begins with it, in the place of
    the chunk's own first token.

    Args:
        text: The text.
        tokenizer: Tokenizer of both models.
        context: Number of tokens in a chunk.
        most: Largest number of chunks; None for all.
        path: The text's file, for messages.

    Raises:
        InputError: The text has fewer tokens than a chunk.
    """
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    begin = _begin_token(tokenizer)
    if begin is not None:
        ids = [begin, *ids]
    count = len(ids) // context
    if count == 0:
        shorter = f", or context={len(ids)} or less" if len(ids) >= 4 else ""
        raise InputError(
            f"text={path}: has {len(ids)} tokens, fewer than a chunk; give a longer text{shorter}"
        )
    chunks = [ids[row * context : (row + 1) * context] for row in range(min(count, most or count))]
    if begin is not None:
        chunks = [[begin, *chunk[1:]] for chunk in chunks]
    return [tuple(chunk) for chunk in chunks]


def _begin_token(tokenizer: Any) -> int | None:
    """The token that the tokenizer puts before any text; None if there is none."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    given = tokenizer("a")["input_ids"]
    begin: int | None = tokenizer.bos_token_id
    return begin if len(given) > len(plain) and given[0] == begin else None
