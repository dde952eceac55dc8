"""Addresses of folders: which texts are URLs, and where the mirror of one is."""

import hashlib
import os
import re
from pathlib import Path

from kdbench.system.secrets import without_logins

CACHE_VARIABLE = "KDBENCH_REMOTE_CACHE"

_URL = re.compile(r"([a-z][a-z0-9+.-]+):(/{1,2})(?!/)(.*)", re.DOTALL)
_LOCAL = ("file", "local")


def url_of(value: object) -> str | None:
    """The URL in the value of a key; None if it is a path.

    A `Path` has lost the second of two slashes, which comes back here.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        return None
    match = _URL.fullmatch(value)
    if match is None:
        local = re.fullmatch(r"(file|local):///(.*)", value, re.DOTALL)
        return None if local is None else f"{local[1]}:///{local[2].rstrip('/')}"
    protocol, _, rest = match.groups()
    slashes = ":///" if protocol in _LOCAL and match[2] == "/" else "://"
    return f"{protocol}{slashes}{rest.rstrip('/')}"


def protocol_of(url: str) -> str:
    """The protocol of a URL: `s3`."""
    return url.partition("://")[0]


def mirror_folder(url: str, work: Path | None) -> Path:
    """The folder of the mirror of a URL.

    Args:
        url: The URL.
        work: Folder of mirrors that the user names; None for the user's cache.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdbench"
    above = work or Path(os.environ.get(CACHE_VARIABLE) or default / "remote")
    plain = without_logins(url)
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:80]
    return above.absolute() / f"{slug}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
