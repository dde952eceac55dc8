"""Models on the Hub: names, and download."""

import re
from pathlib import Path

from kdbench.checkpoint.identity import IDENTITY
from kdbench.errors import InputError

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_REVISION = re.compile(r"[\w.+-]+(/[\w.+-]+)*")  # a branch, a tag, a commit or refs/pr/1


def is_hub_name(name: str) -> bool:
    """Whether a name can be that of a model on the Hub, and is no path on this disk."""
    model = split_revision(name)[0]
    exists = Path(name).exists() or Path(model).exists()
    return not exists and bool(_HUB_NAME.fullmatch(model)) and name[0] != "."


def split_revision(name: str) -> tuple[str, str | None]:
    """The model and the revision in `org/name@revision`; no revision in any other name."""
    model, at, revision = name.partition("@")
    if at and _HUB_NAME.fullmatch(model) and _REVISION.fullmatch(revision):
        return model, revision
    return name, None


def cached(model: str, revision: str | None) -> Path | None:
    """The folder of a model that has been downloaded before; None if it has not. No network.

    Args:
        model: Name on the Hub.
        revision: Branch, tag or commit.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def fetch(
    model: str, revision: str | None, unsafe_pickle: bool, key: str, advice: str = ""
) -> Path:
    """Download a model, unless it has been downloaded before.

    Args:
        model: Name on the Hub.
        revision: Branch, tag or commit.
        unsafe_pickle: Whether pickle weights are downloaded.
        key: Setting that named the model, for messages.
        advice: Part of the message if there is none, such as a folder of a similar name.

    Returns:
        The folder of the files, named after the commit.

    Raises:
        InputError: The model cannot be downloaded.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    unreachable = (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError)
    patterns = [p for p in IDENTITY if unsafe_pickle or not p.endswith(".bin")]
    patterns += ["*.py", "kdbench.yaml"]
    if unsafe_pickle:
        patterns.append("adapter_model.bin")
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except (*unreachable, HFValidationError) as error:
        named = model if revision is None else f"{model}@{revision}"
        raise InputError(
            f"{key}={named}: no such folder, and it cannot be downloaded from the Hub "
            f"({type(error).__name__}); check the name, or pass a local folder{advice}"
        ) from None
