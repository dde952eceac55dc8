"""A recipe: the settings of `kdbench train`, and the method with its own parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.bundled import bundled
from kdbench.config import Settings, TrainSettings, build, read_words, read_yaml, with_files
from kdbench.errors import InputError
from kdbench.methods import Method, methods
from kdbench.registry import nearest


@dataclass(frozen=True)
class Recipe:
    """What one training run is made from.

    Attributes:
        settings: common to all methods.
        method: with its parameters.
    """

    settings: TrainSettings
    method: Method

    @property
    def out(self) -> Path:
        """The checkpoint's folder."""
        return self.settings.out or Path("runs") / self.settings.method


def parse_recipe(arguments: Sequence[str]) -> Recipe:
    """From command-line words; they go before `config=`, that before `recipe=`.

    Raises:
        InputError: unknown method or key, a bad value or file.
    """
    words = read_words(arguments)
    return _build(with_files(words, _fields(words), *_recipe_file(words)))


def make_recipe(values: Mapping[str, object]) -> Recipe:
    """From keys and values; `recipe` names a file of more.

    Raises:
        InputError: unknown method or key, a bad value or file.
    """
    files = [read_yaml(file) for file in _recipe_file(values)]
    return _build({**(files[0] if files else {}), **values})


def recipes() -> dict[str, Path]:
    """The bundled recipes by name, such as `toy/gkd`."""
    folder = bundled("baselines") / "recipes"
    return {
        str(file.relative_to(folder).with_suffix("")): file
        for file in sorted(folder.rglob("*.yaml"))
    }


def _build(values: Mapping[str, object]) -> Recipe:
    if "method" not in values:
        raise InputError("method= is missing: how to train; see kdbench methods")
    kind = methods.get(str(values["method"]))
    both = _shared_names(kind) | set(kind.model_fields)
    for key in values:
        if key not in both:
            raise InputError(
                f"unknown key '{key}' of method={values['method']}: {nearest(key, both)}"
            )
    own = {key: value for key, value in values.items() if key in kind.model_fields}
    common = {key: value for key, value in values.items() if key not in kind.model_fields}
    return Recipe(build(TrainSettings, common), build(kind, own))


def _shared_names(kind: type[Settings]) -> set[str]:
    shared = set(TrainSettings.model_fields)
    if twice := shared & set(kind.model_fields):
        raise InputError(f"{kind.__name__}: '{twice.pop()}' is a key of every method; rename it")
    return shared


def _fields(words: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the common settings, and of the method if the words name it."""
    if words.get("method") in methods.names():
        return {**TrainSettings.model_fields, **methods.get(str(words["method"])).model_fields}
    return TrainSettings.model_fields


def _recipe_file(values: Mapping[str, object]) -> list[Path]:
    name = values.get("recipe")
    if name is None:
        return []
    known = recipes()
    if str(name) in known:
        return [known[str(name)]]
    if Path(str(name)).is_file():
        return [Path(str(name))]
    raise InputError(f"unknown recipe '{name}', and no such file: {nearest(str(name), known)}")
