"""Reading the words of a command line as keys and values.

A key is written `key=value`, `--key=value` or `--key value`; one that is on or off is also written
`--key` and `--no-key`. Words without a key come first in most commands, as in `kdbench eval MODEL`;
`--` makes all words after it such words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from kdbench.errors import InputError

ALONE = {"json": "-"}
"""Keys that take a value and may stand alone as `--key`, with the value that they then have."""

_KEY = re.compile(r"[^\W\d][\w-]*(\.[\w-]+)*")
_NUMBER = re.compile(r"-\.?\d|-inf\b")
_TRUTH = {"true": True, "false": False}


def read_words(
    arguments: Sequence[str],
    fields: Mapping[str, FieldInfo] | None = None,
    positional: Sequence[str] = (),
) -> dict[str, str | bool]:
    """The values of a command line's words by key; the value of `--flag` is true.

    Args:
        arguments: Words of the command line, after the verb.
        fields: Fields of the keys, which tell a flag from a key that takes the next word.
        positional: Keys of the words without a key, in order.

    Raises:
        InputError: A word that is no key or has no place, a missing value, or a repeated key.
    """
    return dict(_Reader(fields or {}, positional).pairs(arguments))


def as_words(values: Mapping[str, str | bool]) -> list[str]:
    """Words that `read_words` reads as these values."""
    return [f"{key}={str(v).lower() if isinstance(v, bool) else v}" for key, v in values.items()]


def is_flag(field: FieldInfo) -> bool:
    """Whether a key is on or off, so that `--key` and `--no-key` need no value."""
    return field.annotation is bool or bool in get_args(field.annotation)


def key_of(word: str) -> str | None:
    """The key in a word such as `limit=20`, `--max-new-tokens=20` or `--check`; None without."""
    name, equals, _ = word.removeprefix("--").partition("=")
    if not (equals or word.startswith("--")) or not _KEY.fullmatch(name):
        return None
    # The parts of a dotted key are names of a file, unless it is written as an option.
    return name if "." in name and not word.startswith("--") else name.replace("-", "_")


@dataclass
class _Reader:
    """What is known while words are read.

    Attributes:
        fields: Fields of the keys.
        positional: Keys of the words without a key.
        free: Those of them that have no value yet.
        given: Keys that have a value.
    """

    fields: Mapping[str, FieldInfo]
    positional: Sequence[str]
    free: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)

    def pairs(self, arguments: Sequence[str]) -> Iterator[tuple[str, str | bool]]:
        """Keys and values in the order of the words."""
        rest = list(arguments)
        with_key = {key_of(word) for word in _before_end_of_keys(rest)}
        self.free = [key for key in self.positional if key not in with_key]
        while rest:
            word = rest.pop(0)
            if word == "--":
                for value in rest:
                    yield self._once(self._place(value, is_text=True), value)
                return
            if (key := key_of(word)) is None:
                yield self._once(self._place(word), word)
            elif "=" in word:
                yield self._with_value(key, word)
            else:
                yield self._option(key, word, rest)

    def _with_value(self, key: str, word: str) -> tuple[str, str | bool]:
        if self._negated(key):
            raise InputError(f"{word.partition('=')[0]} takes no value")
        if key not in self.fields and not word.startswith("--") and Path(word).exists():
            raise InputError(
                f"'{word}' is the name of a file and has the form key=value: write ./{word}"
            )
        return self._once(key, word.partition("=")[2])

    def _option(self, key: str, word: str, rest: list[str]) -> tuple[str, str | bool]:
        """The value of `--key`: a flag's, or the next word, which is taken from the rest."""
        following = rest[0] if rest else None
        field = self.fields.get(key)
        if field is not None and is_flag(field):
            if following in _TRUTH:
                rest.pop(0)
            return self._once(key, _TRUTH.get(following or "", True))
        if self._negated(key):
            return self._once(key.removeprefix("no_"), False)
        if field is None and key.startswith("no_") and key.removeprefix("no_") in self.fields:
            name = key.removeprefix("no_")
            raise InputError(f"{word}: {name}= takes a value, it cannot be switched off")
        is_next_key = following is None or following.startswith("--") or self._is_key(following)
        if key in ALONE and key in self.fields:
            return self._once(key, self._alone(key, word, rest, is_next_key))
        if field is None and is_next_key:  # an unknown key, which is refused later
            return self._once(key, True)
        if following is None or following.startswith("--"):
            raise InputError(f"{word} needs a value: {key}=…")
        if is_next_key:
            raise InputError(
                f"{word} needs a value: is '{following}' its value or a key of its own? Write "
                f"{key}=…"
            )
        return self._once(key, rest.pop(0))

    def _alone(self, key: str, word: str, rest: list[str], is_next_key: bool) -> str:
        if not is_next_key and rest[0] != "-":
            raise InputError(
                f"{word} {rest[0]}: write {word}={rest[0]} for a file, or put {word} last"
            )
        return rest.pop(0) if rest and rest[0] == "-" else ALONE[key]

    def _negated(self, key: str) -> bool:
        field = self.fields.get(key.removeprefix("no_"))
        return (
            key.startswith("no_")
            and key not in self.fields
            and field is not None
            and is_flag(field)
        )

    def _is_key(self, word: str) -> bool:
        key = key_of(word)
        return key is not None and (key in self.fields or key == "config")

    def _place(self, word: str, is_text: bool = False) -> str:
        """The key of a word without one; it may look like an option if it is known to be text."""
        if word.startswith("-") and word != "-" and not is_text and not _NUMBER.match(word):
            raise InputError(f"'{word}' is no option: keys are key=value, --key value or --key")
        if self.free:
            return self.free.pop(0)
        raise InputError(f"'{word}' is not key=value{self._advice(word)}; see --help")

    def _advice(self, word: str) -> str:
        key = word.replace("-", "_")
        if key in self.fields:
            option = f"--{key}".replace("_", "-")
            return f": write {option if is_flag(self.fields[key]) else f'{key}=…'}"
        if _NUMBER.match(word) or word.isdecimal():
            return " (the values of a list are written with commas, as in 1,2,3)"
        if self.positional:
            return f" ({' and '.join(f'{name}=' for name in self.positional)} given already)"
        return ""

    def _once(self, key: str, value: str | bool) -> tuple[str, str | bool]:
        if key in self.given:
            raise InputError(f"{key}= is given twice")
        self.given.add(key)
        return key, value


def _before_end_of_keys(words: Sequence[str]) -> Iterator[str]:
    """The words before `--`."""
    for word in words:
        if word == "--":
            return
        yield word
