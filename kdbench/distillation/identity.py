"""The identity of a run: all that decides its result, and how two of them differ."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from kdbench.errors import InputError


class Identity(BaseModel):
    """The identity of a run as it is stored.

    Attributes:
        settings: The shared settings that change the result.
        parameters: The method's own keys.
        student: Name and hash of the student, and how it was made.
        teacher: Name and hash of the teacher; None for a method without one.
        data: Rows and hash of the training and validation set.
    """

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    parameters: dict[str, Any]
    student: dict[str, Any]
    teacher: dict[str, Any] | None
    data: dict[str, dict[str, Any]]

    @field_validator("settings")
    @classmethod
    def _format_as_it_is_called_now(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Read `train_format=task` of earlier versions as `alpaca`."""
        is_old = value.get("train_format") == "task"
        return {**value, "train_format": "alpaca"} if is_old else value


def check_identity(
    stored: Identity, now: Mapping[str, Any], defaults: Mapping[str, Any], place: Path
) -> None:
    """Check that two runs are the same.

    A key that did not exist yet when a run was made counts as its default.

    Args:
        stored: The identity in a run card or with a state.
        now: The identity of the present run.
        defaults: The defaults of the keys.
        place: Where the stored one is, for the message.

    Raises:
        InputError: they differ; the line names the first key and both values.
    """
    before, after = stored.model_dump(), json.loads(json.dumps(now))
    for keys in ("settings", "parameters"):
        for key in set(after[keys]) - set(before[keys]):
            if key in defaults:
                before[keys][key] = defaults[key]
    differing = difference(before, after)
    if differing:
        raise InputError(
            f"{place}: was made with a different {differing}; pass out=… to keep both, or delete "
            "the folder"
        )


def difference(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first key in which two identities differ, with both values; None if they are equal."""
    for key in sorted(set(stored) | set(now)):
        before, after = stored.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            deeper = difference(before, after)
            return deeper if key in ("settings", "parameters") else f"{key} {deeper}"
        return f"{key} (was {str(before)[:60]}, is {str(after)[:60]})"
    return None
