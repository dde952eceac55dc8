"""The node of a data set that is built."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kdbench.config import TrainSettings
from kdbench.config.build_keys import BuildSettings
from kdbench.distillation.data import set_name
from kdbench.filling.amounts import source_rows
from kdbench.filling.building import SetRecipe, build_set
from kdbench.filling.nodes import Node
from kdbench.system.remote.hooks import has

TRAIN = "train.jsonl"
LAST = "run.json"
"""The file of a built set that is published last."""


@dataclass(frozen=True)
class BuildNode(Node):
    """The build of a data set.

    Attributes:
        label: Name of the set in the table's file.
        place: Folder of the set that it writes.
        recipe: What builds it from what.
        sets: Folders of the built sets that it reads.
    """

    kind: ClassVar[str] = "build"

    recipe: SetRecipe = field(repr=False)
    sets: tuple[Path, ...] = ()

    @property
    def pace(self) -> str:
        """The name of the builder, or of the variant that works."""
        return self.recipe.builder.default_folder(self.recipe.settings.builder)

    @property
    def set_name(self) -> str:
        """The name of the set in its folder."""
        settings = self.recipe.settings
        return settings.set_name or set_name(settings.train_set)

    def learned_with(self, settings: TrainSettings) -> TrainSettings:
        """The settings of a training that learns from the set."""
        return settings.model_copy(update={"data": self.place, "train_set": self.set_name})

    def built_upon_with(self, settings: BuildSettings) -> BuildSettings:
        """The settings of another build that reads the set.

        It reads the file, as `data=` stays the folder of the test sets and of other sets.
        """
        name = settings.set_name or self.set_name
        file = str(self.place / self.set_name / TRAIN)
        return settings.model_copy(update={"train_set": file, "set_name": name})

    def is_done(self) -> bool:
        """Whether the set exists; a build puts it there in one step."""
        published = has(self.place / LAST)
        return self.place.exists() if published is None else published

    def is_half_done(self) -> bool:
        """Whether an interrupted build left what models said, from which it resumes."""
        return self.place.with_name(f"{self.place.name}.unfinished").exists()

    def amount(self) -> int | None:
        """The rows to read; None if they are not on this disk."""
        return source_rows(self.recipe.settings)

    def run(self) -> bool:
        """Build the set, with what models have said before."""
        resumes = self.is_half_done()
        build_set(self.recipe)
        return not resumes
