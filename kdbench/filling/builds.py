"""The data sets of a table that are built, as nodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.builders.workshop.recipe import BuildRecipe
from kdbench.checkpoint import check_checkpoint
from kdbench.config import is_file_of_rows
from kdbench.distillation.data import SetFile, valid_file
from kdbench.filling.basis import DIGITS, Basis, code_of, refuse_of_session
from kdbench.filling.build_node import BuildNode
from kdbench.filling.data_sets import DataSetPlan
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
    source: BuildNode | None,
) -> BuildNode:
    """The build of a data set.

    Args:
        basis: What all nodes have in common.
        plan: The data set in the table's file.
        models: The table's models that the builder asks, by the builder's key.
        source: The built set that it reads; None for a set that exists.

    Raises:
        InputError: A checkpoint or file does not exist.
    """
    recipe = plan.recipe
    refuse_of_session(recipe.builder)
    named = {key: str(node.place) for key, node in models.items()}
    builder = recipe.builder.model_copy(update=named)
    if source is None:
        read: dict[str, Any] = {"data": basis.places.data}
    else:
        read = {"data": source.place, "train_set": source.set_name}
    settings = recipe.settings.model_copy(update=read)
    content: dict[str, Any] = {
        "settings": non_defaults(settings, _NO_PART_OF_BUILD),
        "builder": [
            settings.builder,
            non_defaults(builder, {*builder.models, *builder.files}),
            *code_of(builder),
        ],
        "models": {
            key: models[key].fingerprint if key in models else _model(basis, plan, key)
            for key in builder.models
            if getattr(builder, key) is not None
        },
        "data": source.fingerprint if source else _files_of_source(basis, recipe),
    }
    if files := {key: _files(basis, getattr(builder, key)) for key in builder.files}:
        content["files"] = files
    backend = backends.get(settings.backend.partition(":")[0])
    refuse_of_session(backend)
    if code := code_of(backend):
        content["backend"] = code
    fingerprint = digest(content)
    place = basis.places.models / FOLDER / f"{slug(plan.name)}-{fingerprint[:DIGITS]}"
    needs = [*models.values(), *([source] if source else [])]
    recipe = BuildRecipe(settings.model_copy(update={"out": place}), builder)
    return BuildNode(plan.name, tuple(dict.fromkeys(keys_of(needs))), fingerprint, place, recipe)


def _model(basis: Basis, plan: DataSetPlan, key: str) -> object:
    """What identifies a model that the table does not make."""
    name = str(getattr(plan.recipe.builder, key))
    if plan.is_served:
        return name
    place = f"data_sets: {plan.name}: {key}"
    check_checkpoint(name, key=place)
    return basis.contents.of(identity_of_model, name, place)


def _files_of_source(basis: Basis, recipe: BuildRecipe) -> object:
    """The hashes of the files of a set that exists; a file has perhaps one of validation rows."""
    name, valid = recipe.settings.train_set, None
    if is_file_of_rows(name):
        valid = valid_file(SetFile(None, name, "train"))
    return basis.files_of_set(name, valid)


def _files(basis: Basis, value: Any) -> object:
    """The content of the files and folders that a key of the builder names."""
    paths = [] if value is None else value if isinstance(value, tuple) else [value]
    return [
        basis.contents.of(sha256_of_file, Path(path))
        if Path(path).is_file()
        else basis.contents.of(file_hashes, Path(path), "**/*.jsonl*")
        for path in paths
    ]
