"""The protocol that a stored run records."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.protocol import Protocol

_PAIRS = ("seeds", "thinking_marks")


@dataclass(frozen=True)
class ExternalProtocol(Protocol):
    """A protocol of which only the seeds are known; it compares with no measured protocol."""

    def as_dict(self) -> dict[str, Any]:
        """Return the name, the seeds, and what becomes of the thinking unless it is stripped."""
        known = ("name", "seeds", "thinking", "thinking_marks")
        return {key: value for key, value in super().as_dict().items() if key in known}


@dataclass(frozen=True)
class EarlierChatProtocol(Protocol):
    """The protocol of a chat run of an earlier version, which scored the thinking."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as that version stored them."""
        return {key: value for key, value in super().as_dict().items() if key != "thinking"}


def stored_protocol(folder: Path, stored: Mapping[str, Any]) -> Protocol:
    """Return the protocol that a run records.

    Args:
        folder: Folder of the run, for error messages.
        stored: `protocol` of `run.json`.

    Raises:
        InputError: It is not a protocol.
    """
    try:
        fields: dict[str, Any] = {k: tuple(v) if k in _PAIRS else v for k, v in stored.items()}
        if fields.keys() <= {"name", "seeds", "thinking", "thinking_marks"}:
            return ExternalProtocol(**{**fields, "seeds": fields["seeds"]})
        if fields.get("prompt") == "chat" and "thinking" not in fields:
            return EarlierChatProtocol(**fields, thinking="keep")
        return Protocol(**{**fields, "seeds": fields["seeds"]})
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder / 'run.json'}: not the record of a run: protocol: {error}"
        ) from None
