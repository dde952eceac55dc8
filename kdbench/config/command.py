"""Settings as the words of the command that has them, for records."""

import json
from collections.abc import Collection
from typing import Any

from kdbench.config.kinds import Settings, given_keys, key_groups
from kdbench.system.secrets import is_secret, public, without_secrets
from kdbench.system.shown_places import with_urls


def command_words(verb: str, *parts: Settings, without: Collection[str] = ()) -> list[str]:
    """The words of a command, without secrets and without keys that have their default value.

    Args:
        verb: Verb of the command.
        parts: Settings whose given keys become words, in order.
        without: Keys to leave out.
    """
    words = []
    for settings in parts:
        fields = {field.alias or name: name for name, field in type(settings).model_fields.items()}
        given = set(given_keys(settings)) - {"dry_run", "storage_options", "work", *without}
        for key in (key for keys in key_groups(type(settings)).values() for key in keys):
            value = getattr(settings, fields[key])
            is_default = value == type(settings).model_fields[fields[key]].default
            if key in given and not is_default and not is_secret(key):
                words.append(f"{key}={value_text(public(value))}")
    return ["kdbench", verb, *map(without_secrets, map(with_urls, words))]


def value_text(value: Any) -> str:
    """A value of a key as one types it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={_item(item)}" for key, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _item(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
