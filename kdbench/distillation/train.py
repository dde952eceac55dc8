"""`kdbench train`: from a method, a student and a teacher to a checkpoint with a run card.

During the run everything is in `<out>.unfinished`, and the same command resumes from the last state
in it. `<out>` appears when it is complete.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.distillation.card import CARD, LOG, make_card, read_card
from kdbench.distillation.claim import IDENTITY, check_claim, locked, remove_leftover
from kdbench.distillation.early import check_early
from kdbench.distillation.examples import cache_scores, examples_of
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.notes import notes
from kdbench.distillation.processes import process_number
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.rollouts import check_student_of_engine
from kdbench.distillation.stages import StageRecord, StageRun, finished, put_student, stage_runs
from kdbench.errors import InputError
from kdbench.system.console import report_progress
from kdbench.system.files import LinesFile, put_text, sync_entries, sync_folder
from kdbench.training.phases import Phases
from kdbench.training.source import FromDataset, FromTeacher
from kdbench.training.triple import Triple

if TYPE_CHECKING:
    import pandas as pd

    from kdbench.distillation.fit import PreparedRun
    from kdbench.distillation.tracking import TrainingTrackers
    from kdbench.training.trainer import DistillationTrainer


@dataclass(frozen=True)
class Trained:
    """What `train` returns.

    Attributes:
        checkpoint: The checkpoint's folder, with `kdbench.json` in it.
        card: The run card.
        steps: Optimiser steps taken by this call; 0 if the checkpoint existed already.
    """

    checkpoint: Path
    card: Mapping[str, Any] = field(repr=False)
    steps: int

    @property
    def log(self) -> "pd.DataFrame":
        """The training log as a data frame: a row for each logged step, a column for each value.

        Raises:
            InputError: The log is missing or damaged.
        """
        import pandas as pd

        file = self.checkpoint / LOG
        if not file.is_file():
            raise InputError(f"{file}: no such file; the checkpoint has no training log")
        return pd.DataFrame(LinesFile(file).read())


def train(recipe: Recipe) -> Trained:
    """Train a student, resume its training, or return the checkpoint if it exists.

    Args:
        recipe: The settings and the method.

    Raises:
        InputError: anything about models, data or settings that the user can fix.
    """
    check_early(recipe)
    from kdbench.distillation.arguments import check_settings

    check_settings(recipe.settings)
    out, ingredients = recipe.out, Ingredients(recipe)
    folder = out.with_name(f"{out.name}.unfinished")
    if out.exists():
        card = read_card(out, ingredients)
        remove_leftover(folder)
        return Trained(out, card, 0)
    if out.is_symlink():
        raise InputError(f"out={out}: a link that leads nowhere; delete it, or pass another out=")
    check_claim(folder, ingredients)
    if process_number() == 0:
        for line in notes(ingredients):
            report_progress(f"note: {line}")
    stages = stage_runs(ingredients, folder)
    for run in stages:
        run.stage.triple.check_data(ingredients.train.examples, ingredients.valid.examples)
    ingredients.student.check(
        recipe.settings.trust_remote_code, recipe.settings.student_quantization is not None
    )
    check_student_of_engine(recipe.settings, ingredients.student, ingredients.device)
    taught = [run.stage.triple for run in stages if run.needs_given_teacher]
    if taught or "teacher" in recipe.method.prepares_with:
        ingredients.check_tokenizers(*taught)
    ingredients.check_companions(*(run.stage.triple for run in stages))
    if ingredients.learns_texts:
        for run in stages:
            _check_texts(recipe, run.stage.triple)
    with locked(folder):
        if out.exists():  # another process was faster
            return Trained(out, read_card(out, ingredients), 0)
        check_claim(folder, ingredients)
        steps = _train_stages(recipe, ingredients, stages, folder)
    return Trained(out, json.loads((out / CARD).read_text("utf-8")), steps)


def _train_stages(
    recipe: Recipe, ingredients: Ingredients, stages: Sequence[StageRun], folder: Path
) -> int:
    """Train the stages that are not finished, and put the checkpoint in place.

    Returns:
        The number of steps that were taken.
    """
    from kdbench.distillation.tracking import tracked_training

    records = finished(stages)
    course = _Stages(recipe, ingredients, stages, records)
    first = course.prepare()
    put_text(folder / IDENTITY, json.dumps(ingredients.identity, indent=1))
    texts = {run.name: run.stage.triple.describe() for run in stages}
    described = {
        "method": recipe.settings.label or recipe.method.title,
        "setting": recipe.settings.setting,
        **({"stages": texts} if len(stages) > 1 else {"triple": texts[None]}),
    }
    with tracked_training(ingredients, described, recipe.out, folder) as tracking:
        trainer = course.train(first, tracking)
        while len(records) < len(stages):
            trainer = course.train(course.prepare(), tracking)
        if trainer.is_world_process_zero():
            card = make_card(recipe, ingredients, trainer, records)
            _finish(trainer, card, records, folder, recipe.out)
            if tracking is not None:
                tracking.finish(card)
    trainer.accelerator.wait_for_everyone()
    return course.steps


@dataclass
class _Stages:
    """The stages of a run and how far it is.

    Attributes:
        recipe: The settings and the method.
        ingredients: What goes into the run.
        stages: All stages.
        records: What the finished ones achieved.
        steps: The number of steps that were taken.
        costs: Of what precedes the present stage's training, such as the teacher's responses.
    """

    recipe: Recipe
    ingredients: Ingredients
    stages: Sequence[StageRun]
    records: list[StageRecord]
    steps: int = 0
    costs: Phases = field(default_factory=Phases)

    @property
    def _now(self) -> StageRun:
        return self.stages[len(self.records)]

    def prepare(self) -> "PreparedRun":
        """Load and check what the next stage needs."""
        from kdbench.distillation.fit import prepare

        now, number = self._now, len(self.records)
        last = self.stages[number - 1] if number else None
        ingredients, triple = now.ingredients(self.ingredients, last), now.stage.triple
        self.costs = Phases()
        examples = examples_of(self.recipe, ingredients, triple, self.costs)
        if triple.needs_teacher_model:
            cache_scores(ingredients, triple, examples, self.costs)
        prepared = self.recipe.out.parent / "prepared"
        name = now.name or ""
        return prepare(ingredients, triple, examples, now.folder, name, prepared, self.costs)

    def train(
        self, run: "PreparedRun", tracking: "TrainingTrackers | None"
    ) -> "DistillationTrainer":
        """Train a stage and keep its best student; that of the last stage is kept as the run's."""
        from kdbench.distillation.fit import train_from_last_state

        now = self._now
        if tracking is not None:
            tracking.before = now.before
        title = now.title(self.recipe.settings.method)
        callbacks = () if tracking is None else (tracking,)
        trainer, taken = train_from_last_state(run, title, callbacks)
        self.steps += taken
        record = now.record(trainer, trainer.memory.all_prompts(), self.costs)
        self.records.append(record)
        if now is not self.stages[-1]:
            if trainer.is_world_process_zero():
                now.keep(trainer, record)
            trainer.accelerator.wait_for_everyone()
        return trainer


def _check_texts(recipe: Recipe, triple: Triple) -> None:
    """Check that a run on plain texts, which are no prompts, needs no response to them.

    Raises:
        InputError: It does.
    """
    source, select = triple.source.inner, recipe.settings.select
    samples = not isinstance(source, FromDataset) or isinstance(source, FromTeacher)
    if samples or triple.source.gives_samples:
        raise InputError(
            f"method={recipe.settings.method} samples responses to prompts, and rows with text "
            "have no prompt: use rows with prompt and response, or a method that learns from the "
            "data set alone, such as sft or kd"
        )
    if select == "rougeL":
        raise InputError(
            "select=rougeL compares responses to prompts, and rows with text have no prompt: pass "
            "select=loss"
        )


def _finish(
    trainer: "DistillationTrainer",
    card: Mapping[str, Any],
    records: Sequence[StageRecord],
    folder: Path,
    out: Path,
) -> None:
    """Put the complete best student in place, and then remove the states."""
    complete = folder / "whole"
    shutil.rmtree(complete, ignore_errors=True)
    card = {**card, "weights": put_student(trainer, complete)}
    lines = [line for record in records for line in record.log]
    # Sorted, as a resumed run has the keys of the lines before its state in that order.
    log = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    put_text(complete / LOG, log)
    put_text(complete / CARD, json.dumps(card, indent=1, sort_keys=True) + "\n")
    sync_folder(complete)
    complete.rename(out)
    sync_entries(out.parent)
    shutil.rmtree(folder)
