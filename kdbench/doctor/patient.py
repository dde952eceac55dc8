"""What the doctor looks at: the models, data and settings of an evaluation or of a training."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, pick_device
from kdbench.config import CACHE, EvalSettings
from kdbench.distillation.prompts import prompt_form
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.students import StudentSource
from kdbench.doctor.finding import CannotRunError
from kdbench.doctor.member import Member, Role
from kdbench.doctor.rows import Rows, read_split
from kdbench.generate.choice import choose_backend
from kdbench.protocol import Protocol, get_protocol
from kdbench.task import Task, data_folder, known_tasks, load_tasks
from kdbench.task.model import TITLES

if TYPE_CHECKING:
    from kdbench.distillation.ingredients import Ingredients


class Patient:
    """What an evaluation and a training have in common.

    Attributes:
        of: The verb: `eval` or `train`.
        members: The checkpoints, the student first; none if a server holds the model.
        protocol: The form of prompts, and for an evaluation also lengths and decoding.
        data: Folder of the data sets; None if they come from the Hub.
        sections: Lines that a check wants to be printed, by title.
        facts: Numbers that a check worked out, ready for JSON.
    """

    of: str
    members: Sequence[Member]
    protocol: Protocol

    def __init__(self, data: Path | None):
        self.data = data_folder(data)
        self.sections: dict[str, list[str]] = {}
        self.facts: dict[str, Any] = {}

    def member(self, role: Role) -> Member | None:
        """The checkpoint with a part; None if there is none."""
        return next((member for member in self.members if member.role == role), None)

    @property
    def local_data(self) -> Path:
        """Folder of the data sets.

        Raises:
            CannotRunError: They come from the Hub.
        """
        if self.data is None:
            raise CannotRunError("the data come from the Hub; pass data=DIR to have them checked")
        return self.data

    @property
    def training_sets(self) -> Mapping[str, Rows]:
        """The rows that the student learns from, or may have learned from, by set."""
        raise NotImplementedError

    @property
    def test_sets(self) -> Mapping[str, Rows]:
        """The rows that students are measured on, by set."""
        raise NotImplementedError


class EvalPatient(Patient):
    """The models, data and settings of `kdbench eval`.

    Args:
        settings: Keys of `kdbench eval`.

    Raises:
        InputError: A checkpoint does not exist, or settings contradict each other.
    """

    of = "eval"

    def __init__(self, settings: EvalSettings):
        super().__init__(settings.data)
        self.settings = settings
        self.protocol = get_protocol(settings.protocol, settings.protocol_overrides())
        self.served = choose_backend(settings.backend, settings.backend_options).is_served
        named: list[tuple[Role, str, str | None, str | None]] = [
            ("student", "model", None if self.served else settings.model, settings.revision),
            ("teacher", "teacher", settings.teacher, settings.teacher_revision),
            ("undistilled", "undistilled", settings.undistilled, None),
        ]
        self.members = tuple(
            self._member(role, key, model, revision)
            for role, key, model, revision in named
            if model is not None and not model.startswith(CACHE)
        )

    def _member(self, role: Role, key: str, model: str, revision: str | None) -> Member:
        settings = self.settings
        trust = settings.trust_remote_code
        found = find_checkpoint(model, revision, settings.unsafe_pickle, key, trust)
        return Member(role, key, found, partial(self._load, found), trust)

    def _load(self, checkpoint: Checkpoint) -> Any:
        settings = self.settings
        device = pick_device(settings.device)
        return load_checkpoint(checkpoint, settings.dtype, device, settings.trust_remote_code)[0]

    @cached_property
    def tasks(self) -> Sequence[Task]:
        """The tasks, as lm-eval loads them."""
        return load_tasks(self.settings.tasks, self.settings.data, self.settings.limit)

    @cached_property
    def training_sets(self) -> Mapping[str, Rows]:  # type: ignore[override]
        """All training sets in the data folder."""
        folder = self.local_data
        names = sorted({file.parent.name for file in folder.glob("*/train.jsonl*")})
        found = {name: read_split(folder, name, "train") for name in names}
        sets = {f"{name}/train": rows for name, rows in found.items() if rows}
        if not sets:
            raise CannotRunError(f"{folder}: there is no training set (*/train.jsonl)")
        return sets

    @cached_property
    def test_sets(self) -> Mapping[str, Rows]:  # type: ignore[override]
        """The rows of the tasks; those that do not come with kdbench are loaded by lm-eval."""
        names, limit = self.settings.tasks, self.settings.limit
        if set(names) <= set(TITLES):
            found = {name: read_split(self.local_data, name, "test", limit) for name in names}
            return {f"{name}/test": rows for name, rows in found.items() if rows}
        return {
            task.name: [
                {"id": d.id, "instruction": _text_of(d), "input": "", "output": list(d.references)}
                for d in task.documents
            ]
            for task in self.tasks
        }


class TrainPatient(Patient):
    """The models, data and settings of `kdbench train`.

    Args:
        recipe: Settings and method.

    Raises:
        InputError: A checkpoint does not exist.
    """

    of = "train"

    def __init__(self, recipe: Recipe):
        settings = recipe.settings
        super().__init__(settings.data)
        self.recipe, self.settings, self.method = recipe, settings, recipe.method
        self.protocol = prompt_form(settings)
        trust, pickle = settings.trust_remote_code, settings.unsafe_pickle
        teacher = settings.teacher and find_checkpoint(
            settings.teacher, unsafe_pickle=pickle, key="teacher", trust_remote_code=trust
        )
        source = StudentSource(settings.student, teacher or None, settings.seed, pickle, trust)
        self.source = source
        student = Member(
            "student", "student", source.checkpoint, self._student, trust, source.config_file
        )
        self.members = (student,)
        if teacher:
            self.members += (Member("teacher", "teacher", teacher, self._teacher, trust),)

    @cached_property
    def ingredients(self) -> "Ingredients":
        """Checkpoints, tokenizer and encoded data, as the training makes them.

        Raises:
            InputError: Anything about models, data or settings that stops the training.
        """
        from kdbench.distillation.ingredients import Ingredients

        return Ingredients(self.recipe)

    def _student(self) -> Any:
        return self.ingredients.load_student().eval()

    def _teacher(self) -> Any:
        return self.ingredients.teacher_model[0]

    @cached_property
    def training_sets(self) -> Mapping[str, Rows]:  # type: ignore[override]
        """The training set."""
        settings = self.settings
        rows = read_split(self.local_data, settings.train_set, "train", settings.limit)
        return {f"{settings.train_set}/train": rows} if rows else {}

    @cached_property
    def test_sets(self) -> Mapping[str, Rows]:  # type: ignore[override]
        """The validation set, and the test sets of the tasks that the data folder holds."""
        settings, folder = self.settings, self.local_data
        valid = read_split(folder, settings.train_set, "valid", settings.validation_limit)
        tests = {f"{name}/test": read_split(folder, name, "test") for name in known_tasks()}
        found = {f"{settings.train_set}/valid": valid, **tests}
        return {name: rows for name, rows in found.items() if rows}


def _text_of(document: Any) -> str:
    """What a user says in a document; of a conversation, all turns."""
    message = document.message
    return message if isinstance(message, str) else "\n".join(turn.content for turn in message)
