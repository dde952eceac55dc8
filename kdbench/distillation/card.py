"""The run card: the record of how a checkpoint was made, in the file next to its weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import Recipe
from kdbench.errors import InputError
from kdbench.system.environment import environment, git_state
from kdbench.system.files import SCHEMA
from kdbench.training.phases import Phases, peak_memory
from kdbench.version import __version__

if TYPE_CHECKING:
    from kdbench.training.trainer import DistillationTrainer

CARD = "kdbench.json"
LOG = "training.jsonl"


def make_card(
    recipe: Recipe, ingredients: Ingredients, trainer: "DistillationTrainer", preparation: Phases
) -> dict[str, Any]:
    """What made a checkpoint, from what, how well it validated, and what that cost.

    Args:
        recipe: The settings and the method.
        ingredients: Checkpoints and data.
        trainer: The trainer after the last step.
        preparation: The costs before training, such as the teacher's responses.
    """
    settings, selection = recipe.settings, trainer.selection
    return {
        "schema": SCHEMA,
        "method": settings.label or recipe.method.title,
        "setting": settings.setting,
        "training": ingredients.identity,
        "triple": trainer.work.triple.describe(),
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "steps": trainer.state.global_step,
        "selected": selection.best,
        "validations": selection.validations,
        "phases": preparation.as_dict() | trainer.phases.as_dict(),
        "peak_memory_bytes": peak_memory(),
        "device": ingredients.device,
        "processes": trainer.accelerator.num_processes,
        "micro_batch_size": trainer.work.micro_batch_size,
        "kdbench_version": __version__,
        "environment": environment(),
        "git": git_state(),
    }


def read_card(out: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Read the card of a finished checkpoint.

    Args:
        out: The checkpoint's folder.
        identity: The identity of the run that would make it now.

    Raises:
        InputError: the folder is not a checkpoint of kdbench, or was made from something else.
    """
    try:
        card: dict[str, Any] = json.loads((out / CARD).read_text("utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"out={out}: exists, and is not a checkpoint of kdbench train; pass another out="
        ) from None
    check_identity(card.get("training", {}), identity, out)
    return card


def check_identity(stored: Mapping[str, Any], now: Mapping[str, Any], place: Path) -> None:
    """Check that two runs are the same.

    Args:
        stored: The identity in a run card or with a state.
        now: The identity of the present run.
        place: Where the stored one is, for the message.

    Raises:
        InputError: they differ; the line names the first key and both values.
    """
    differing = difference(stored, json.loads(json.dumps(now)))
    if differing:
        raise InputError(
            f"{place}: was made with a different {differing}; pass out=… to keep both, or delete "
            "the folder"
        )


def difference(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first key in which two identities differ, with both values; None if they are equal."""
    for key in sorted(set(stored) | set(now)):
        before, after = stored.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            deeper = difference(before, after)
            return deeper if key in ("settings", "parameters") else f"{key} {deeper}"
        return f"{key} (was {str(before)[:60]}, is {str(after)[:60]})"
    return None
