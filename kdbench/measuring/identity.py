"""What a new run record says about the run."""

from collections.abc import Mapping
from typing import Any

from kdbench.checkpoint import Checkpoint
from kdbench.config import EvalSettings
from kdbench.generate import Facts
from kdbench.generate.choice import BackendChoice
from kdbench.protocol import Protocol


def run_identity(
    settings: EvalSettings,
    name: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    chosen: BackendChoice,
    facts: Facts,
) -> dict[str, Any]:
    """What the record of a generated run begins with.

    Args:
        settings: of the call.
        name: the model's, in results.
        checkpoint: what answers.
        protocol: how.
        chosen: the backend.
        facts: what is known of it.
    """
    backend = {"name": settings.backend, "batch_size": None}
    own = {"engine": facts.engine, "options": chosen.recorded}
    return {
        "model": {
            "name": name,
            "revision": checkpoint.revision,
            "sha256": None if checkpoint.served else checkpoint.sha256,
            "parameters": facts.parameters,
            "dtype": facts.dtype,
        },
        "method": settings.method or checkpoint.card.get("method"),
        "setting": settings.setting or checkpoint.card.get("setting"),
        "training": training_cost(checkpoint.card),
        "protocol": protocol.as_dict(),
        "limit": settings.limit,
        "backend": {**backend, **{key: one for key, one in own.items() if one}},
    }


def training_cost(card: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run card says of cost; None for a checkpoint that kdbench did not train."""
    try:
        settings, phases = card["training"]["settings"], card["phases"]
        samples = card["steps"] * settings["batch_size"]
        seconds = sum(one["seconds"] for name, one in phases.items() if name != "validate")
        tokens = {name: int(one["tokens"]) for name, one in phases.items()}
    except (KeyError, TypeError):
        return None
    return {
        "method": settings["method"],
        "samples": samples,
        "seconds": seconds,
        "student_tokens": tokens.get("generate", 0),
        "teacher_tokens": tokens.get("teacher_responses", 0),
    }
