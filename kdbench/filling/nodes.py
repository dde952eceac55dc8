"""The nodes of a table's graph: a given checkpoint, a training, an evaluation.

The node of a data set that is built has a file of its own, `build_node.py`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from kdbench.config import EvalSettings
from kdbench.distillation.card import CARD
from kdbench.distillation.recipe import Recipe
from kdbench.errors import InputError
from kdbench.filling.amounts import responses, training_examples
from kdbench.store.packs import packed_mark, result_hash
from kdbench.store.schema import FieldError, Rule, check_fields
from kdbench.system.files import SCHEMA, read_json, sha256_of_file, write_json
from kdbench.system.names import is_file_name
from kdbench.system.remote.hooks import MirrorKeys, has, is_published


@dataclass(frozen=True)
class Node(ABC):
    """A piece of work, and the place of its outcome.

    Attributes:
        kind: First word of its key and of its log's name.
        is_given: Whether its outcome is an input, which takes no work.
        label: Label of the table's row, or of the teacher or the initial student.
        needs: Keys of the nodes that must be done before it.
        fingerprint: SHA-256 of everything that decides the outcome.
        place: Folder or file of the outcome.
        mirrors: The folders of the table that are elsewhere.
    """

    kind: ClassVar[str]
    is_given: ClassVar[bool] = False

    label: str
    needs: tuple[str, ...]
    fingerprint: str
    place: Path
    mirrors: tuple[MirrorKeys, ...] = field(default=(), kw_only=True, compare=False, repr=False)

    @property
    def key(self) -> str:
        """A readable name, unique in the graph: `train GKD`."""
        return f"{self.kind} {self.label}"

    @property
    def pace(self) -> str:
        """The name under which its time is recorded; nodes of one name run at a similar pace."""
        return self.kind

    @abstractmethod
    def is_done(self) -> bool:
        """Whether the complete outcome exists."""

    def is_half_done(self) -> bool:
        """Whether an interrupted call left a state from which the work resumes."""
        return False

    @abstractmethod
    def amount(self) -> int | None:
        """The examples or responses to process; None if the data are not on this disk."""

    @abstractmethod
    def run(self) -> bool:
        """Do the work, in this process.

        Returns:
            Whether this call did all of it, so that its time is that of the whole node.
        """


@dataclass(frozen=True)
class CheckpointNode(Node):
    """A checkpoint that the table's file names: there is nothing to do.

    Attributes:
        place: Folder of the checkpoint, or its name on the hub.
        card: File of its card, if another tool trained it.
        unsafe_pickle: Whether the table permits to read its pickle weights.
    """

    kind: ClassVar[str] = "checkpoint"
    is_given: ClassVar[bool] = True

    card: Path | None = None
    unsafe_pickle: bool = False

    @property
    def row(self) -> str:
        """Label of the table's row."""
        return self.label

    def is_done(self) -> bool:
        """A given checkpoint is always done."""
        return True

    def amount(self) -> None:
        """A given checkpoint takes no work."""

    def run(self) -> bool:
        """Do nothing."""
        return False


@dataclass(frozen=True)
class TrainNode(Node):
    """A training.

    Attributes:
        place: Folder of the checkpoint that it writes.
        recipe: What to train, and how.
    """

    kind: ClassVar[str] = "train"

    recipe: Recipe = field(repr=False)

    @property
    def row(self) -> str:
        """Label of the table's row, which the trainings of all seeds share."""
        return self.recipe.settings.label or self.label

    @property
    def pace(self) -> str:
        """The name of the training method."""
        return self.recipe.settings.method

    def is_done(self) -> bool:
        """Whether the checkpoint exists; a training puts it there in one step."""
        published = has(self.place / CARD)
        return self.place.exists() if published is None else published

    def is_half_done(self) -> bool:
        """Whether an interrupted training left a state from which it resumes."""
        return self.place.with_name(f"{self.place.name}.unfinished").exists()

    def amount(self) -> int | None:
        """The examples to train on; None if the data set is not on this disk."""
        return training_examples(self.recipe.settings, self.recipe.prompts_per_step)

    def run(self) -> bool:
        """Train the checkpoint, from its last state if there is one."""
        from kdbench.distillation.train import train

        resumes = self.is_half_done()
        train(self.recipe)
        return not resumes


@dataclass(frozen=True)
class EvaluateNode(Node):
    """An evaluation.

    Attributes:
        place: Mark file, which names the run's folder and the SHA-256 of each task's result.
        settings: What to measure, and how.
    """

    kind: ClassVar[str] = "evaluate"

    settings: EvalSettings = field(repr=False)

    def is_done(self) -> bool:
        """Whether the mark exists and the results are those that it names, in files or packed.

        A run's files change when the run is compared with another teacher, hence the hashes.
        """
        if self.place.exists():
            if not is_published(self.place):
                return False
        elif packed_mark(self.place) is None:
            return False
        mark = self._mark()
        run = self.place.parent.parent / mark["run"]
        return all(result_hash(run, task) == sha256 for task, sha256 in mark["tasks"].items())

    def amount(self) -> int | None:
        """The responses to measure; None if a task's data set is not on this disk."""
        return responses(self.settings)

    def run(self) -> bool:
        """Measure the checkpoint, then write the mark."""
        from kdbench.evaluation import evaluate

        evaluation = evaluate(self.settings)
        mark: dict[str, Any] = {
            "run": evaluation.run.relative_to(self.settings.results).as_posix(),
            "tasks": {
                task: _sha256(evaluation.run / f"{task}.json") for task in evaluation.results
            },
        }
        write_json(self.place, {"schema": SCHEMA, "fingerprint": self.fingerprint, **mark})
        return evaluation.generated == self.amount()

    def run_folder(self) -> str:
        """The folder of the finished run, relative to the results folder."""
        return str(self._mark()["run"])

    def _mark(self) -> Mapping[str, Any]:
        """The content of the mark.

        Raises:
            InputError: The mark is damaged.
        """
        packed = None if self.place.exists() else packed_mark(self.place)
        mark = read_json(self.place) if packed is None else packed
        try:
            check_fields(mark, {"run": _RUN, "tasks": _HASHES})
        except FieldError as error:
            raise InputError(f"{self.place}: not the mark of an evaluation: {error}") from None
        return mark


ModelNode: TypeAlias = CheckpointNode | TrainNode
"""A model of the table."""


def keys_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The keys of nodes."""
    return tuple(node.key for node in nodes)


def slug(label: str) -> str:
    """A label as a part of a path."""
    return re.sub(r"[^\w.+-]+", "-", label).strip("-")


_RUN = Rule(
    "a run's folder in the results, model/run",
    lambda value: (
        isinstance(value, str)
        and len(parts := value.split("/")) == 2
        and not {"", ".", ".."} & set(parts)
    ),
)
_HASHES = Rule(
    "a mapping of tasks to hashes",
    lambda value: (
        isinstance(value, dict)
        and all(is_file_name(name) and isinstance(sha256, str) for name, sha256 in value.items())
    ),
)


def _sha256(file: Path) -> str | None:
    return sha256_of_file(file) if file.exists() else None
