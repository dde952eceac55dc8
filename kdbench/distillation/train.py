"""`kdbench train`: from a method, a student and a teacher to a checkpoint with a run card.

During the run everything is in `<out>.unfinished`, and the same command resumes from the last state
in it. `<out>` appears when it is complete.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, RootModel

from kdbench.distillation.card import CARD, LOG, make_card, read_card
from kdbench.distillation.data import set_name, with_responses
from kdbench.distillation.early import check_early
from kdbench.distillation.identity import Identity, check_identity
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.notes import notes
from kdbench.distillation.processes import process_number
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.teacher_responses import folder_of, teacher_responses
from kdbench.distillation.teacher_scores import complete
from kdbench.errors import InputError
from kdbench.system.console import report_progress
from kdbench.system.files import LinesFile, put_text, sync_entries, sync_folder, writing_to
from kdbench.system.locks import only_here, remove_empty
from kdbench.system.records import hashes_of, read_record
from kdbench.training.phases import Phases
from kdbench.training.source import FromDataset, FromTeacher
from kdbench.training.triple import Triple
from kdbench.views.rollout import Example

if TYPE_CHECKING:
    import pandas as pd

    from kdbench.training.trainer import DistillationTrainer

_IDENTITY, _LOCK = "identity.json", ".lock"


class _Seconds(RootModel[float]):
    """Seconds of the teacher's generation so far, on disk."""

    root: float = Field(ge=0)


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
    from kdbench.distillation.fit import prepare, train_from_last_state
    from kdbench.distillation.tracking import tracked_training

    check_settings(recipe.settings)
    out, ingredients = recipe.out, Ingredients(recipe)
    folder = out.with_name(f"{out.name}.unfinished")
    if out.exists():
        card = read_card(out, ingredients)
        _remove_leftover(folder)
        return Trained(out, card, 0)
    if out.is_symlink():
        raise InputError(f"out={out}: a link that leads nowhere; delete it, or pass another out=")
    check_claim(folder, ingredients)
    if process_number() == 0:
        for line in notes(ingredients):
            report_progress(f"note: {line}")
    triple, preparation = ingredients.triple(), Phases()
    ingredients.student.check(recipe.settings.trust_remote_code)
    if triple.needs_teacher_model:
        ingredients.check_tokenizers()
    if ingredients.learns_texts:
        _check_texts(recipe, triple)
    examples = _examples(ingredients, triple, out, preparation)
    if ingredients.cache is not None and ingredients.cached is None:
        _cache_scores(ingredients, examples, preparation)
    with _locked(folder):
        if out.exists():  # another process was faster
            return Trained(out, read_card(out, ingredients), 0)
        check_claim(folder, ingredients)
        run = prepare(ingredients, triple, examples, folder)
        put_text(folder / _IDENTITY, json.dumps(ingredients.identity, indent=1))
        described = {
            "method": recipe.settings.label or recipe.method.title,
            "setting": recipe.settings.setting,
            "triple": triple.describe(),
        }
        with tracked_training(ingredients, described, out, folder) as tracking:
            callbacks = () if tracking is None else (tracking,)
            trainer, steps = train_from_last_state(run, recipe.settings.method, callbacks)
            used = trainer.memory.prompts_used()
            if trainer.is_world_process_zero():
                card = make_card(recipe, ingredients, trainer, preparation, used)
                _finish(trainer, card, folder, out)
                if tracking is not None:
                    tracking.finish(card)
        trainer.accelerator.wait_for_everyone()
    return Trained(out, json.loads((out / CARD).read_text("utf-8")), steps)


def _check_texts(recipe: Recipe, triple: Triple) -> None:
    """Check that a run on plain texts, which are no prompts, needs no response to them.

    Raises:
        InputError: It does.
    """
    source, select = triple.source.inner, recipe.settings.select
    if not isinstance(source, FromDataset) or isinstance(source, FromTeacher):
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


def _examples(
    ingredients: Ingredients, triple: Triple, out: Path, preparation: Phases
) -> Sequence[Example]:
    """The training set, with the teacher's responses if the method learns from those."""
    from kdbench.distillation.arguments import sampling

    settings = ingredients.settings
    if not isinstance(triple.source.inner, FromTeacher):
        return ingredients.train.examples
    assert ingredients.teacher is not None  # noqa: S101 - such methods need a teacher
    protocol = sampling(settings)
    cache = settings.teacher_responses or out.parent / "teacher-responses"
    teacher = f"{ingredients.teacher.sha256} {ingredients.teacher_dtype}"
    folder = folder_of(cache, teacher, ingredients.train.sha256, protocol, settings.seed)
    size = settings.generation_batch_size
    with _locked(folder, wait=True), _total_cost(folder, preparation):
        responses, tokens = teacher_responses(
            folder / set_name(settings.train_set) / "train.jsonl",
            ingredients.train.rows,
            protocol,
            settings.seed,
            lambda: ingredients.teacher_model,
            None if size == "auto" else size,
        )
    preparation.count("teacher_responses", tokens)
    if not triple.needs_teacher_model:
        ingredients.forget_teacher()
    return with_responses(ingredients.train, responses, ingredients.encoder)


def _cache_scores(
    ingredients: Ingredients, examples: Sequence[Example], preparation: Phases
) -> None:
    """Complete the cache of the teacher's scores, and free the teacher's memory."""
    cache, settings = ingredients.cache, ingredients.settings
    assert cache is not None  # noqa: S101 - for the type checker
    with (
        _locked(cache.folder, wait=True),
        _total_cost(cache.folder, preparation, "teacher_scores", "scores/*.safetensors"),
    ):
        tokens = complete(cache, ingredients, examples, settings.micro_batch_size)
        preparation.count("teacher_scores", tokens)
    ingredients.forget_teacher()


@contextmanager
def _total_cost(
    folder: Path,
    preparation: Phases,
    phase: str = "teacher_responses",
    made: str = "*/*.jsonl",
) -> Iterator[None]:
    """Time the teacher's work; the total is kept with what it made for later runs."""
    file = folder / "seconds.json"
    seconds_before = read_record(file, _Seconds).root if file.exists() else 0.0
    try:
        with preparation(phase):
            yield
    finally:
        if any(folder.glob(made)):
            preparation.seconds[phase] += seconds_before
            put_text(file, json.dumps(preparation.seconds[phase]))


def _finish(
    trainer: "DistillationTrainer", card: Mapping[str, Any], folder: Path, out: Path
) -> None:
    """Put the complete best student in place, and then remove the states."""
    complete = folder / "whole"
    shutil.rmtree(complete, ignore_errors=True)
    model = trainer.selection.load_best(trainer.model)
    trainer.parts.restore(trainer.selection.best_path)
    trainer.parts.merge_into(model)
    with writing_to(complete):
        model.save_pretrained(complete)
    trainer.work.tokenizer.save_pretrained(complete)
    log = "".join(json.dumps(line) + "\n" for line in trainer.state.log_history)
    put_text(complete / LOG, log)
    hashes = hashes_of([complete], complete)
    weights = {name: hashes[name] for name in hashes if name.endswith(".safetensors")}
    card = {**card, "weights": weights}
    put_text(complete / CARD, json.dumps(card, indent=1, sort_keys=True) + "\n")
    sync_folder(complete)
    complete.rename(out)
    sync_entries(out.parent)
    shutil.rmtree(folder)


def check_claim(folder: Path, ingredients: Ingredients) -> None:
    """Check that an existing state belongs to the same run.

    Raises:
        InputError: it was made from something else, or its identity is damaged.
    """
    if not any(folder.glob("checkpoint-*")):
        return
    try:
        stored = read_record(folder / _IDENTITY, Identity)
    except InputError as error:
        raise InputError(f"{error}; delete {folder} to train again from the start") from None
    check_identity(stored, ingredients.identity, ingredients.defaults, folder)


def _remove_leftover(folder: Path) -> None:
    """Remove what is left of a run that was killed after its checkpoint was in place."""
    if not folder.exists():
        return
    try:
        with only_here(folder / _LOCK, busy=""):
            shutil.rmtree(folder)
    except InputError:
        return  # the other process is removing it


@contextmanager
def _locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes out of a folder, except those of the same distributed run.

    A folder in which nothing was kept is removed again.

    Raises:
        InputError: another process holds the lock, and `wait` is false.
    """
    if process_number() and not wait:
        yield
        return
    busy = f"{folder}: another kdbench process is training here; wait until it has finished"
    with only_here(folder / _LOCK, busy, wait) as made:
        try:
            yield
        finally:
            if folder.exists() and not set(os.listdir(folder)) - {_LOCK, _IDENTITY}:
                shutil.rmtree(folder)
                remove_empty(made[1:])
