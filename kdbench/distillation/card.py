"""The run card: the record of how a checkpoint was made, in the file next to its weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from kdbench.distillation.built_set import built_set
from kdbench.distillation.identity import Identity, check_identity
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.log_means import log_means
from kdbench.distillation.recipe import Recipe
from kdbench.errors import InputError
from kdbench.system.environment import environment, git_state
from kdbench.system.files import SCHEMA
from kdbench.system.records import damaged, read_record
from kdbench.training.phases import PhaseCost, Phases, peak_memory
from kdbench.training.sharding import sharding_of, size_of
from kdbench.version import __version__

if TYPE_CHECKING:
    from kdbench.distillation.stages import StageRecord
    from kdbench.training.trainer import DistillationTrainer

CARD = "kdbench.json"
LOG = "training.jsonl"


def make_card(
    recipe: Recipe,
    ingredients: Ingredients,
    trainer: "DistillationTrainer",
    records: "Sequence[StageRecord]",
) -> dict[str, Any]:
    """What made a checkpoint, from what, how well it validated, and what that cost.

    Args:
        recipe: The settings and the method.
        ingredients: Checkpoints and data.
        trainer: The trainer after the last step.
        records: What each stage achieved.
    """
    settings, train, last = recipe.settings, ingredients.train, records[-1]
    phases = Phases()
    for record in records:
        phases.add({name: cost.model_dump() for name, cost in record.phases.items()})
    prompts = {prompt for record in records for prompt in record.prompts}
    parts = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in trainer.parts.modules.items()
    }
    built = built_set(settings)
    template, search = ingredients.encoder.template_sha256, ingredients.student.search
    return {
        "schema": SCHEMA,
        "method": settings.label or recipe.method.title,
        "setting": settings.setting,
        "training": ingredients.identity,
        "triple": last.triple,
        "parameters": sum(map(size_of, trainer.model.parameters())),
        **({"parts": parts} if parts else {}),
        **({} if search is None else {"layer_search": search.in_card()}),
        "steps": sum(record.steps for record in records),
        "selected": last.selected,
        "validations": [validation for record in records for validation in record.validations],
        "log_means": log_means(line for record in records for line in record.log),
        **({"stages": [record.in_card() for record in records]} if len(records) > 1 else {}),
        "prompts": {
            "used": len(prompts),
            "of": len(train.examples),
            "epochs": round(sum(record.epochs for record in records), 4),
        },
        **({} if ingredients.served is None else {"served_teacher": ingredients.served.in_card}),
        **({} if template is None else {"chat_template_sha256": template}),
        **({} if built is None else {"data_set": built}),
        "cut_responses": {"train": train.cut, "valid": ingredients.valid.cut},
        "phases": phases.as_dict(),
        "peak_memory_bytes": peak_memory(),
        "device": ingredients.device,
        "processes": trainer.accelerator.num_processes,
        **({} if (kind := sharding_of(trainer.accelerator)) is None else {"sharding": kind}),
        **({} if (own := rollouts_of(trainer)) is None else {"rollouts": own}),
        "micro_batch_size": trainer.work.micro_batch_size,
        "command": recipe.command,
        "kdbench_version": __version__,
        "environment": environment(),
        "git": git_state(),
    }


def rollouts_of(trainer: "DistillationTrainer") -> dict[str, Any] | None:
    """Who generated the student's responses, and the gap's means over the run; None without."""
    plan, engine = trainer.work.rollouts, trainer.rollouts
    if plan is None or engine is None:
        return None
    means = trainer.memory.whole_run.means()
    own = {name: value for name, value in means.items() if name.startswith("rollouts/")}
    return {
        "backend": plan.backend,
        "engine": engine.facts,
        "server": plan.server is not None,
        "lag": plan.lag,
        "weight_clip": plan.weight_clip,
        "means": own,
    }


class RunCard(BaseModel):
    """What kdbench reads of a run card.

    Attributes:
        schema_version: The version of the layout.
        method: The row's label.
        setting: The table's group of rows; None if the run had none.
        training: The identity of the run.
        selected: The validation whose student was kept.
        validations: All validations.
        phases: Costs by phase.
        weights: The SHA-256 of each file of weights; empty in cards of earlier versions.
    """

    schema_version: Literal[1] = Field(alias="schema")
    method: str
    setting: str | None
    training: Identity
    selected: dict[str, float]
    validations: list[dict[str, float]] = Field(min_length=1)
    phases: dict[str, PhaseCost]
    weights: dict[str, str] = {}


def read_card(out: Path, ingredients: Ingredients) -> dict[str, Any]:
    """Read the card of a finished checkpoint, and check that its weights are whole.

    Args:
        out: The checkpoint's folder.
        ingredients: What would make it now.

    Raises:
        InputError: the folder is not a checkpoint of kdbench, is damaged, or was made from
            something else.
    """
    try:
        card = read_record(out / CARD, RunCard)
    except InputError as error:
        raise InputError(
            f"out={out}: exists, and is not a checkpoint of kdbench train ({error}); pass another "
            "out="
        ) from None
    check_identity(card.training, ingredients.identity, ingredients.defaults, out)
    if file := damaged(card.weights, out):
        raise InputError(f"{file}: missing or damaged; delete {out} to train again")
    if not card.weights and not any(out.glob("*.safetensors")):
        raise InputError(f"{out}: its weights are missing; delete it to train again")
    content: dict[str, Any] = json.loads((out / CARD).read_text("utf-8"))
    return content
