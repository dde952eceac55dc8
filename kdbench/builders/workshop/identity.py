"""The identity of a data set that was built: all that decides its rows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from kdbench.builders.workshop.models import BuildModel
from kdbench.builders.workshop.recipe import BuildRecipe
from kdbench.builders.workshop.source import SourceRows
from kdbench.config.build_keys import BuildSettings
from kdbench.distillation.identity import difference
from kdbench.errors import InputError, nearest_path
from kdbench.generate.choice import choose_backend
from kdbench.registry.plugins import stamp_of
from kdbench.system.files import sha256_of_file
from kdbench.system.secrets import without_secrets

# These keys say where and how a build runs, which does not affect its rows. The content of the
# rows stands for where they come from.
_NO_PART = {
    *("out", "dry_run", "plugins", "device", "batch_size", "data", "train_set", "limit"),
    *("backend", "backend_options", "unsafe_pickle", "trust_remote_code", "seeds", "set_name"),
}


class BuildIdentity(BaseModel):
    """The identity as it is stored.

    Attributes:
        settings: The shared settings that change the rows, where they are not the default.
        parameters: The builder's own keys, but for models and files.
        models: Name and hash of each model.
        files: SHA-256 of each file that a key names, and what else the builder reads.
        data: Name of the set that is read, number and hash of its rows, and hash of its validation
            file.
    """

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    parameters: dict[str, Any]
    models: dict[str, dict[str, Any]]
    files: dict[str, Any]
    data: dict[str, Any]


def identity_of(
    recipe: BuildRecipe, source: SourceRows, models: Mapping[str, BuildModel]
) -> BuildIdentity:
    """The identity of a build.

    Raises:
        InputError: The rows are malformed, or a file does not exist.
    """
    settings, builder = recipe.settings, recipe.builder
    chosen = choose_backend(settings.backend, settings.backend_options)
    changed = {
        key: value
        for key, value in json.loads(settings.model_dump_json()).items()
        if key not in _NO_PART and value != _default(key)
    }
    if chosen.identity != "hf" and models:
        changed["backend"] = without_secrets(chosen.identity)
    if code := stamp_of(type(builder)):
        changed["code"] = code
    if builder.version > 1:  # sets of the first version name none
        changed["version"] = builder.version
    inputs = builder.inputs(settings)
    named = {*builder.models, *builder.files, *inputs}
    parameters = json.loads(builder.model_dump_json(exclude=named))
    return BuildIdentity(
        settings=changed,
        parameters=parameters,
        models={key: model.identity for key, model in models.items()},
        files={**_files(recipe), **inputs},
        data={**source.facts, "name": source.name},
    )


def check_same(stored: BuildIdentity, now: BuildIdentity, place: Path) -> None:
    """Check that a folder holds what this build would make.

    Raises:
        InputError: It does not; the line names the first key that differs, and both values.
    """
    before, after = stored.model_dump(), now.model_dump()
    for key in {*before["settings"], *after["settings"]} & set(BuildSettings.model_fields):
        for settings in (before["settings"], after["settings"]):  # which lack those of defaults
            settings.setdefault(key, _default(key))
    if differing := difference(before, after):
        raise InputError(
            f"{place}: was built with a different {differing}; pass out=… to keep both, or delete "
            "the folder"
        )


def _default(key: str) -> object:
    return json.loads(json.dumps(BuildSettings.model_fields[key].default, default=str))


def _files(recipe: BuildRecipe) -> dict[str, Any]:
    """The hashes of the files that the builder's keys name; of a folder, those in it."""
    hashes: dict[str, Any] = {}
    for key in recipe.builder.files:
        value = getattr(recipe.builder, key)
        for path in [] if value is None else value if isinstance(value, tuple) else [value]:
            if not Path(path).exists():
                raise InputError(f"{key}={path}: no such file or folder{nearest_path(Path(path))}")
            name, number = f"{key}: {Path(path).name}", 2
            while name in hashes:  # two sets in folders of the same name
                name, number = f"{key}: {Path(path).name} {number}", number + 1
            hashes[name] = _hash(Path(path))
    return hashes


def _hash(path: Path) -> object:
    if path.is_file():
        return sha256_of_file(path)
    files = sorted(file for file in path.rglob("*.jsonl*") if file.is_file())
    return {str(file.relative_to(path)): sha256_of_file(file) for file in files}
