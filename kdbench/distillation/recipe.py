"""A recipe: the settings of `kdbench train`, and the method with its own parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.config import Settings, TrainSettings, build, read_words, read_yaml, with_files
from kdbench.errors import InputError, nearest
from kdbench.methods import Method, methods
from kdbench.system.bundled import bundled


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
    named = {**_files(words), **words}  # the method may be named in a file
    known = named.get("method") in methods.names()
    own = methods.get(str(named["method"])).model_fields if known else {}
    typed = with_files(words, {**TrainSettings.model_fields, **own})
    recipe = _build(_over(typed, _files(words)))
    recipe.settings.refuse_ignored(words)
    return recipe


def make_recipe(values: Mapping[str, object]) -> Recipe:
    """From keys and values; `recipe` names a file of more.

    Raises:
        InputError: unknown method or key, a bad value or file.
    """
    return _build(_over(values, _files(values)))


def _files(values: Mapping[str, object]) -> dict[str, object]:
    """The keys of `recipe=`, and over them those of `config=`, which may name the recipe."""
    config = read_yaml(Path(str(values["config"]))) if "config" in values else {}
    recipe = {**config, **values}.get("recipe")
    return _over(config, _read_recipe(_recipe_file(str(recipe))) if recipe else {})


def _read_recipe(file: Path) -> dict[str, object]:
    """The keys of a recipe, over those of the file beside it that it extends."""
    values = read_yaml(file)
    base = values.pop("extends", None)
    return values if base is None else _over(values, _read_recipe(file.parent / str(base)))


def _over(upper: Mapping[str, object], lower: Mapping[str, object]) -> dict[str, object]:
    """Keys over keys; steps= replaces epochs= as well, and epochs= steps=."""
    lengths = {"steps", "epochs"}
    replaced = lengths if lengths & set(upper) else set[str]()
    return {**{key: value for key, value in lower.items() if key not in replaced}, **upper}


def recipes() -> dict[str, Path]:
    """The bundled recipes by name, such as `toy/gkd`."""
    folder = bundled("baselines") / "recipes"
    return {
        str(file.relative_to(folder).with_suffix("")): file
        for file in sorted(folder.rglob("[!_]*.yaml"))
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


def _recipe_file(name: str) -> Path:
    known = recipes()
    if name in known:
        return known[name]
    if Path(name).is_file():
        return Path(name)
    raise InputError(f"unknown recipe '{name}', and no such file: {nearest(name, known)}")
