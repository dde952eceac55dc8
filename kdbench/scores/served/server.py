"""A model on a server: found, named and identified."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdbench.config import ServedTeacherKeys, addresses_of
from kdbench.errors import InputError, nearest
from kdbench.scores.served.apis import ApiName, api_of
from kdbench.system.asking import Asking
from kdbench.system.http import Address, FaultError, get_models

_LARGEST = 512 * 2**20  # bytes of a reply: 64 tokens of 32,768 positions
ROLE = "teacher"


@dataclass(frozen=True)
class ServedModel:
    """A model on a server.

    Attributes:
        address: The server.
        name: Name under which it knows the model.
        api: How it is asked.
        root: What it says the model was loaded from; None if it does not.
    """

    address: Address
    name: str
    api: ApiName
    root: str | None

    @property
    def sha256(self) -> str:
        """Hash of what the server says about the model; its address is no part of it."""
        return hashlib.sha256(json.dumps([self.name, self.root]).encode()).hexdigest()


def find_models(settings: ServedTeacherKeys, teacher: str) -> dict[str, ServedModel]:
    """Ask the servers of `teacher=` for their models.

    Args:
        settings: How they are asked.
        teacher: Value of `teacher=`.

    Returns:
        The models by tag; a single one has the tag ''.

    Raises:
        InputError: A server does not answer or has no such model, or a key is missing.
    """
    names, key = settings.model_names(), _key(settings)
    return {
        tag: _find(settings, Address(url, key, settings.teacher_key_env, *_limits(settings)), name)
        for tag, url in addresses_of(teacher).items()
        for name in [names.get(tag)]
    }


def _limits(settings: ServedTeacherKeys) -> tuple[float, str, int]:
    return settings.teacher_timeout, ROLE, _LARGEST


def _key(settings: ServedTeacherKeys) -> str | None:
    """The key from the environment.

    Raises:
        InputError: The variable is empty, or holds no key.
    """
    variable = settings.teacher_key_env
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"teacher_key_env={variable}: the environment variable is not set")
    if not key.isascii() or not key.isprintable():
        raise InputError(f"teacher_key_env={variable}: holds no key: it is not plain text")
    return key


def _models(address: Address) -> Mapping[str, Any] | None:
    """Ask for the list of models: once if nobody answers, again after faults that may pass."""

    def ask(address: Address) -> Mapping[str, Any] | None:
        try:
            return get_models(address)
        except FaultError as fault:
            if fault.kind != "connection":
                raise
            raise InputError(
                f"{address.place}: {fault}; start the server, or correct teacher="
            ) from None

    return next(iter(Asking(address.place, ask, 1, what="requests").ask([("", address)])))[1]


def _find(settings: ServedTeacherKeys, address: Address, name: str | None) -> ServedModel:
    models = _models(address)
    if models is None:
        if name is None or settings.teacher_api is None:
            raise InputError(
                f"{address.place}: has no list of models at {address.url}/models; is the address "
                "one that ends in /v1? Otherwise give teacher_model= and teacher_api="
            )
        return ServedModel(address, name, settings.teacher_api, None)
    if name is None and len(models) > 1:
        raise InputError(
            f"{address.place}: has several models; give teacher_model=: {', '.join(models)}"
        )
    name = name or next(iter(models))
    if name not in models:
        raise InputError(
            f"teacher_model={name}: {address.place} does not have it: {nearest(name, models)}"
        )
    root = models[name].get("root")
    owner = models[name].get("owned_by")
    api = settings.teacher_api or api_of(owner if isinstance(owner, str) else None)
    return ServedModel(address, name, api, root if isinstance(root, str) else None)
