"""Addresses of servers and names of the environment variables that hold their keys."""

import re
from urllib.parse import urlsplit

from kdbench.system.secrets import has_key

_ENDPOINTS = ("/chat/completions", "/completions", "/generate")


def server_address(value: str, key_env: str) -> str:
    """Return an address without its endpoint.

    Args:
        value: What was given.
        key_env: Name of the setting that names the environment variable of the key.

    Raises:
        ValueError: It is no address, or has a login or a key in it.
    """
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or not value.isprintable() or " " in value:
        raise ValueError("must be an address such as http://localhost:8000/v1")
    if "@" in parts.netloc or parts.query or parts.fragment or has_key(value):
        raise ValueError(
            "must have no login, key, ? or #; put a key into an environment variable, and name "
            f"the variable with {key_env}="
        )
    address = value.rstrip("/")
    for endpoint in _ENDPOINTS:
        address = address.removesuffix(endpoint)
    return address


def variable_name(value: str) -> str:
    """Return the name of an environment variable.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(
            "must be the name of an environment variable; the key itself belongs only there"
        )
    return value
