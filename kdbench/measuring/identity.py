"""What a new `run.json` records about the run."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kdbench.checkpoint import Checkpoint, describe_weights, disk_bytes
from kdbench.config import EvalSettings
from kdbench.config.command import command_words
from kdbench.errors import InputError
from kdbench.generate import Facts
from kdbench.generate.choice import BackendChoice
from kdbench.protocol import Protocol
from kdbench.store.run_schema import TRAINING
from kdbench.store.schema import check_fields
from kdbench.system.names import folder_name


def checked_name(name: str) -> str:
    """The name of a checkpoint, if it can name a folder of results.

    Raises:
        InputError: It cannot.
    """
    try:
        return folder_name(name)
    except InputError as error:
        raise InputError(f"the checkpoint's name '{name}' {error}; give name=NAME") from None


def run_identity(
    settings: EvalSettings,
    name: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    chosen: BackendChoice,
    facts: Facts,
) -> dict[str, Any]:
    """Return what `run.json` records when the first sample of a run is generated.

    Args:
        settings: Settings of the call.
        name: Name of the model in results.
        checkpoint: Checkpoint that generates.
        protocol: Protocol of the samples.
        chosen: Backend of the settings.
        facts: Facts about the loaded backend.
    """
    backend = {"name": settings.backend, "batch_size": None}
    details = {"engine": facts.engine, "options": chosen.recorded}
    return {
        "model": {
            "name": name,
            "revision": checkpoint.revision,
            "sha256": None if checkpoint.served else checkpoint.sha256,
            "parameters": facts.parameters,
            "dtype": facts.dtype,
            "disk_bytes": disk_bytes(checkpoint),
            **_quantised(settings, checkpoint, facts),
        },
        "method": settings.method or checkpoint.card.get("method"),
        "setting": settings.setting or checkpoint.card.get("setting"),
        "training": training_of(checkpoint.card),
        "protocol": protocol.as_dict(),
        "limit": settings.limit,
        "commands": commands_of(settings, checkpoint.card),
        "backend": {**backend, **{key: value for key, value in details.items() if value}},
    }


def _quantised(
    settings: EvalSettings, checkpoint: Checkpoint, facts: Facts
) -> dict[str, str | int]:
    """How the weights are quantised, and their size in memory if loading did it; else empty."""
    words = describe_weights(checkpoint, settings.quantization)
    known = {"quantization": words, "weight_bytes": facts.weight_bytes}
    return {name: value for name, value in known.items() if value is not None}


def commands_of(settings: EvalSettings, card: Mapping[str, Any]) -> list[list[str]]:
    """Return the words of the commands that make this measurement, its training first if known.

    Args:
        settings: Settings of the call.
        card: Card of the checkpoint.
    """
    trained = card.get("command")
    known = isinstance(trained, list) and all(isinstance(word, str) for word in trained)
    return [
        *([trained] if known and trained else []),
        command_words(
            "eval", settings, without=("results", "shard", "shards", "executor", "executor_options")
        ),
    ]


def labels_of(settings: EvalSettings, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a finished run that may have changed since it began; None keeps one.

    A card that another tool's checkpoint got later, or that was corrected, counts as it is now.

    Args:
        settings: Settings of the call.
        card: Card of the checkpoint.
    """
    labels = {"method": settings.method, "setting": settings.setting}
    if "given" not in card:
        return labels
    given = {key: label or card.get(key) for key, label in labels.items()}
    return {**given, "training": training_of(card)}


def training_of(card: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is recorded of the training, by whichever tool; None if nothing is known.

    Args:
        card: Card of the checkpoint: a run card, or that of `given_card.with_given_card`.
    """
    given = card.get("given")
    if given is None:
        return training_cost(card)
    try:
        check_fields(given, TRAINING)
    except ValueError:
        return None
    training: dict[str, Any] = given
    return training


def training_cost(card: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the training cost in a run card; None if the card does not have its numbers.

    That is so for a checkpoint that kdbench did not train, and for a card that was edited.

    Args:
        card: Content of `kdbench.json`.
    """
    try:
        settings, phases = card["training"]["settings"], card["phases"]
        tokens = {name: _count(phase["tokens"]) for name, phase in phases.items()}
        cost = {
            "method": settings["method"],
            "samples": _count(card["steps"]) * _count(settings["batch_size"]),
            "seconds": sum(p["seconds"] for name, p in phases.items() if name != "validate"),
            "student_tokens": tokens.get("generate", 0),
            "teacher_tokens": tokens.get("teacher_responses", 0),
            "seed": settings.get("seed"),
            "recipe": _recipe(card["training"]),
            **({"log": card["log_means"]} if "log_means" in card else {}),
        }
        check_fields(cost, TRAINING)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return cost


def _recipe(training: Mapping[str, Any]) -> str:
    """Return what trainings that differ by their seed alone have in common."""
    parts = {
        name: {key: value for key, value in part.items() if key != "seed"}
        if isinstance(part, dict)
        else part
        for name, part in training.items()
    }
    content = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _count(value: object) -> int:
    """A whole number of a run card.

    Raises:
        TypeError: It is not one.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value
