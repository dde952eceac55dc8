"""The card of a checkpoint that another tool trained: `kdbench.yaml`, written by hand or a script.

`kdbench train` writes a run card, `kdbench.json`, that holds everything about a training. For other
checkpoints this short card says what a table's row needs. Whatever it leaves out stays unknown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from kdbench.checkpoint import Checkpoint
from kdbench.config import OptionMap, Settings, TrainFormat, fields_by_key, read_yaml
from kdbench.config.protocol import ProtocolKeys
from kdbench.errors import InputError, first_fault, nearest

CARD_FILE = "kdbench.yaml"
_RUN_CARD = "kdbench.json"
_LARGEST = 1e12  # of a number that a result stores


def _text(value: object) -> object:
    """Refuse what YAML takes for something else, such as the version 1.10."""
    if not isinstance(value, str):
        raise ValueError(f"must be text; quote it, as in '{value}'")
    if not value.strip() or not value.isprintable():
        raise ValueError("must be a text on one line")
    return value.strip()


def _named(value: object) -> object:
    """A bare string names a trainer."""
    return {"name": value} if isinstance(value, str) else _keys(value)


def _keys(value: object) -> object:
    """Refuse what has no keys; a heading without any below it is an empty one."""
    if value is not None and not isinstance(value, Mapping | Settings):
        raise ValueError("must hold key: value lines")
    return value or {}


Label = Annotated[str, BeforeValidator(_text)]
Amount = Annotated[float, Field(ge=0, le=_LARGEST)]
WholeNumber = Annotated[int, Field(ge=0, le=_LARGEST)]
Variables = Annotated[OptionMap, AfterValidator(ProtocolKeys._storable_variables)]
AtLeast1 = Annotated[int, Field(ge=1, le=_LARGEST)]


class TrainingCost(Settings):
    """What the training took; each number may be missing."""

    samples: WholeNumber | None = Field(
        None,
        description="examples in the batches of all optimiser steps (default: steps × batch_size)",
    )
    seconds: Amount | None = Field(
        None, description="wall-clock time without validation (default: from gpu_hours and gpus)"
    )
    gpu_hours: Amount | None = Field(None, description="hours summed over all GPUs")
    gpus: AtLeast1 | None = Field(None, description="GPUs that worked at the same time")
    student_tokens: WholeNumber | None = Field(
        None, description="tokens that the student generated in training; 0 off-policy"
    )
    teacher_tokens: WholeNumber | None = Field(
        None, description="tokens that the teacher generated for training"
    )


class Trainer(Settings):
    """Which program trained."""

    name: Label = Field(description="its name, such as trl")
    version: Label | None = Field(None, description="its version, quoted: '1.16.0'")


class GivenCard(Settings):
    """The keys of `kdbench.yaml`."""

    method: Label = Field(description="method; sft is what relative_cost compares with")
    label: Label | None = Field(None, description="row label in tables (default: the method)")
    setting: Label | None = Field(None, description="setting that the row belongs to")
    teacher: Label | None = Field(None, description="teacher, as a name or path")
    data: Label | None = Field(None, description="training data")
    seed: WholeNumber | None = Field(None, description="seed of the training")
    steps: AtLeast1 | None = Field(None, description="optimiser steps")
    batch_size: AtLeast1 | None = Field(
        None, description="examples per optimiser step, over all devices"
    )
    cost: Annotated[TrainingCost, BeforeValidator(_keys)] = Field(
        TrainingCost(), description="what the training took"
    )
    trainer: Annotated[Trainer, BeforeValidator(_named)] | None = Field(
        None, description="the program that trained, with name and version"
    )
    format: TrainFormat | None = Field(
        None, description="form of the training prompts: alpaca, chat or text"
    )
    add_bos: bool = Field(False, description="whether the BOS token preceded the prompts")
    system: str | None = Field(None, description="system turn of the training prompts")
    chat_template_kwargs: Variables = Field(
        {}, description="variables of the chat template in training"
    )

    @property
    def row_label(self) -> str:
        """The label of the row."""
        return self.label or self.method

    @property
    def samples(self) -> int | None:
        """The number of samples, if it is known."""
        if self.cost.samples is None and self.steps and self.batch_size:
            return self.steps * self.batch_size
        return self.cost.samples

    @property
    def seconds(self) -> float | None:
        """The wall-clock time, if it is known."""
        cost = self.cost
        if cost.seconds is None and cost.gpu_hours is not None and cost.gpus:
            return cost.gpu_hours * 3600 / cost.gpus
        return cost.seconds

    def training(self) -> dict[str, Any]:
        """What `run.json` records of the training; unknown numbers are null."""
        return {
            "method": self.method.lower(),
            "samples": self.samples,
            "seconds": self.seconds,
            "student_tokens": self.cost.student_tokens,
            "teacher_tokens": self.cost.teacher_tokens,
            "seed": self.seed,
            "card": self.model_dump(mode="json", exclude_defaults=True),
        }

    def as_run_card(self) -> dict[str, Any]:
        """The card with the keys of a run card, as far as they are known."""
        keys = ("add_bos", "system", "chat_template_kwargs")
        settings = {"train_format": self.format, **{key: getattr(self, key) for key in keys}}
        return {
            "method": self.row_label,
            "setting": self.setting,
            **({"training": {"settings": settings}} if self.format else {}),
            "given": self.training(),
        }


def with_given_card(checkpoint: Checkpoint, card: Path | None, key: str = "card") -> Checkpoint:
    """Add the card of a checkpoint that another tool trained.

    Args:
        checkpoint: The checkpoint.
        card: File of the card; None looks for `kdbench.yaml` next to the weights.
        key: Setting that named the file, for messages.

    Raises:
        InputError: The card is missing or has a fault, or `kdbench train` made the checkpoint.
    """
    file = card or card_beside(checkpoint)
    if file is None:
        return checkpoint
    if checkpoint.served is None and (checkpoint.path / _RUN_CARD).is_file():
        way_out = f"leave out {key}=" if card else "delete the one that is wrong"
        raise InputError(
            f"{file}: {checkpoint.path / _RUN_CARD} already records how this checkpoint was made; "
            f"{way_out}"
        )
    return replace(checkpoint, card=read_given_card(file, key).as_run_card())


def card_beside(checkpoint: Checkpoint) -> Path | None:
    """The card next to a checkpoint's weights, if there is one."""
    file = checkpoint.path / CARD_FILE
    return file if checkpoint.served is None and file.is_file() else None


def read_given_card(file: Path, key: str = "card") -> GivenCard:
    """Read and check a card.

    Args:
        file: The file.
        key: Setting that named it, for messages.

    Raises:
        InputError: It cannot be read, or a key or value in it is wrong.
    """
    values = read_yaml(file, key)
    _check_keys(values, GivenCard, f"{file}: ")
    for name, kind in (("cost", TrainingCost), ("trainer", Trainer)):
        if isinstance(inner := values.get(name), Mapping):
            _check_keys(inner, kind, f"{file}: {name}.")
    try:
        return GivenCard.model_validate(values)
    except ValidationError as error:
        place, reason = first_fault(error)
        raise InputError(f"{file}: {place or 'the file'}: {reason}") from None


def _check_keys(given: Iterable[object], kind: type[Settings], start: str) -> None:
    known = fields_by_key(kind)
    for key in given:
        if key not in known:
            raise InputError(f"{start}{key}: unknown key; {nearest(str(key), known)}")
