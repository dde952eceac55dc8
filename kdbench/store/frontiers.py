"""`results/frontier/frontier.json`: quality against entropy of every student.

The runs at each temperature are below the same folder, `results/frontier/<model>/<run>`. The file
is there before the first of them, since a search for runs leaves its folder out: they are no rows
of a table.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kdbench.store.places import FRONTIER
from kdbench.system.files import write_json
from kdbench.system.records import read_record

FRONTIERS = "frontier"
"""Folder of the runs and the file, in a folder of results."""

WAY_OUT = "restore it, or delete it and run kdbench frontier with a table or students= again"
"""What to do about a damaged file."""

FrontierVerdict = Literal["above", "on", "below"]
_Number = Annotated[int, Field(ge=0, le=10**15)]


class _FrontierPart(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False, strict=True
    )


class FrontierNumber(_FrontierPart):
    """A number with its 95 % interval; without one, its ends are None."""

    value: float
    low: float | None = None
    high: float | None = None


class FrontierPoint(_FrontierPart):
    """A point of a curve, the mean over trainings.

    Attributes:
        temperature: Sampling temperature.
        entropy: Entropy of the distributions sampled from, in nats per token.
        quality: The quality.
    """

    temperature: float
    entropy: FrontierNumber
    quality: FrontierNumber


class FrontierGain(FrontierNumber):
    """A mean gain over the baseline's curve, positive is better.

    Attributes:
        p: Two-sided p-value of no gain; None without an interval.
    """

    p: float | None = None


class FrontierTraining(_FrontierPart):
    """One checkpoint of a student.

    Attributes:
        name: Name of the model in results.
        seed: Training seed; None if it is unknown.
        sha256: Hash of the checkpoint; None for a model of unknown weights.
        runs: Folder of the run at each temperature, relative to that of the file.
    """

    name: str
    seed: int | None
    sha256: str | None
    runs: dict[str, str]


class FrontierStudent(_FrontierPart):
    """A student and its curve.

    Attributes:
        label: Its label.
        trainings: Its checkpoints, by training seed.
        points: Points of its curve, by temperature.
        gain: Mean gain over the baseline's curve; None for the baseline, or if there is none.
        adjusted_p: Its p-value by Holm's method over all students.
        verdict: Where the curve lies; None without a p-value.
        shared: Range of entropies on which the curves are compared.
        tasks: The gain on each task alone, without correction.
        reason: Why there is no gain, or no interval; empty if there is.
        notes: What to know about the curve.
    """

    label: str
    trainings: tuple[FrontierTraining, ...]
    points: tuple[FrontierPoint, ...]
    gain: FrontierGain | None = None
    adjusted_p: float | None = None
    verdict: FrontierVerdict | None = None
    shared: tuple[float, float] | None = None
    tasks: dict[str, FrontierGain | None] = {}
    reason: str = ""
    notes: tuple[str, ...] = ()


class FrontierRecord(_FrontierPart):
    """The content of the file.

    Attributes:
        complete: Whether all students were measured.
        title: What the students are.
        metric: Metric of quality; empty before there is a result, as are the fields below.
        unit: Its unit.
        direction: Its better direction.
        tasks: Tasks that quality and entropy are means over.
        prompts: Number of prompts of all tasks.
        protocol: Fields of the protocol, without temperature and name.
        limit: Number of documents used of each task; None for all.
        baseline: Label of the student with which the others are compared.
        students: The students, the baseline first.
        created: Time of the measurement.
        kdbench_version: Version of kdbench.
    """

    schema_: Literal[1] = Field(1, alias="schema")
    complete: bool
    title: str = ""
    metric: str = ""
    unit: str = ""
    direction: str = "higher"
    tasks: tuple[str, ...] = ()
    prompts: _Number = 0
    protocol: dict[str, Any] = {}
    limit: _Number | None = None
    baseline: str = ""
    students: tuple[FrontierStudent, ...] = ()
    created: str = ""
    kdbench_version: str = ""

    @property
    def temperatures(self) -> list[float]:
        """The temperatures of the curves."""
        return sorted({point.temperature for s in self.students for point in s.points})

    def student_of(self, hashes: set[str | None]) -> FrontierStudent | None:
        """The student that is a row's: the one with these checkpoints, and no others.

        Args:
            hashes: SHA-256 of the row's checkpoints.
        """
        if None in hashes:
            return None
        found = (s for s in self.students if {t.sha256 for t in s.trainings} == hashes)
        return next(found, None)


def temperature_key(temperature: float) -> str:
    """The name of a temperature in `runs`: `0.5`, `1.0`."""
    return str(float(temperature))


def frontier_file(results: Path) -> Path:
    """The file of a folder of results."""
    return results / FRONTIERS / FRONTIER


def read_frontier(results: Path) -> FrontierRecord | None:
    """Read the frontier of a folder of results; None if there is none, or it is not complete.

    Raises:
        InputError: The file is damaged.
    """
    file = frontier_file(results)
    if not file.is_file():
        return None
    record = read_record(file, FrontierRecord, WAY_OUT)
    return record if record.complete else None


def write_frontier(results: Path, record: FrontierRecord) -> None:
    """Replace the file."""
    write_json(frontier_file(results), record.model_dump(mode="json", by_alias=True))
