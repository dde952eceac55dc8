"""`kdbench train`: a method, a student, a teacher → a checkpoint with a run card.

While it works, everything is in `<out>.unfinished`; the same command goes on from the last state in
it. `<out>` appears when it is whole.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kdbench
from kdbench.environment import environment, git_state
from kdbench.errors import InputError
from kdbench.files import SCHEMA, put_text, write_json
from kdbench.recipe import Recipe
from kdbench.training.data import with_responses
from kdbench.training.ingredients import Ingredients, difference
from kdbench.training.rollout import Example
from kdbench.training.source import FromTeacher
from kdbench.training.teacher_responses import folder_of, teacher_responses
from kdbench.training.triple import Triple

if TYPE_CHECKING:
    from kdbench.training.phases import Phases
    from kdbench.training.trainer import DistillationTrainer

CARD = "kdbench.json"
LOG = "training.jsonl"
_IDENTITY = "identity.json"


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
    out, parts = recipe.out, Ingredients(recipe)
    if out.exists():
        return Trained(out, _card_of(out, parts), 0)
    folder = out.with_name(f"{out.name}.unfinished")
    with _locked(folder):
        _claim(folder, parts)
        return _train(recipe, parts, out, folder)


def _train(recipe: Recipe, parts: Ingredients, out: Path, folder: Path) -> Trained:
    from kdbench.training.fit import make_trainer, run
    from kdbench.training.phases import Phases

    triple, before = parts.triple(), Phases()
    examples = _examples(parts, triple, out, before)
    trainer = make_trainer(parts, triple, examples, folder)
    steps = run(trainer, folder, title=recipe.settings.method)
    if trainer.is_world_process_zero():
        card = _card(recipe, parts, triple, trainer, before)
        _finish(trainer, card, folder, out)
    trainer.accelerator.wait_for_everyone()
    return Trained(out, json.loads((out / CARD).read_text("utf-8")), steps)


def _examples(parts: Ingredients, triple: Triple, out: Path, phases: "Phases") -> Sequence[Example]:
    """The training set, with the teacher's responses where the method learns from those."""
    from kdbench.training.fit import sampling

    source, settings = triple.source.inner, parts.settings
    if not isinstance(source, FromTeacher):
        return parts.train.examples
    assert parts.teacher is not None  # noqa: S101 - such methods need one
    how = sampling(settings, source.temperature, source.top_p, settings.seed)
    cache = settings.teacher_responses or out.parent / "teacher-responses"
    folder = folder_of(cache, parts.teacher.sha256, parts.train.sha256, how, settings.seed)
    size = settings.generation_batch_size
    with _locked(folder, wait=True), phases("teacher_responses"):
        texts, tokens = teacher_responses(
            folder / settings.train_set / "train.jsonl",
            parts.train.records,
            how,
            settings.seed,
            lambda: parts.teacher_model,
            None if size == "auto" else size,
        )
    phases.count("teacher_responses", tokens)
    return with_responses(parts.train.examples, texts, parts.tokenizer, parts.lengths)


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
        "kdbench_version": kdbench.__version__,
        "environment": environment(),
        "git": git_state(),
    }


def _finish(
    trainer: "DistillationTrainer", card: Mapping[str, Any], folder: Path, out: Path
) -> None:
    """Put the best student in place, whole; then the states that led there can go."""
    from kdbench.training.trainer import BEST

    whole = folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    model = trainer.best_model(folder / BEST)
    model.save_pretrained(whole)
    trainer.work.tokenizer.save_pretrained(whole)
    log = "".join(json.dumps(line) + "\n" for line in trainer.state.log_history)
    put_text(whole / LOG, log)
    write_json(whole / CARD, card)
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


def _claim(folder: Path, parts: Ingredients) -> None:
    """Note what this run is made from.

    Raises:
        InputError: the folder holds an unfinished run made from something else.
    """
    file = folder / _IDENTITY
    if file.exists():
        _compare(json.loads(file.read_text("utf-8")), parts, folder)
    else:
        put_text(file, json.dumps(parts.identity, indent=1))


def _compare(known: dict[str, Any], parts: Ingredients, place: Path) -> None:
    found = difference(known, json.loads(json.dumps(parts.identity)))
    if found:
        raise InputError(
            f"{place}: made with another {found}; pass out=… to keep both, or delete the folder"
        )


@contextmanager
def _locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes off a folder; those of one distributed run go together.

    Raises:
        InputError: another process holds it, and we do not wait.
    """
    import os

    from filelock import FileLock, Timeout

    if int(os.environ.get("RANK", "0")) and not wait:
        yield
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{folder}: another kdbench process trains there; wait for it") from None
    try:
        yield
    finally:
        lock.release()
