"""Builders: steps that read prompts and models and write a data set, one file each.

A builder consists of its keys and of `build`, which yields the rows of the new set. What it asks of
models it asks of the `Workshop`, which keeps every response and score on disk, so that a builder
that is killed resumes without a line of its own. `kdbench build` is `workshop/build.py`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from kdbench.config import Settings
from kdbench.errors import InputError, nearest
from kdbench.registry import Registry

if TYPE_CHECKING:
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.config.build_keys import BuildSettings

BuiltRow = Mapping[str, Any]
"""A row of the new set, in one of the layouts of training files, with a unique `id`."""

FAMILIES = {
    "generate": "Write responses",
    "prompts": "Write prompts",
    "select": "Choose rows",
    "clean": "Clean",
    "other": "Other",
}


class Builder(Settings):
    """A builder. The fields of a subclass are keys of `kdbench build`.

    Attributes:
        title: What it is called in lists and cards.
        paper: Who described it, and where.
        family: The group in lists, one of `FAMILIES`.
        basis: What the file was written from: `paper`, `authors' code`, `abstract`, and so on.
        adapted: What was changed, if the original is not for texts of language models.
        cost: What it asks of models, in a few words.
        models: The fields that name checkpoints. Those that are None are left out.
        files: The fields that name files or folders it reads, beside the data set.
        samples: Whether it samples responses, so that the protocol's keys have an effect.
        version: Raised when a change of its code makes other rows from the same keys, so that sets
            of before are not taken for its own.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    cost: ClassVar[str]
    family: ClassVar[str] = "other"
    basis: ClassVar[str] = ""
    adapted: ClassVar[str] = ""
    models: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ()
    samples: ClassVar[bool] = False
    version: ClassVar[int] = 1

    def check(self, settings: "BuildSettings") -> None:
        """Refuse keys that contradict each other, before anything is read; nothing by default.

        Args:
            settings: The keys that all builders share.

        Raises:
            InputError: They do.
        """

    def build(self, work: "Workshop") -> Iterator[BuiltRow]:
        """Yield the rows of the new set, in the order in which they are written.

        After an interruption it is called again from the start, and finds what models said before.
        It must therefore depend on nothing but its keys, the rows, the models and `work`.
        """
        raise NotImplementedError

    def inputs(self, settings: "BuildSettings") -> Mapping[str, Any]:  # noqa: ARG002
        """What else decides the rows, such as test sets that a key names; part of the identity.

        Args:
            settings: The settings of the build.

        Returns:
            Hashes by name; that of a key stands for its value, such as the path of a file.

        Raises:
            InputError: It cannot be read.
        """
        return {}

    def plan(self, rows: int) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - for subclasses
        """Yield what a dry run says about the work, as names and values.

        Args:
            rows: Number of rows that it would read.
        """
        yield "asks of models", self.cost

    def default_folder(self, name: str) -> str:
        """The name of the folder of its set, unless `out=` gives another place.

        Args:
            name: Name of the builder.
        """
        return name

    @classmethod
    def variant(cls, values: Mapping[str, object]) -> "type[Builder]":  # noqa: ARG003 - for subclasses
        """The class that builds what keys with these values mean, of those of `variants`.

        Raises:
            InputError: There is none.
        """
        return cls

    @classmethod
    def variants(cls) -> "Mapping[str, type[Builder]]":
        """The classes of a builder that has several, each with keys of its own, by name."""
        return {}

    @classmethod
    def describe(cls) -> dict[str, str]:
        """Text descriptions, for lists."""
        facts = {
            "paper": cls.paper,
            "based on": cls.basis,
            "adapted": cls.adapted,
            "models": ", ".join(f"{name}=" for name in cls.models),
            "cost": cls.cost,
        }
        return {name: text for name, text in facts.items() if text}


def check_kind(kind: type[Builder]) -> None:
    """Check that a class says what lists, cards and the pipeline need of it.

    Raises:
        InputError: It does not.
    """
    if not (isinstance(kind, type) and issubclass(kind, Builder)):
        raise InputError(f"{kind!r} is no builder: derive it from kdbench.builders.Builder")
    for name in ("title", "paper", "cost"):
        if not isinstance(getattr(kind, name, None), str):
            raise InputError(f"{kind.__name__}: {name}: is missing; it is a text")
    if kind.family not in FAMILIES:
        raise InputError(
            f"{kind.__name__}: family '{kind.family}': {nearest(kind.family, FAMILIES)}"
        )
    for name in ("models", "files"):
        for key in getattr(kind, name):
            if key not in kind.model_fields:
                known = nearest(key, kind.model_fields)
                raise InputError(f"{kind.__name__}: {name}: '{key}' is none of its keys: {known}")


builders: Registry[type[Builder]] = Registry(
    "builder", "kdbench.builders", "kdbench.builders", check_kind
)
"""All builders by name."""
