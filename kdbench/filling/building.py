"""What builds data sets: its room is named, and imported when a table has sets to build.

A table without them loads no builder, and both rooms stay on one floor of the house.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Protocol

from kdbench.config import Settings
from kdbench.config.build_keys import BuildSettings

_ROOM = "kdbench.builders"


class SetBuilder(Settings):
    """What a table knows of a builder, `kdbench.builders.Builder`."""

    models: ClassVar[tuple[str, ...]]
    files: ClassVar[tuple[str, ...]]
    version: ClassVar[int]

    def inputs(self, settings: BuildSettings) -> Mapping[str, Any]:
        """What else decides the rows."""
        raise NotImplementedError

    def default_folder(self, name: str) -> str:
        """The name of the builder or of its variant."""
        raise NotImplementedError


class SetRecipe(Protocol):
    """What a table knows of the settings of a build, `kdbench.builders.workshop.recipe`."""

    settings: BuildSettings
    builder: SetBuilder


def builder_kind(keys: Mapping[str, Any]) -> type[SetBuilder]:
    """The class of the builder that keys name.

    Raises:
        InputError: There is none.
    """
    kind: type[SetBuilder] = import_module(_ROOM).builders.get(str(keys["builder"])).variant(keys)
    return kind


def set_recipe(keys: Mapping[str, Any]) -> SetRecipe:
    """The settings of a build from keys and values.

    Raises:
        InputError: An unknown builder or key, or a bad value.
    """
    recipe: SetRecipe = import_module(f"{_ROOM}.workshop.recipe").make_build(keys)
    return recipe


def recipe_of(settings: BuildSettings, builder: SetBuilder) -> SetRecipe:
    """The recipe of settings and a builder."""
    recipe: SetRecipe = import_module(f"{_ROOM}.workshop.recipe").BuildRecipe(settings, builder)
    return recipe


def build_set(recipe: SetRecipe) -> None:
    """Build a data set, or resume its build.

    Raises:
        InputError: Anything about models, data or settings that the user can fix.
    """
    import_module(f"{_ROOM}.workshop.build").build(recipe)
