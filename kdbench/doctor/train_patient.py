"""What a training would work on."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from kdbench.checkpoint import find_checkpoint
from kdbench.config import CACHE, is_file_of_rows, is_on_server
from kdbench.distillation.data import SetFile, Split, read_rows
from kdbench.distillation.prompts import prompt_form
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.rows import TrainingRow
from kdbench.distillation.students import StudentSource
from kdbench.doctor.finding import CannotRunError
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient, ProbePrompt
from kdbench.doctor.rows import Rows, plain_row, read_split
from kdbench.errors import InputError
from kdbench.task import known_tasks

if TYPE_CHECKING:
    from kdbench.distillation.fit import PreparedRun
    from kdbench.distillation.ingredients import Ingredients
    from kdbench.training.trainer import DistillationTrainer

_SAMPLED_TOKENS = 16


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
        is_elsewhere = is_on_server(settings.teacher) or str(settings.teacher).startswith(CACHE)
        is_model = settings.teacher is not None and not is_elsewhere
        teacher = is_model and find_checkpoint(
            str(settings.teacher), unsafe_pickle=pickle, key="teacher", trust_remote_code=trust
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

        # A cache that is still to be made is no fault: the teacher is looked at itself.
        # What a server says here is not kept where the training keeps it.
        asks = is_on_server(self.settings.teacher)
        folder = self._new_folder() if asks else None
        settings = self.settings.model_copy(update={"teacher_cache": folder})
        return Ingredients(replace(self.recipe, settings=settings))

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
        return self._set("train", self.settings.limit)

    def _set(self, split: Split, limit: int | None) -> Mapping[str, Rows]:
        """A set as the training reads it; one from the Hub is not looked at.

        Raises:
            CannotRunError: It is missing or malformed, which the check of the command reports.
        """
        settings = self.settings
        name = settings.train_set if split == "train" else settings.validation_set
        if not is_file_of_rows(name):
            _ = self.local_data
        file = SetFile(settings.data, name, split, settings.train_format, settings.train_turns)
        try:
            return {file.title: [_plain(row) for row in read_rows(file, limit)]}
        except InputError as error:
            raise CannotRunError(str(error)) from None

    @cached_property
    def test_sets(self) -> Mapping[str, Rows]:
        """The validation set, and the test sets of the tasks that the data folder holds."""
        valid = self._set("valid", self.settings.validation_limit)
        (self.validation,) = valid
        if self.data is None:
            return valid
        tests = {f"{name}/test": read_split(self.data, name, "test") for name in known_tasks()}
        return {**valid, **{name: rows for name, rows in tests.items() if rows}}

    def prompts(self, number: int) -> Sequence[ProbePrompt]:
        """The first prompts of the training set, as the student gets them."""
        examples = self.ingredients.train.examples[:number]
        decode = self.ingredients.tokenizer.decode
        return [
            ProbePrompt(decode(e.prompt_ids), "", (*e.references, "")[0], is_whole=True)
            for e in examples
        ]


def _plain(row: TrainingRow) -> Mapping[str, Any]:
    """A row as the checks read it; a plain text says itself."""
    if "instruction" in row.asked:
        return {"id": row.id, **row.asked, "output": list(row.references)}
    return plain_row(row.id, row.references[0] if row.is_text else row.message, row.references)
