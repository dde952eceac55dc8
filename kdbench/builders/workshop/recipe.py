"""The settings of `kdbench build`, and the builder with its own keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic.fields import FieldInfo

from kdbench.builders import Builder, builders
from kdbench.config import build, read_words, read_yaml, with_files
from kdbench.config.build import BuildSettings
from kdbench.config.command import command_words
from kdbench.config.other_names import advice
from kdbench.errors import InputError
from kdbench.registry.plugins import KEY as PLUGINS
from kdbench.registry.plugins import load_plugins, plugin_files


@dataclass(frozen=True)
class BuildRecipe:
    """The settings of a build.

    Attributes:
        settings: The keys that all builders share.
        builder: The builder with its own keys.
    """

    settings: BuildSettings
    builder: Builder

    @property
    def out(self) -> Path:
        """The folder of the data set."""
        return self.settings.out or Path("runs/built") / self.settings.builder

    @property
    def command(self) -> list[str]:
        """The words of a command that builds the same."""
        return command_words("build", self.settings, self.builder)


def parse_build(arguments: Sequence[str]) -> BuildRecipe:
    """Read a build from command-line words; they take precedence over the file of `config=`.

    Raises:
        InputError: An unknown builder or key, a bad value or file.
    """
    words = read_words(arguments, _fields(), BuildSettings.__positional__)
    if PLUGINS in words:  # the builder may be in one
        load_plugins(plugin_files(words[PLUGINS]))
        words = read_words(arguments, _fields(), BuildSettings.__positional__)
    in_file = read_yaml(Path(str(words["config"]))) if "config" in words else {}
    name = str({**in_file, **words}.get("builder"))
    own = builders.get(name).model_fields if name in builders.names() else {}
    return make_build(with_files(words, {**BuildSettings.model_fields, **own}))


def make_build(values: Mapping[str, object]) -> BuildRecipe:
    """Make a build from keys and values.

    Raises:
        InputError: An unknown builder or key, or a bad value.
    """
    load_plugins(plugin_files(values.get(PLUGINS)))
    if "builder" not in values:
        raise InputError("builder= is missing: name a builder; kdbench builders lists them")
    kind = builders.get(str(values["builder"]))
    shared, own = set(BuildSettings.model_fields), set(kind.model_fields)
    if clash := shared & own:
        raise InputError(f"{kind.__name__}: '{clash.pop()}' is a key of every builder; rename it")
    for key in values:
        if key not in shared | own:
            raise InputError(
                f"unknown key '{key}' of builder={values['builder']}: {advice(key, shared | own)}"
            )
    settings = build(BuildSettings, {k: v for k, v in values.items() if k in shared})
    return BuildRecipe(settings, build(kind, {k: v for k, v in values.items() if k in own}))


def _fields() -> dict[str, FieldInfo]:
    """The keys of all builders with those that they share."""
    of_builders = [builders.get(name).model_fields for name in builders.names()]
    return {key: field for fields in of_builders for key, field in fields.items()} | {
        **BuildSettings.model_fields
    }
