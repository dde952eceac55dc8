"""The data sets of a table that are built, as nodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.checkpoint import check_checkpoint
from kdbench.config import is_file_of_rows
from kdbench.distillation.data import SetFile, check_files, valid_file
from kdbench.errors import InputError, nearest_path
from kdbench.filling.basis import DIGITS, Basis, code_of, refuse_of_session
from kdbench.filling.build_node import BuildNode
from kdbench.filling.building import recipe_of
from kdbench.filling.data_sets import DataSetPlan, built_set, paths_of
from kdbench.filling.fingerprints import digest, file_hashes, non_defaults
from kdbench.filling.inputs import identity_of_model
from kdbench.filling.nodes import ModelNode, keys_of, slug
from kdbench.generate import backends
from kdbench.system.files import sha256_of_file

FOLDER = "data"  # of the sets, below the checkpoints

# These keys say where and how a build runs. What it reads is in the fingerprint by its content.
_NO_PART_OF_BUILD = {
    *("out", "dry_run", "plugins", "device", "batch_size", "data"),
    *("unsafe_pickle", "trust_remote_code"),
}


def build_node(
    basis: Basis,
    plan: DataSetPlan,
    models: Mapping[str, ModelNode],
    sets: Mapping[str, BuildNode],
) -> BuildNode:
    """The build of a data set.

    Args:
        basis: What all nodes have in common.
        plan: The data set in the table's file.
        models: The table's models that the builder asks, by the builder's key.
        sets: The built sets that it reads, and perhaps others, by name.

    Raises:
        InputError: A checkpoint or file does not exist.
    """
    recipe = plan.recipe
    refuse_of_session(recipe.builder)
    source = None if plan.source is None else sets[plan.source]
    settings = recipe.settings.model_copy(update={"data": basis.places.data})
    if source is not None:
        settings = source.built_upon_with(settings)
    named = {key: str(node.place) for key, node in models.items()}
    files = {key: _paths(getattr(recipe.builder, key), sets) for key in recipe.builder.files}
    builder = recipe.builder.model_copy(update={**named, **files})
    of_source = {"train_set"} if source else set[str]()
    content: dict[str, Any] = {
        "settings": non_defaults(recipe.settings, _NO_PART_OF_BUILD | of_source),
        "builder": [
            settings.builder,
            non_defaults(builder, {*builder.models, *builder.files}),
            *code_of(builder),
            *([builder.version] if builder.version > 1 else []),
        ],
        "models": {
            key: models[key].fingerprint if key in models else _model(basis, plan, key)
            for key in builder.models
            if getattr(builder, key) is not None
        },
        "data": source.fingerprint if source else _files_of_source(basis, plan),
    }
    if builder.files:
        content["files"] = {key: _files(basis, plan, key, sets) for key in builder.files}
    if inputs := builder.inputs(settings):
        content["inputs"] = inputs
    backend = backends.get(settings.backend.partition(":")[0])
    refuse_of_session(backend)
    if code := code_of(backend):
        content["backend"] = code
    fingerprint = digest(content)
    place = basis.places.models / FOLDER / f"{slug(plan.name)}-{fingerprint[:DIGITS]}"
    read = [*([source] if source else []), *(sets[name] for name in plan.others)]
    needs = tuple(dict.fromkeys(keys_of([*models.values(), *read])))
    recipe = recipe_of(settings.model_copy(update={"out": place}), builder)
    return BuildNode(
        plan.name, needs, fingerprint, place, recipe, tuple(node.place for node in read)
    )


def _paths(value: object, sets: Mapping[str, BuildNode]) -> object:
    """The value of a key for files, with the places of built sets."""
    if not any(_set_at(path, sets) for path in paths_of(value)):
        return value
    places = [node.place if (node := _set_at(path, sets)) else path for path in paths_of(value)]
    return tuple(places) if isinstance(value, tuple) else places[0]


def _set_at(path: Path, sets: Mapping[str, BuildNode]) -> BuildNode | None:
    return built_set(str(path), sets)


def _model(basis: Basis, plan: DataSetPlan, key: str) -> object:
    """What identifies a model that the table does not make."""
    name = str(getattr(plan.recipe.builder, key))
    if plan.is_served:
        return name
    place = f"data_sets: {plan.name}: {key}"
    check_checkpoint(name, key=place)
    return basis.contents.of(identity_of_model, name, place)


def _files_of_source(basis: Basis, plan: DataSetPlan) -> object:
    """The hashes of the files of a set that exists; a file has perhaps one of validation rows."""
    name, valid = plan.recipe.settings.train_set, None
    file = SetFile(basis.places.data, name, "train")
    try:
        check_files(file)
    except InputError as error:
        raise InputError(f"data_sets: {plan.name}: {error}") from None
    if is_file_of_rows(name):
        valid = valid_file(file)
    return basis.files_of_set(name, valid)


def _files(basis: Basis, plan: DataSetPlan, key: str, sets: Mapping[str, BuildNode]) -> object:
    """The content of the files and folders that a key of the builder names."""
    where = f"data_sets: {plan.name}: {key}"
    return [
        node.fingerprint if (node := _set_at(path, sets)) else _content(basis, where, path)
        for path in paths_of(getattr(plan.recipe.builder, key))
    ]


def _content(basis: Basis, where: str, path: Path) -> object:
    if path.is_file():
        return basis.contents.of(sha256_of_file, path)
    if not path.is_dir():
        raise InputError(f"{where}: {path}: no such file or folder{nearest_path(path)}")
    return basis.contents.of(file_hashes, path, "**/*.jsonl*")
