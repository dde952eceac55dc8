"""Keys of `kdbench doctor`, and the command line that holds them next to another verb's."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field
from pydantic.fields import FieldInfo

from kdbench.config import (
    EvalSettings,
    Names,
    Settings,
    TrainSettings,
    as_words,
    fields_by_key,
    parse,
    read_words,
)
from kdbench.config.words import key_of
from kdbench.doctor.check import PlannedVerb, checks
from kdbench.doctor.eval_patient import EvalPatient
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient
from kdbench.errors import InputError

_OF_TRAIN = {"method", "student", "recipe"}


class DoctorSettings(Settings, group="Doctor"):
    """`kdbench doctor eval model=…` or `kdbench doctor train method=…`: its own keys."""

    weights: bool = Field(
        True, description="Whether to load the models and make the checks that need them"
    )
    skip: Names = Field((), description="Checks to leave out, by name, as in skip=overlap,memory")
    show_row: bool = Field(
        False, description="Show the loss of one training row token by token, with its denominator"
    )
    show_memory: bool = Field(False, description="Show the estimate of memory and disk space")
    json_file: Path | None = Field(
        None, alias="json", description="JSON file of all findings; - is standard output"
    )


def parse_doctor(arguments: Sequence[str]) -> tuple[Patient, DoctorSettings]:
    """Find the models and settings that a command line names.

    Args:
        arguments: Words of `read_doctor`.

    Raises:
        InputError: The verb is not clear, one of the words is wrong, or a checkpoint is missing.
    """
    of, settings, others = read_doctor(arguments)
    if of == "eval":
        return EvalPatient(parse(EvalSettings, others)), settings
    from kdbench.distillation.recipe import parse_recipe

    return TrainPatient(parse_recipe(others)), settings


def read_doctor(arguments: Sequence[str]) -> tuple[PlannedVerb, DoctorSettings, list[str]]:
    """Read the doctor's own keys.

    Args:
        arguments: `eval` or `train`, which may be left out where a key tells it; then the words of
            that verb and of the doctor, in any order.

    Returns:
        The verb, the doctor's settings, and the words that are the verb's.

    Raises:
        InputError: The verb is not clear, or a word of the doctor is wrong.
    """
    of, rest = _verb(arguments)
    fields = {**_fields_of(of), **fields_by_key(DoctorSettings)}
    words = read_words(rest, fields, _kind_of(of).__positional__)
    own_keys = fields_by_key(DoctorSettings)
    settings = parse(DoctorSettings, as_words({k: v for k, v in words.items() if k in own_keys}))
    for name in settings.skip:
        checks.get(name)
    if settings.show_row and of == "eval":
        raise InputError("show_row= shows the loss of a training row: use kdbench doctor train")
    return of, settings, as_words({k: v for k, v in words.items() if k not in own_keys})


def _verb(arguments: Sequence[str]) -> tuple[PlannedVerb, Sequence[str]]:
    """The verb whose keys are given, and the words after it."""
    if arguments and arguments[0] in ("eval", "train"):
        return "eval" if arguments[0] == "eval" else "train", arguments[1:]
    keys = set(map(key_of, arguments))
    if "model" in keys:
        return "eval", arguments
    if keys & _OF_TRAIN:
        return "train", arguments
    raise InputError(
        "say what is planned: kdbench doctor eval model=… or kdbench doctor train method=…"
    )


def _kind_of(of: PlannedVerb) -> type[Settings]:
    return EvalSettings if of == "eval" else TrainSettings


def _fields_of(of: PlannedVerb) -> Mapping[str, FieldInfo]:
    """The keys of a verb; of all methods' for a training."""
    if of == "eval":
        return fields_by_key(EvalSettings)
    from kdbench.distillation.recipe import training_fields

    return training_fields()
