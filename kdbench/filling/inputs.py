"""What identifies the models that a training names and no node of the table makes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdbench.checkpoint import find_checkpoint, is_hub_name
from kdbench.distillation.cached import cached_teacher
from kdbench.distillation.contents import paths_in, with_contents
from kdbench.methods import Method
from kdbench.system.files import sha256_of_file


def identity_of_model(model: str, key: str) -> Any:
    """What identifies the model of `student=` or `teacher=`: its content, not its place.

    Args:
        model: The value: a checkpoint's folder, a name on the hub, `cache:DIR` or another form.
        key: The key, for messages.

    Raises:
        InputError: There is no such checkpoint.
    """
    cache = cached_teacher(model) if key == "teacher" else None
    if cache is not None and (identity := cache.identity()) is not None:
        return asdict(identity)
    if ":" in model or is_hub_name(model):
        return model
    return find_checkpoint(model, key=key, trust_remote_code=True).sha256


def contents_of_keys(method: Method) -> dict[str, Any]:
    """The content of each file and checkpoint that a method's keys name, by key.

    Raises:
        InputError: There is no such checkpoint.
    """
    keys = {name: value for name, value in method.model_dump().items() if paths_in(value)}
    return {name: with_contents(value, name, _content) for name, value in keys.items()}


def _content(key: str, path: Path) -> str:
    if path.is_file():
        return sha256_of_file(path)
    return find_checkpoint(str(path), key=key, trust_remote_code=True).sha256
