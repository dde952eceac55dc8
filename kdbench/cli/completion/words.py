"""Which words can come next on a command line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from kdbench.cli.help import VerbHelp
    from kdbench.config import Settings

_OPTIONS = {"--help": "Show the help", "--version": "Show the version"}


class Candidate(NamedTuple):
    """A word that can come next.

    Attributes:
        word: The whole word, with what has been typed of it.
        text: What it means; may be empty.
    """

    word: str
    text: str = ""


@dataclass(frozen=True)
class KeyedVerb:
    """The keys of the verb that is being typed.

    Attributes:
        fields: Fields of the keys.
        positional: Keys of the words without a key, in order.
    """

    fields: "Mapping[str, FieldInfo]"
    positional: Sequence[str]


def candidates(words: Sequence[str], verbs: "Mapping[str, VerbHelp]") -> list[Candidate]:
    """The words that can stand in the place of the last one, in order.

    Args:
        words: Words after `kdbench`; the last is the one being typed, and may be empty.
        verbs: All verbs by name.
    """
    *before, current = words or [""]
    found = _first(verbs) if not before else _of_verb(before, current, verbs)
    return [one for one in found if one.word.startswith(current)]


def _first(verbs: "Mapping[str, VerbHelp]") -> Iterator[Candidate]:
    for name, verb in verbs.items():
        yield Candidate(name, verb.doc.partition("\n")[0])
    for option, text in _OPTIONS.items():
        yield Candidate(option, text)


def _of_verb(
    before: Sequence[str], current: str, verbs: "Mapping[str, VerbHelp]"
) -> Iterator[Candidate]:
    from kdbench.cli.completion.values import LISTED, listed

    name, *given = before
    if name not in verbs:
        return
    if name == "help":
        yield from (Candidate(verb, help_.doc.partition("\n")[0]) for verb, help_ in verbs.items())
    elif name in LISTED and not (verbs[name].parts and given):
        yield from map(Candidate, listed(name, current))
    elif name == "doctor" and not given:
        yield from (
            Candidate(verb, verbs[verb].doc.partition("\n")[0]) for verb in ("eval", "train")
        )
    elif (verb := _keyed(name, given, verbs)) is not None:
        yield from _of_keys(verb, given[bool(name == "doctor" or verbs[name].parts) :], current)


def _of_keys(verb: KeyedVerb, given: Sequence[str], current: str) -> Iterator[Candidate]:
    """Keys, and the values of the key that is being typed."""
    from kdbench.cli.completion.values import values_of
    from kdbench.config.words import is_flag, key_of

    typed = _read(verb, given)
    is_option = bool(given) and given[-1].startswith("--") and "=" not in given[-1]
    last = key_of(given[-1]) if is_option else None
    if last is not None and last in verb.fields and not is_flag(verb.fields[last]):
        yield from map(Candidate, values_of(last, verb.fields[last], current, typed))
        return
    key = key_of(current) if "=" in current else None
    if key in verb.fields or key == "config":
        start, value = current.partition("=")[0] + "=", current.partition("=")[2]
        field = verb.fields.get(key or "")
        yield from (Candidate(start + word) for word in values_of(key or "", field, value, typed))
        return
    free = [name for name in verb.positional if name not in typed]
    if free and not current.startswith("-"):
        yield from map(Candidate, values_of(free[0], verb.fields[free[0]], current, typed))
    yield from _keys(verb, typed, dashes=current.startswith("-"))


def _keys(verb: KeyedVerb, typed: Mapping[str, object], dashes: bool) -> Iterator[Candidate]:
    from kdbench.config.words import is_flag

    for key, field in verb.fields.items():
        if key in typed:
            continue
        option = f"--{key.replace('_', '-')}"
        flag = is_flag(field) and field.default is False
        word = option if flag else f"{option}=" if dashes else f"{key}="
        yield Candidate(word, field.description or "")
        if dashes and is_flag(field) and field.default is not False:
            yield Candidate(f"--no-{option.removeprefix('--')}", field.description or "")
    yield Candidate("--config=" if dashes else "config=", "YAML file of keys")
    if dashes:
        yield Candidate("--help", _OPTIONS["--help"])


def _read(verb: KeyedVerb, given: Sequence[str]) -> dict[str, str | bool]:
    """The keys typed so far; none if they cannot be read, as in the middle of a correction."""
    from kdbench.config.words import read_words
    from kdbench.errors import InputError

    try:
        return read_words(given, verb.fields, verb.positional)
    except InputError:
        return {}


def _keyed(name: str, given: Sequence[str], verbs: "Mapping[str, VerbHelp]") -> KeyedVerb | None:
    """The keys of a verb; with those of the method that a training names, and the like."""
    from kdbench.cli.help import KEYED_BY, of_named_part, settings_class
    from kdbench.config.kinds import fields_by_key, key_groups

    own: dict[str, FieldInfo] = {}
    if name == "doctor":
        own = fields_by_key(settings_class(str(verbs[name].settings)))
        name = given[0] if given[0] in ("eval", "train") else "eval"
    settings = of_named_part(verbs[name], given).settings
    if settings is None:
        return None
    kind: type[Settings] = settings_class(settings)
    of_part = KEYED_BY[name].fields(given) if name in KEYED_BY else {}
    fields = fields_by_key(kind)
    ordered = {key: fields[key] for keys in key_groups(kind).values() for key in keys}
    return KeyedVerb({**own, **of_part, **ordered}, kind.__positional__)
