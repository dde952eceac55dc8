"""A training run: models, settings and data are put together, and the trainer runs."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainerCallback, TrainerState, TrainingArguments

from kdbench.config import TrainSettings
from kdbench.distillation.arguments import (
    DEFAULT_MICRO_BATCH,
    sampling,
    training_arguments,
    validation_sampling,
)
from kdbench.distillation.cached import check_complete
from kdbench.distillation.course import Course
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.models import load_models
from kdbench.distillation.prepared import Preparing
from kdbench.distillation.rollouts import rollout_plan
from kdbench.system.progress import progress
from kdbench.training.cached_teacher import CachedTeacherView, ServedBehind
from kdbench.training.phases import Phases
from kdbench.training.state import check_resumable, last_checkpoint
from kdbench.training.trainer import DistillationTrainer
from kdbench.training.triple import Triple
from kdbench.training.work import Work
from kdbench.views.rollout import Example


@dataclass(frozen=True)
class PreparedRun:
    """A run whose models are loaded and checked.

    Attributes:
        settings: The settings of the run.
        an_epoch: The number of optimiser steps in an epoch.
        student: The student's model, with an adapter if there is one.
        arguments: The arguments of transformers' trainer.
        work: The method, the teacher, the data and the limits.
    """

    settings: TrainSettings
    an_epoch: int
    student: Any
    arguments: TrainingArguments
    work: Work

    @property
    def folder(self) -> Path:
        """The folder of the run's states."""
        return Path(self.arguments.output_dir)


def prepare(
    ingredients: Ingredients,
    triple: Triple,
    examples: Sequence[Example],
    folder: Path,
    stage: str = "",
    prepared: Path | None = None,
    costs: Phases | None = None,
) -> PreparedRun:
    """Load the models and check that they fit together.

    Args:
        ingredients: Checkpoints, tokenizer and data.
        triple: The method in training.
        examples: The training examples, with the responses to learn from.
        folder: The folder of the run's states.
        stage: What the stage is called; empty in a run of one stage.
        prepared: The folder of what methods found out before training; None keeps nothing.
        costs: Where the costs of that are added.

    Raises:
        InputError: the tokenizers differ, or a text is longer than a model's positions.
    """
    settings, valid = ingredients.settings, ingredients.valid
    cached = _cached_teacher(ingredients, triple, examples)
    models = load_models(ingredients, triple, examples)
    size = settings.generation_batch_size
    precision, device = ingredients.precision, ingredients.device
    count = len(examples)
    steps = settings.steps or ingredients.recipe.steps(count)
    arguments = training_arguments(settings, precision, device, folder, steps)
    micro_batch_size = settings.micro_batch_size or DEFAULT_MICRO_BATCH
    preparing = Preparing(ingredients, models, examples, stage, micro_batch_size)
    statistics = preparing.statistics(prepared, Phases() if costs is None else costs)
    work = Work(
        triple=triple,
        teacher=models.teacher,
        tokenizer=ingredients.tokenizer,
        vocabulary=models.vocabulary,
        train=examples,
        valid=valid.examples,
        sampled=() if ingredients.learns_texts else valid.examples[: settings.validation_samples],
        sampling=sampling(settings),
        validation_sampling=validation_sampling(settings),
        micro_batch_size=micro_batch_size,
        generation_batch_size=None if size == "auto" else size,
        select=settings.select,
        student_at_start=ingredients.load_student,
        router_loss=settings.router_loss,
        chunk_tokens=settings.chunk_tokens,
        compile_loss=settings.compile_loss,
        statistics={name: tensor.to(device) for name, tensor in statistics.items()},
        cached_teacher=cached,
        reader=models.reader,
        rollouts=rollout_plan(settings, precision),
        watch={name: settings.watched_paths.get(name) for name in settings.watch},
    )
    return PreparedRun(
        settings, ingredients.recipe.steps_of_epoch(count), models.student, arguments, work
    )


def _cached_teacher(
    ingredients: Ingredients, triple: Triple, examples: Sequence[Example]
) -> CachedTeacherView | None:
    """The teacher whose scores are cached; None if it is loaded, or not needed.

    Raises:
        InputError: The cache lacks some of the training responses, or is of another tokenizer.
    """
    cache, top_k = ingredients.cache, ingredients.top_k
    if cache is None or top_k is None or not triple.needs_teacher_model:
        return None
    ingredients.check_tokenizers()
    if (served := ingredients.served) is not None:
        return CachedTeacherView(cache, top_k, ServedBehind(served.complete, served.digest))
    check_complete(cache, examples, ingredients.train.title, ingredients.settings)
    return CachedTeacherView(cache, top_k)


def make_trainer(
    run: PreparedRun, start: Path | None = None, advance: Callable[[], None] = lambda: None
) -> DistillationTrainer:
    """Make the trainer of a run, ready to start or to resume.

    Args:
        run: The models, settings and data.
        start: The checkpoint from which to resume; None starts anew.
        advance: Called once after each optimiser step, to show progress.

    Raises:
        InputError: the processes would shard the model.
    """
    trainer = DistillationTrainer(run.student, run.arguments, run.work)
    trainer.remove_callback(PrinterCallback)  # our own progress takes its place
    trainer.add_callback(
        Course(
            trainer,
            start,
            validate_every=run.settings.validate_every or run.an_epoch,
            save_every=run.settings.save_every,
            advance=advance,
        )
    )
    return trainer


def train_from_last_state(
    run: PreparedRun, title: str, callbacks: Sequence[TrainerCallback] = ()
) -> tuple[DistillationTrainer, int]:
    """Train from the last complete state in the run's folder, or from the start.

    Args:
        run: The models, settings and data.
        title: The title of the progress display.
        callbacks: Further callbacks of the trainer.

    Returns:
        The trainer after the last step, and the number of steps that were taken.
    """
    start = last_checkpoint(run.folder)
    total = run.arguments.max_steps
    before = int(start.name.rpartition("-")[2]) if start else 0
    if start and before >= total:  # killed after the last step; transformers would take another
        trainer = make_trainer(run, start)
        _add(trainer, callbacks)
        trainer.state = TrainerState.load_from_json(str(start / "trainer_state.json"))
        trainer.begin(start)
        trainer.log({"train_loss": 0.0})  # the summary, with which training ends
        trainer.close()
        return trainer, 0
    shows = run.arguments.process_index == 0
    with (
        warnings.catch_warnings(),
        progress(title, total, before, "steps", "training")
        if shows
        else nullcontext(_nothing) as advance,
    ):
        # torch warns that its schedulers are restored before the first optimiser step.
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        trainer = make_trainer(run, start, advance)
        _add(trainer, callbacks)
        if start:
            check_resumable(start, trainer.accelerator)
        try:
            trainer.train(resume_from_checkpoint=str(start) if start else None)
        finally:
            trainer.close()
    return trainer, int(trainer.state.global_step) - before


def _add(trainer: DistillationTrainer, callbacks: Sequence[TrainerCallback]) -> None:
    for callback in callbacks:
        trainer.add_callback(callback)


def _nothing() -> None:
    """Show no progress."""
