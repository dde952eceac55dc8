"""Settings as the words of the command that has them, for records."""

import json
from collections.abc import Collection
from typing import Any

from kdbench.config.kinds import Settings
from kdbench.system.secrets import is_secret, public, without_secrets


def command_words(verb: str, *parts: Settings, without: Collection[str] = ()) -> list[str]:
    """The words of a command, without secrets and without keys that have their default value.

    Args:
        verb: Verb of the command.
        parts: Settings whose given keys become words, in order.
        without: Keys to leave out.
    """
    words = []
    for settings in parts:
        for name, field in type(settings).model_fields.items():
            value, key = getattr(settings, name), field.alias or name
            shown = name in settings.model_fields_set and value is not None
            if shown and value != field.default and key not in {"dry_run", *without}:
                words += [] if is_secret(key) else [f"{key}={_text(public(value))}"]
    return ["kdbench", verb, *map(without_secrets, words)]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={_item(item)}" for key, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _item(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
