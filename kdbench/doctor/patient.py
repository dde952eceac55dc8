"""What the doctor looks at: the models, data and settings of an evaluation or of a training."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, NamedTuple

from kdbench.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, pick_device
from kdbench.config import CACHE, EvalSettings
from kdbench.distillation.prompts import prompt_form
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.students import StudentSource
from kdbench.doctor.finding import CannotRunError
from kdbench.doctor.member import Member, Role
from kdbench.doctor.rows import Rows, read_split
from kdbench.doctor.turns import template_of
from kdbench.generate import Prompt
from kdbench.generate.choice import choose_backend
from kdbench.generate.prompts import encode_prompt, text_tokens
from kdbench.protocol import Protocol, get_protocol
from kdbench.task import Task, data_folder, known_tasks, load_tasks
from kdbench.task.model import TITLES
from kdbench.views.chat import ChatMessage

if TYPE_CHECKING:
    from kdbench.distillation.fit import PreparedRun
    from kdbench.distillation.ingredients import Ingredients
    from kdbench.training.trainer import DistillationTrainer

_SAMPLED_TOKENS = 16


class Question(NamedTuple):
    """A prompt with a good response.

    Attributes:
        prompt: Text of the prompt in the task's form.
        message: What a user says.
        response: A reference; empty if there is none.
        is_whole: Whether the prompt is the very text that models get, with its special tokens, as
            in a training set that is encoded already.
    """

    prompt: str
    message: ChatMessage
    response: str
    is_whole: bool = False


class Patient:
    """What an evaluation and a training have in common.

    Attributes:
        of: The verb: `eval` or `train`.
        members: The checkpoints, the student first; none if a server holds the model.
        protocol: The form of prompts, and for an evaluation also lengths and decoding.
        data: Folder of the data sets; None if they come from the Hub.
        sections: Lines that a check wants to be printed, by title.
        facts: Numbers that a check worked out, ready for JSON.
        unseen: What cannot be looked at, with the reason.
    """

    of: str
    members: Sequence[Member]
    protocol: Protocol

    def __init__(self, data: Path | None):
        self.data = data_folder(data)
        self.sections: dict[str, list[str]] = {}
        self.facts: dict[str, Any] = {}
        self.unseen: dict[str, str] = {}

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

    def prompts(self, number: int) -> Sequence[Question]:
        """The first prompts that models are given."""
        raise NotImplementedError

    def encoded(self, member: Member, question: Question) -> Prompt:
        """A prompt as a model is given it.

        Raises:
            CannotRunError: Prompts are chats, and the member has no chat template.
        """
        form, tokenizer = self.protocol, member.tokenizer
        if question.is_whole:
            return Prompt(tuple(text_tokens(tokenizer, question.prompt, add_bos=False)), cut=False)
        if form.prompt == "chat" and template_of(tokenizer, form.chat_template) is None:
            raise CannotRunError(f"{member.whose} has no chat template to make prompts with")
        return encode_prompt(tokenizer, form, question.prompt, question.message)

    def close(self) -> None:
        """Remove what was only needed for looking."""


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
        served = choose_backend(settings.backend, settings.backend_options).is_served
        if served:
            self.unseen["model"] = "a server holds it, with its tokenizer and its settings"
        if (settings.teacher or "").startswith(CACHE):
            self.unseen["teacher"] = "a cache holds its scores alone"
        named: list[tuple[Role, str, str | None, str | None]] = [
            ("student", "model", None if served else settings.model, settings.revision),
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
    def training_sets(self) -> Mapping[str, Rows]:
        """All training sets in the data folder."""
        folder = self.local_data
        names = sorted({file.parent.name for file in folder.glob("*/train.jsonl*")})
        found = {name: read_split(folder, name, "train") for name in names}
        sets = {f"{name}/train": rows for name, rows in found.items() if rows}
        if not sets:
            raise CannotRunError(f"{folder}: there is no training set (*/train.jsonl)")
        return sets

    @cached_property
    def test_sets(self) -> Mapping[str, Rows]:
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

    def prompts(self, number: int) -> Sequence[Question]:
        """The first prompts of the first task."""
        documents = self.tasks[0].documents[:number]
        return [Question(d.prompt, d.message, (*d.references, "")[0]) for d in documents]


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
        self._folders: list[Path] = []
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

    @cached_property
    def run(self) -> "PreparedRun":
        """The run with its models, as the training makes it.

        Raises:
            InputError: Models, settings and data do not fit together.
        """
        from kdbench.distillation.fit import prepare

        examples = self.ingredients.train.examples
        return prepare(self.ingredients, self.ingredients.triple(), examples, self._new_folder())

    @cached_property
    def trainer(self) -> "DistillationTrainer":
        """The trainer before its first step; responses that it samples are short.

        Raises:
            InputError: A model does not decode as its forward pass does, or a view is missing.
        """
        from kdbench.training.trainer import DistillationTrainer

        work = self.run.work
        length = min(_SAMPLED_TOKENS, work.sampling.max_new_tokens)
        short = replace(work, sampling=replace(work.sampling, max_new_tokens=length))
        trainer = DistillationTrainer(self.run.student, self.run.arguments, short)
        trainer.begin(None)
        return trainer

    def _student(self) -> Any:
        from kdbench.views.view import bare_model

        return bare_model(self.run.student).eval()

    def _teacher(self) -> Any:
        return self.ingredients.teacher_model[0]

    def _new_folder(self) -> Path:
        """A folder for what transformers' trainer wants to write; `close` removes it."""
        self._folders.append(Path(mkdtemp(prefix="kdbench-doctor-")))
        return self._folders[-1]

    def close(self) -> None:
        """Remove the folders that were needed."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    @cached_property
    def training_sets(self) -> Mapping[str, Rows]:
        """The training set."""
        settings = self.settings
        rows = read_split(self.local_data, settings.train_set, "train", settings.limit)
        if rows is None:
            raise CannotRunError(f"{self.local_data} has no {settings.train_set}/train.jsonl")
        return {f"{settings.train_set}/train": rows}

    @cached_property
    def test_sets(self) -> Mapping[str, Rows]:
        """The validation set, and the test sets of the tasks that the data folder holds."""
        settings, folder = self.settings, self.local_data
        valid = read_split(folder, settings.train_set, "valid", settings.validation_limit)
        tests = {f"{name}/test": read_split(folder, name, "test") for name in known_tasks()}
        found = {f"{settings.train_set}/valid": valid, **tests}
        return {name: rows for name, rows in found.items() if rows}

    def prompts(self, number: int) -> Sequence[Question]:
        """The first prompts of the training set, as the student gets them."""
        examples = self.ingredients.train.examples[:number]
        decode = self.ingredients.tokenizer.decode
        return [
            Question(decode(e.prompt_ids), "", (*e.references, "")[0], is_whole=True)
            for e in examples
        ]


def _text_of(document: Any) -> str:
    """What a user says in a document; of a conversation, all turns."""
    message = document.message
    return message if isinstance(message, str) else "\n".join(turn.content for turn in message)
