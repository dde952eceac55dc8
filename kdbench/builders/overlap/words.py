"""Texts as words, without case, punctuation and other ways to write one character."""

import re
import unicodedata
from collections.abc import Sequence

# A character of a script without spaces is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")  # inside of words, too


def words_of(text: str) -> list[str]:
    """The words of a text."""
    if text.isascii():  # the same, in a third of the time
        return _ASCII_WORD.findall(text.lower())
    folded = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()
    return _WORD.findall(unicodedata.normalize("NFC", folded))


def normalised(text: str) -> str:
    """The words of a text, with a space between them; a text of none as it is."""
    return key_of(text, words_of(text))


def key_of(text: str, words: Sequence[str]) -> str:
    """The same of a text whose words are known."""
    return " ".join(words) or text.strip()
