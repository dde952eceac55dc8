"""The data set that a training learned from, if `kdbench build` made it."""

from typing import Any

from pydantic import BaseModel, Field

from kdbench.config import TrainSettings, is_file_of_rows
from kdbench.system.files import sha256_of_file
from kdbench.system.records import read_record

_CARD = "card.json"


class _DataCard(BaseModel):
    """What a run card says of the card of a data set."""

    schema_version: int = Field(alias="schema")
    builder: str
    set: str
    rows_out: int


def built_set(settings: TrainSettings) -> dict[str, Any] | None:
    """Which built data set a training reads; None for any other set.

    Args:
        settings: The settings of the training.

    Raises:
        InputError: The data set's card is damaged.
    """
    if settings.data is None or is_file_of_rows(settings.train_set):
        return None
    file = settings.data / _CARD
    if not file.is_file():
        return None
    card = read_record(file, _DataCard)
    if card.set != settings.train_set:
        return None
    return {
        "name": card.set,
        "builder": card.builder,
        "rows": card.rows_out,
        "sha256": sha256_of_file(file),
    }
