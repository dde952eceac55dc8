"""Passwords and access tokens, which belong in no record and no message."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_NAME = re.compile(
    r"(?:.*[_-])?(?:token|password|passwd|pwd|secret|api_?key|key|key_env|auth|authorization|credentials?"
    r"|headers?)",
    re.IGNORECASE,
)
_SPECIAL_TOKEN = re.compile(r"(?:bos|eos|pad|unk|sep|cls|mask|end)_token")
_LOGIN = re.compile(r"(?<=://)[^/\s@'\"]+@")
_QUERY = re.compile(r"(?<=[?&])([\w-]+)(=)([^\s&#'\"]+)")
_KEY = re.compile(  # as providers of models and of code make them
    r"(?<![\w-])(?:sk|gsk|xai|hf|ghp|github_pat|glpat)[-_][\w-]{16,}"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ASSIGNED = re.compile(r"(?<![\w-])([\w-]+)(['\"]?\s*[=:]\s*['\"]?)([^\s,'\"{}&]+)")


def is_secret(name: str) -> bool:
    """Whether the value of this name is a secret: `hf_token`, `password`, `api_key`."""
    return bool(_NAME.fullmatch(name)) and not _SPECIAL_TOKEN.fullmatch(name)


def has_key(text: str) -> bool:
    """Whether a text holds what looks like a key: a provider's, as in `sk-…`, or a private one."""
    return bool(_KEY.search(text) or _PRIVATE_KEY.search(text))


def without_logins(text: str) -> str:
    """The text without user names and passwords in addresses."""
    return _LOGIN.sub(f"{MASK}@", text)


def without_secrets(text: str) -> str:
    """The text with the values of secret names masked, as in `token=…`."""

    def masked(match: re.Match[str]) -> str:
        name, between, _ = match.groups()
        return f"{name}{between}{MASK}" if is_secret(name) else match[0]

    unkeyed = _KEY.sub(MASK, without_logins(text))
    return _ASSIGNED.sub(masked, _QUERY.sub(masked, unkeyed))


def public(value: Any) -> Any:
    """A value for a record: secret keys of mappings are left out, addresses have no logins."""
    if isinstance(value, str):
        return without_logins(value)
    if isinstance(value, Mapping):
        return {key: public(item) for key, item in value.items() if not is_secret(str(key))}
    if isinstance(value, list | tuple):
        return [public(item) for item in value]
    return value
