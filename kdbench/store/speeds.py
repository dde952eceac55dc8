"""`results/<model>/speed-….json`: how fast a model is under one load, on one machine."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from kdbench.errors import InputError, nearest
from kdbench.store.places import speed_files_in
from kdbench.system.files import write_json
from kdbench.system.records import read_record

_Count = Annotated[int, Field(ge=1, le=10**15)]
_Positive = Annotated[float, Field(ge=0, le=1e15)]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False, strict=True
    )


class Spread(_Part):
    """A number over all repeats, and those of the lowest and highest repeat."""

    value: _Positive
    low: _Positive
    high: _Positive


class SpeedLoad(_Part):
    """What the model had to do.

    Attributes:
        prompt_tokens: Length of each prompt.
        new_tokens: Length of each response.
        concurrency: Number of requests at a time.
        requests: Number of timed requests of each repeat.
        repeats: Number of repeats.
    """

    prompt_tokens: _Count
    new_tokens: _Count
    concurrency: _Count
    requests: _Count
    repeats: _Count


class SpeedModel(_Part):
    """The model that was timed; what a server does not tell is None."""

    name: str = Field(min_length=1)
    sha256: str | None
    revision: str | None
    parameters: Annotated[int, Field(ge=0)] | None
    dtype: str | None
    disk_bytes: Annotated[int, Field(ge=0)] | None

    @property
    def key(self) -> "ModelKey":
        """Name and hash."""
        return self.name, self.sha256


class SpeedRecord(_Part):
    """The content of a speed file.

    Attributes:
        model: The model.
        backend: `name`, and `engine` and `options` if there are any.
        hardware: Name of the device; `server` for a model on a server.
        load: What the model had to do.
        new_tokens: Mean number of tokens of the responses.
        tokens_per_second: Generated tokens per second, all requests together.
        latency_p50: Median of the seconds from a request to its last token.
        latency_p95: Its 95th percentile.
        created: Time of the measurement.
        environment: Versions and machine.
        git: Commit of the working folder.
        kdbench_version: Version of kdbench.
    """

    schema_: Literal[1] = Field(1, alias="schema")
    model: SpeedModel
    backend: dict[str, Any]
    hardware: str
    load: SpeedLoad
    new_tokens: _Positive
    tokens_per_second: Spread
    latency_p50: Spread
    latency_p95: Spread
    created: str
    environment: dict[str, Any] | None
    git: dict[str, Any] | None
    kdbench_version: str

    @property
    def condition(self) -> "Condition":
        """What must be equal for two speeds to compare."""
        load = self.load
        backend = str(self.backend.get("name", ""))
        return Condition(
            load.concurrency, load.prompt_tokens, load.new_tokens, backend, self.hardware
        )

    @property
    def ends_early(self) -> bool:
        """Whether the model ended responses itself, as on a server, so that they are shorter."""
        return self.new_tokens < self.load.new_tokens

    def cost_per_million(self, price: float) -> float | None:
        """The price of the machine while it generates a million tokens; None if it makes none.

        Args:
            price: Price of the machine for an hour.
        """
        rate = self.tokens_per_second.value
        return price / 3600 / rate * 1e6 if rate else None


class Condition(NamedTuple):
    """What must be equal for two speeds to compare."""

    concurrency: int
    prompt_tokens: int
    new_tokens: int
    backend: str
    hardware: str

    def __str__(self) -> str:
        requests = "1 request" if self.concurrency == 1 else f"{self.concurrency} requests"
        return (
            f"{requests} at a time, {self.prompt_tokens} prompt tokens and {self.new_tokens} new "
            f"tokens each, backend {self.backend}, {self.hardware}"
        )


def read_speed(path: Path) -> SpeedRecord:
    """Read a speed file.

    Raises:
        InputError: It cannot be read, or is damaged.
    """
    return read_record(path, SpeedRecord)


def write_speed(path: Path, record: SpeedRecord) -> None:
    """Replace a speed file."""
    write_json(path, record.model_dump(mode="json", by_alias=True))


ModelKey = tuple[str, str | None]
"""Name and hash of a model; a server does not tell the hash."""


def stored_speeds(results: Path, models: Collection[ModelKey]) -> list[SpeedRecord]:
    """The speeds of models in a results folder, the oldest first.

    Args:
        results: Folder of the results, which may not exist.
        models: Models that count.

    Raises:
        InputError: A file is damaged.
    """
    records = [read_speed(path) for path in speed_files_in(results)]
    shown = [record for record in records if record.model.key in models]
    return sorted(shown, key=lambda record: record.created)


class Speeds:
    """The speeds under one condition, by model.

    Args:
        records: Speeds, the oldest first.
        wanted: Fields of the condition, as in `{"concurrency": 8}`; others are chosen so that most
            models have a speed, and then the highest concurrency.

    Attributes:
        condition: The condition; None if there is no speed at all.
        others: Conditions that were not chosen.

    Raises:
        InputError: A field is unknown, or no speed has these values.
    """

    def __init__(self, records: Sequence[SpeedRecord], wanted: Mapping[str, Any]):
        for key in wanted:
            if key not in Condition._fields:
                raise InputError(f"load={key}=…: {nearest(key, Condition._fields)}")
        models: dict[Condition, set[ModelKey]] = {}
        for record in records:
            models.setdefault(record.condition, set()).add(record.model.key)
        fitting = [condition for condition in models if _fits(condition, wanted)]
        if wanted and not fitting:
            text = ",".join(f"{key}={value}" for key, value in wanted.items())
            known = "; ".join(map(str, sorted(models))) or "none; run kdbench speed"
            raise InputError(f"load={text}: no such speed has been measured; measured: {known}")
        self.condition = max(fitting, key=lambda c: (len(models[c]), c), default=None)
        self.others = sorted(set(models) - {self.condition})
        self._by_model = {
            record.model.key: record for record in records if record.condition == self.condition
        }

    @property
    def records(self) -> list[SpeedRecord]:
        """The speeds under the condition, one a model."""
        return list(self._by_model.values())

    def of(self, name: str, sha256: str | None) -> SpeedRecord | None:
        """The speed of a model; None if it was not measured under the condition."""
        return self._by_model.get((name, sha256))


def _fits(condition: Condition, wanted: Mapping[str, Any]) -> bool:
    return all(str(getattr(condition, key)) == str(value) for key, value in wanted.items())
