"""Recipes: the settings of `kdbench train`, and the method with its own keys."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic.fields import FieldInfo

from kdbench.config import Settings, TrainSettings, build, read_words, read_yaml, with_files
from kdbench.config.command import command_words
from kdbench.config.extending import read_chain
from kdbench.config.other_names import advice
from kdbench.errors import InputError, nearest, nearest_path
from kdbench.methods import Method, methods
from kdbench.registry.plugins import KEY as PLUGINS
from kdbench.registry.plugins import load_plugins, plugin_files
from kdbench.system.bundled import bundled


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run.

    Attributes:
        settings: The keys that all methods share.
        method: The method with its own keys.
    """

    settings: TrainSettings
    method: Method

    @property
    def out(self) -> Path:
        """The folder of the checkpoint."""
        return self.settings.out or Path("runs") / self.settings.method

    @property
    def command(self) -> list[str]:
        """The words of a command that trains the same; the keys of a recipe's file among them."""
        without = {"recipe", *self.settings.ignored()}
        return command_words("train", self.settings, self.method, without=without)

    @property
    def prompts_per_step(self) -> float:
        """How many new prompts an optimiser step uses, on average; `epochs=` counts with it.

        Raises:
            InputError: the method's source gives no such number.
        """
        source = self.method.triple().source
        prompts = source.prompts_per_step(self.settings.batch_size)
        if not 0 < prompts < math.inf:
            raise InputError(
                f"{type(source).__name__}.prompts_per_step gives {prompts}: must be above 0"
            )
        return prompts

    def steps_of_epoch(self, examples: int) -> int:
        """Number of optimiser steps that use as many prompts as there are examples."""
        return math.ceil(round(examples / self.prompts_per_step, 6))  # 64 / (32 / 3) is above 6

    def steps(self, examples: int) -> int:
        """Number of optimiser steps of the run, given the number of examples."""
        settings = self.settings
        return settings.steps or math.ceil((settings.epochs or 1) * self.steps_of_epoch(examples))


def parse_recipe(arguments: Sequence[str]) -> Recipe:
    """Read a recipe from command-line words.

    The words take precedence over the file of `config=`, and that over the file of `recipe=`.

    Raises:
        InputError: unknown method or key, a bad value or file.
    """
    words = read_words(arguments, training_fields(), TrainSettings.__positional__)
    if PLUGINS in words:  # the method may be in one
        load_plugins(plugin_files(words[PLUGINS]))
        words = read_words(arguments, training_fields(), TrainSettings.__positional__)
    merged = {**_files(words), **words}  # the method may be named in a file
    known = merged.get("method") in methods.names()
    method_fields = methods.get(str(merged["method"])).model_fields if known else {}
    typed = with_files(words, {**TrainSettings.model_fields, **method_fields})
    recipe = _build(layered(typed, _files(words)))
    recipe.settings.refuse_ignored(words)
    return recipe


def training_fields() -> dict[str, FieldInfo]:
    """The keys of `kdbench train` with those of all methods, of which a command has one's."""
    of_methods = [methods.get(name).model_fields for name in methods.names()]
    return {key: field for fields in of_methods for key, field in fields.items()} | {
        **TrainSettings.model_fields
    }


def make_recipe(values: Mapping[str, object]) -> Recipe:
    """Make a recipe from keys and values; those of the files that they name are added.

    Raises:
        InputError: unknown method or key, a bad value or file.
    """
    load_plugins(plugin_files(values.get(PLUGINS)))
    return _build(layered(values, _files(values)))


def _files(values: Mapping[str, object]) -> dict[str, object]:
    """The keys of `config=` over those of `recipe=`, which the former may name."""
    config = read_yaml(Path(str(values["config"]))) if "config" in values else {}
    recipe = {**config, **values}.get("recipe")
    return layered(config, _read_recipe(_recipe_file(str(recipe))) if recipe else {})


def _read_recipe(file: Path) -> dict[str, object]:
    """The keys of a recipe, over those of the file in the same folder that it extends."""
    lower: dict[str, object] = {}
    for part in reversed(read_chain(file, "config", lambda upper, base: upper.parent / base)):
        lower = layered(part.values, lower)
    return lower


def layered(upper: Mapping[str, object], lower: Mapping[str, object]) -> dict[str, object]:
    """The upper keys over the lower; either of steps= and epochs= replaces both."""
    lengths = {"steps", "epochs"}
    replaced = lengths if lengths & set(upper) else set[str]()
    return {**{key: value for key, value in lower.items() if key not in replaced}, **upper}


def recipes() -> dict[str, Path]:
    """The bundled recipes by name, such as `toy/gkd`."""
    return dict(_recipes_in(bundled("baselines") / "recipes"))


@cache  # a table asks for hundreds of recipes
def _recipes_in(folder: Path) -> Mapping[str, Path]:
    return {
        str(file.relative_to(folder).with_suffix("")): file
        for file in sorted(folder.rglob("[!_]*.yaml"))
    }


def _build(values: Mapping[str, object]) -> Recipe:
    if "method" not in values:
        raise InputError("method= is missing: name a method; kdbench methods lists them")
    kind = methods.get(str(values["method"]))
    known = _shared_keys(kind) | set(kind.model_fields)
    for key in values:
        if key not in known:
            raise InputError(
                f"unknown key '{key}' of method={values['method']}: {advice(key, known)}"
            )
    of_method = {key: value for key, value in values.items() if key in kind.model_fields}
    shared = {key: value for key, value in values.items() if key not in kind.model_fields}
    return Recipe(build(TrainSettings, shared), build(kind, of_method))


def _shared_keys(kind: type[Settings]) -> set[str]:
    shared = set(TrainSettings.model_fields)
    if clash := shared & set(kind.model_fields):
        raise InputError(f"{kind.__name__}: '{clash.pop()}' is a key of every method; rename it")
    return shared


def _recipe_file(name: str) -> Path:
    known = recipes()
    if name in known:
        return known[name]
    if Path(name).is_file():
        return Path(name)
    if name in methods.names():
        raise InputError(f"recipe={name}: is a method; write method={name}")
    near = nearest_path(Path(name)) or f": {nearest(name, known)}"
    raise InputError(f"recipe={name}: neither a bundled recipe nor a file{near}")
