"""The stages of a run: which comes next, what it starts from, and what the finished ones left.

A run of one stage has its states in the folder of the run. With several, each has a folder
`stage-N` in it. When a stage is finished, its best student is put there as a checkpoint, and the
record that is written last makes the stage count as finished; only then are its states removed.
"""

import copy
import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from kdbench.checkpoint import describe
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.students import StudentSource
from kdbench.errors import InputError
from kdbench.system.files import put_text, sync_folder, writing_to
from kdbench.system.records import damaged, hashes_of, read_record
from kdbench.training.phases import PhaseCost, Phases
from kdbench.training.stage import Stage, names_of, steps_of

if TYPE_CHECKING:
    from kdbench.training.trainer import DistillationTrainer

_RECORD, _STUDENT = "stage.json", "student"


class StageRecord(BaseModel):
    """What a finished stage leaves; its steps are counted from the start of the run.

    Attributes:
        name: What it is called.
        teacher: Who taught: `given`, `last student`, or None.
        student: How its student began: `keep` or `initial`.
        triple: What it trained with.
        steps: Its number of steps.
        selected: The validation whose student was kept.
        validations: All its validations.
        phases: Its costs.
        prompts: Ids of the examples whose prompts were used.
        epochs: How many prompts were used, as a share of the training set's.
        log: The lines of its log.
        weights: The SHA-256 of each file of its student's weights.
    """

    name: str
    teacher: str | None
    student: str
    triple: dict[str, str]
    steps: int = Field(ge=1)
    selected: dict[str, float]
    validations: list[dict[str, float]] = Field(min_length=1)
    phases: dict[str, PhaseCost]
    prompts: list[str]
    epochs: float
    log: list[dict[str, Any]]
    weights: dict[str, str]

    def in_card(self) -> dict[str, Any]:
        """What the run card says of it."""
        left_out = {"prompts", "log", "weights"}
        return {**self.model_dump(mode="json", exclude=left_out), "prompts": len(self.prompts)}


@dataclass(frozen=True)
class StageRun:
    """A stage in its place in a run.

    Attributes:
        stage: The stage.
        name: What it is called; None for the only stage of a run.
        number: Its number, from 1.
        steps: Its number of steps.
        before: The number of steps of the stages before it.
        folder: The folder of its states.
    """

    stage: Stage
    name: str | None
    number: int
    steps: int
    before: int
    folder: Path

    @property
    def student_folder(self) -> Path:
        """Where its best student is once it is finished."""
        return self.folder / _STUDENT

    @property
    def needs_given_teacher(self) -> bool:
        """Whether the model of `teacher=` must be in memory in training."""
        return self.stage.teacher == "given" and self.stage.triple.needs_teacher_model

    def title(self, method: str) -> str:
        """What the display of its progress is called."""
        return method if self.name is None else f"{method}, {self.name}"

    def ingredients(self, base: Ingredients, last: "StageRun | None") -> Ingredients:
        """What goes into the stage.

        Args:
            base: What goes into the run.
            last: The stage before; None for the first.
        """
        if self.name is None:
            return base
        settings = base.settings
        own = copy.copy(base)
        seed = settings.seed if last is None else _seed(settings.seed, self.number)
        own.settings = settings.model_copy(
            update={"steps": self.steps, "epochs": None, "seed": seed}
        )
        if last is None:
            return own
        if self.stage.teacher == "last student":
            own.teacher = describe(last.student_folder)
            own.cache = own.cached = own.served = None  # of the teacher that was given
            for loaded in ("teacher_model", "shared_vocabulary", "_other_reader"):
                own.__dict__.pop(loaded, None)
        if self.stage.student == "keep":
            trust = settings.trust_remote_code
            place = str(last.student_folder)
            own.student = StudentSource(place, None, seed, trust_remote_code=trust)
        return own

    def line(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """A line of the stage's log as that of a line of the run's."""
        named = {} if self.name is None else {"stage": self.name}
        return {**line, "step": line["step"] + self.before, **named}

    def record(
        self, trainer: "DistillationTrainer", prompts: Collection[str], before: Phases
    ) -> StageRecord:
        """What a trainer achieved in this stage.

        Args:
            trainer: After the last step.
            prompts: Ids of the examples whose prompts were used.
            before: The costs before training, such as the teacher's responses.
        """
        selection = trainer.selection
        assert selection.best is not None  # noqa: S101 - the last step is always validated
        return StageRecord(
            name=self.name or "",
            teacher=self.stage.teacher if self.stage.uses_teacher else None,
            student=self.stage.student,
            triple=trainer.work.triple.describe(),
            steps=int(trainer.state.global_step),
            selected=self._counted(selection.best),
            validations=[self._counted(validation) for validation in selection.validations],
            phases={
                name: PhaseCost.model_validate(cost)
                for name, cost in (before.as_dict() | trainer.phases.as_dict()).items()
            },
            prompts=sorted(prompts),
            epochs=trainer.epochs,
            log=[self.line(line) for line in trainer.state.log_history],
            weights={},
        )

    def _counted(self, validation: Mapping[str, float]) -> dict[str, float]:
        return {**validation, "step": validation["step"] + self.before}

    def finished(self) -> StageRecord | None:
        """The record of the stage if it is finished; its states are then removed.

        Raises:
            InputError: The record or the student is damaged.
        """
        file = self.folder / _RECORD
        if not file.exists():
            return None
        again = f"; delete {self.folder.parent} to train again from the start"
        try:
            record = read_record(file, StageRecord)
        except InputError as error:
            raise InputError(f"{error}{again}") from None
        if fault := damaged(record.weights, self.student_folder):
            raise InputError(f"{fault}: missing or damaged{again}")
        self._remove_states()
        return record

    def _remove_states(self) -> None:
        for folder in [*self.folder.glob("checkpoint-*"), *self.folder.glob("*best-*")]:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, trainer: "DistillationTrainer", record: StageRecord) -> None:
        """Put the best student in its place and finish the stage.

        Args:
            trainer: After the last step.
            record: What the stage achieved.
        """
        unfinished = self.folder / f".{_STUDENT}.unfinished"
        for folder in (unfinished, self.student_folder):
            shutil.rmtree(folder, ignore_errors=True)
        weights = put_student(trainer, unfinished)
        sync_folder(unfinished)
        unfinished.rename(self.student_folder)
        whole = record.model_copy(update={"weights": weights})
        put_text(self.folder / _RECORD, whole.model_dump_json(indent=1))
        sync_folder(self.folder)
        self._remove_states()


def stage_runs(ingredients: Ingredients, folder: Path) -> list[StageRun]:
    """The stages of a run, in order.

    Args:
        ingredients: What goes into the run.
        folder: The folder of its states.

    Raises:
        InputError: There are fewer steps than stages.
    """
    stages = ingredients.stages()
    if len(stages) == 1:
        return [StageRun(stages[0], None, 1, 0, 0, folder)]
    total = ingredients.recipe.steps(len(ingredients.train.examples))
    runs, before = list[StageRun](), 0
    for number, (stage, name, steps) in enumerate(
        zip(stages, names_of(stages), steps_of(stages, total), strict=True), start=1
    ):
        runs.append(StageRun(stage, name, number, steps, before, folder / f"stage-{number}"))
        before += steps
    return runs


def finished(stages: Iterable[StageRun]) -> list[StageRecord]:
    """The records of the stages that are finished.

    Raises:
        InputError: One of them is damaged.
    """
    records = list[StageRecord]()
    for run in stages:
        record = run.finished()
        if record is None:
            break
        records.append(record)
    return records


def _seed(seed: int, number: int) -> int:
    """The seed of a stage after the first, whose rows have another order."""
    digest = hashlib.sha256(json.dumps([seed, "stage", number]).encode()).digest()
    return int.from_bytes(digest[:4], "big") // 2


def put_student(trainer: "DistillationTrainer", folder: Path) -> dict[str, str]:
    """Write the best student as a checkpoint; return the SHA-256 of each file of weights."""
    model = trainer.selection.load_best(trainer.model, trainer.work.student_at_start)
    trainer.parts.restore(trainer.selection.best_path)
    trainer.parts.merge_into(model)
    with writing_to(folder):
        model.save_pretrained(folder)
    trainer.work.tokenizer.save_pretrained(folder)
    hashes = hashes_of([folder], folder)
    return {name: hashes[name] for name in hashes if name.endswith(".safetensors")}
