"""`kdbench train`: a method, a student, a teacher → a checkpoint with a run card.

While it works, everything is in `<out>.unfinished`; the same command goes on from the last state in
it. `<out>` appears when it is whole.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdbench.distillation.data import with_responses
from kdbench.distillation.ingredients import Ingredients, difference
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.teacher_responses import folder_of, teacher_responses
from kdbench.errors import InputError
from kdbench.system.environment import environment, git_state
from kdbench.system.files import SCHEMA, put_text
from kdbench.system.locks import only_here, remove_empty
from kdbench.training.source import FromTeacher
from kdbench.training.triple import Triple
from kdbench.version import __version__
from kdbench.views.rollout import Example

if TYPE_CHECKING:
    from kdbench.training.phases import Phases
    from kdbench.training.trainer import DistillationTrainer

CARD = "kdbench.json"
LOG = "training.jsonl"
_IDENTITY, _LOCK = "identity.json", ".lock"


@dataclass(frozen=True)
class Trained:
    """What `train` returns.

    Attributes:
        checkpoint: the folder, with `kdbench.json` in it.
        card: that run card.
        steps: optimiser steps taken by this call; 0 when the checkpoint was there.
    """

    checkpoint: Path
    card: Mapping[str, Any]
    steps: int


def train(recipe: Recipe) -> Trained:
    """Train a student, or go on, or find that it is there.

    Raises:
        InputError: anything about models, data or settings that the user can mend.
    """
    from kdbench.distillation.fit import check_settings, make_trainer, run
    from kdbench.training.phases import Phases

    check_settings(recipe.settings)
    out, parts = recipe.out, Ingredients(recipe)
    folder = out.with_name(f"{out.name}.unfinished")
    if out.exists():
        card = _card_of(out, parts)
        _remove_leftover(folder)
        return Trained(out, card, 0)
    _check_claim(folder, parts)
    triple, before = parts.triple(), Phases()
    examples = _examples(parts, triple, out, before)
    if "tensorboard" in recipe.settings.report_to:  # else into the folder of states, which goes
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(out.with_name(f"{out.name}.logs")))
    with _locked(folder):
        if out.exists():  # another process was faster
            return Trained(out, _card_of(out, parts), 0)
        _check_claim(folder, parts)
        trainer = make_trainer(parts, triple, examples, folder)
        put_text(folder / _IDENTITY, json.dumps(parts.identity, indent=1))
        steps = run(trainer, folder, title=recipe.settings.method)
        if trainer.is_world_process_zero():
            _finish(trainer, _card(recipe, parts, triple, trainer, before), folder, out)
        trainer.accelerator.wait_for_everyone()
    return Trained(out, json.loads((out / CARD).read_text("utf-8")), steps)


def _examples(parts: Ingredients, triple: Triple, out: Path, phases: "Phases") -> Sequence[Example]:
    """The training set, with the teacher's responses where the method learns from those."""
    from kdbench.distillation.fit import sampling

    source, settings = triple.source.inner, parts.settings
    if not isinstance(source, FromTeacher):
        return parts.train.examples
    assert parts.teacher is not None  # noqa: S101 - such methods need one
    how = sampling(settings)
    cache = settings.teacher_responses or out.parent / "teacher-responses"
    teacher = f"{parts.teacher.sha256} {parts.teacher_dtype}"
    folder = folder_of(cache, teacher, parts.train.sha256, how, settings.seed)
    size = settings.generation_batch_size
    with _locked(folder, wait=True), _kept_cost(folder, phases):
        texts, tokens = teacher_responses(
            folder / settings.train_set / "train.jsonl",
            parts.train.records,
            how,
            settings.seed,
            lambda: parts.teacher_model,
            None if size == "auto" else size,
        )
    phases.count("teacher_responses", tokens)
    if not triple.needs_teacher_model:
        parts.forget_teacher()
    return with_responses(parts.train.examples, texts, parts.tokenizer, parts.lengths)


@contextmanager
def _kept_cost(folder: Path, phases: "Phases") -> Iterator[None]:
    """Time the teacher's generation; every run that shares its responses reports what it took."""
    file, phase = folder / "seconds.json", "teacher_responses"
    before = json.loads(file.read_text("utf-8")) if file.exists() else 0.0
    try:
        with phases(phase):
            yield
    finally:
        if any(folder.glob("*/*.jsonl")):
            phases.seconds[phase] += before
            put_text(file, json.dumps(phases.seconds[phase]))


def _card(
    recipe: Recipe,
    parts: Ingredients,
    triple: Triple,
    trainer: "DistillationTrainer",
    before: "Phases",
) -> dict[str, Any]:
    """Who made this checkpoint from what, how well it did, and what that cost."""
    from kdbench.training.phases import peak_memory

    settings = recipe.settings
    return {
        "schema": SCHEMA,
        "method": settings.label or recipe.method.title,
        "setting": settings.setting,
        "training": parts.identity,
        "triple": triple.describe(),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "steps": trainer.state.global_step,
        "selected": trainer.best,
        "validations": trainer.validations,
        "phases": before.as_dict() | trainer.phases.as_dict(),
        "peak_memory_bytes": peak_memory(),
        "device": parts.device,
        "processes": trainer.accelerator.num_processes,
        "micro_batch_size": trainer.micro_batch_size,
        "kdbench_version": __version__,
        "environment": environment(),
        "git": git_state(),
    }


def _finish(
    trainer: "DistillationTrainer", card: Mapping[str, Any], folder: Path, out: Path
) -> None:
    """Put the best student in place, whole; then the states that led there can go."""
    whole = folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    model = trainer.best_model()
    model.save_pretrained(whole)
    trainer.work.tokenizer.save_pretrained(whole)
    log = "".join(json.dumps(line) + "\n" for line in trainer.state.log_history)
    put_text(whole / LOG, log)
    put_text(whole / CARD, json.dumps(card, indent=1, sort_keys=True) + "\n")
    whole.rename(out)
    shutil.rmtree(folder)


def _card_of(out: Path, parts: Ingredients) -> dict[str, Any]:
    """The card of the checkpoint that is there.

    Raises:
        InputError: it is none of ours, or made from something else.
    """
    try:
        card: dict[str, Any] = json.loads((out / CARD).read_text("utf-8"))
    except (OSError, ValueError):
        raise InputError(f"out={out}: exists, and is no checkpoint of kdbench train") from None
    _compare(card.get("training", {}), parts, out)
    return card


def _check_claim(folder: Path, parts: Ingredients) -> None:
    """A state that is there must be of the same run.

    Raises:
        InputError: it was made from something else.
    """
    if any(folder.glob("checkpoint-*")) and (folder / _IDENTITY).exists():
        _compare(json.loads((folder / _IDENTITY).read_text("utf-8")), parts, folder)


def _compare(known: dict[str, Any], parts: Ingredients, place: Path) -> None:
    found = difference(known, json.loads(json.dumps(parts.identity)))
    if found:
        raise InputError(
            f"{place}: made with another {found}; pass out=… to keep both, or delete the folder"
        )


def _remove_leftover(folder: Path) -> None:
    """What a run left that was killed after its checkpoint was in place."""
    if not folder.exists():
        return
    try:
        with FileLock(folder / _LOCK, timeout=0):
            shutil.rmtree(folder)
    except Timeout:
        return  # the other process is just removing it


@contextmanager
def _locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes off a folder; those of one distributed run go together.

    A folder in which nothing was kept is not left behind.

    Raises:
        InputError: another process holds it, and we do not wait.
    """
    if int(os.environ.get("RANK", "0")) and not wait:
        yield
        return
    busy = f"{folder}: another kdbench process trains there; wait for it"
    with only_here(folder / _LOCK, busy, wait) as made:
        try:
            yield
        finally:
            if folder.exists() and not set(os.listdir(folder)) - {_LOCK, _IDENTITY}:
                shutil.rmtree(folder)
                remove_empty(made[1:])
