"""What a few steps of each training of a table took, alone on a machine.

    <results of the table>/timings.json    the timings, by label of the row

The file is small, and is committed with the results: from both an analysis redraws its answer
without a model. It holds times, which differ from call to call; a stored timing is not made again.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from kdbench.system.files import SCHEMA, write_json
from kdbench.system.records import read_record

TIMINGS = "timings.json"
_WAY_OUT = "restore it, or delete it to time all rows again"


class TimingPart(BaseModel):
    """A part of a timing."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Cost(TimingPart):
    """What some work took.

    Attributes:
        seconds: Seconds on the wall.
        processor_seconds: Seconds of this process on the processor, all threads together.
        tokens: Tokens that it generated or read.
    """

    seconds: float = Field(ge=0)
    processor_seconds: float = Field(ge=0)
    tokens: int = Field(ge=0)


class StepTiming(TimingPart):
    """What an optimiser step took, from the end of the step before to its own.

    Attributes:
        whole: The step, with the response tokens that it learned from.
        generating: The part of it in which responses were generated, and scored for the record that
            some methods keep, with their tokens.
        student_tokens: Tokens that went through the student, prompts and padding among them; None
            where that is not known.
        teacher_tokens: The same of the teacher.
        other_tokens: The same of all other models, such as a classmate.
    """

    whole: Cost
    generating: Cost
    student_tokens: int | None = Field(ge=0)
    teacher_tokens: int | None = Field(ge=0)
    other_tokens: int | None = Field(ge=0)


class StageTiming(TimingPart):
    """Steps of a stage of a training.

    Attributes:
        share: The stage's share of the steps of the whole training.
        warm_up: The step before the timed ones, which is longer; where only it generated, the pace
            of generation is taken from it.
        steps: The timed steps.
    """

    share: float = Field(gt=0, le=1)
    warm_up: StepTiming
    steps: tuple[StepTiming, ...] = Field(min_length=1)


class TrainingTiming(TimingPart):
    """What a few steps of a training took.

    Attributes:
        stages: The timed steps, by stage.
        once: What was done once before the first step, by phase: the teacher's responses to the
            prompts of the timed steps, or what a method prepares from the whole training set.
        start_up_seconds: Seconds until the first step, without `once`: loading, and the validation
            of the untrained student.
        batch_size: Examples in a step.
        device: Kind of the device, such as `cpu`.
        machine: Its name, with its threads.
        precision: Number format of the training.
        student_parameters: Parameters of the student.
        teacher_parameters: Parameters of the teacher; None if none is in memory.
        others: Largest share of the machine's processor time that other processes took while a
            stage was timed; None where that is not known.
        load: Load average of the machine before; None where that is not known.
    """

    stages: tuple[StageTiming, ...] = Field(min_length=1)
    once: dict[str, Cost] = {}
    start_up_seconds: float = Field(ge=0)
    batch_size: int = Field(ge=1)
    device: str
    machine: str
    precision: str
    student_parameters: int = Field(ge=1)
    teacher_parameters: int | None = Field(None, ge=1)
    others: float | None = Field(None, ge=0, le=1)
    load: float | None = Field(None, ge=0)

    @property
    def timed_steps(self) -> int:
        """Timed steps of each stage, of the one with the fewest."""
        return min(len(stage.steps) for stage in self.stages)


class RowTiming(TimingPart):
    """The timing of a table's row.

    Attributes:
        keys: Hash of the keys that decide what the training does.
        date: Day on which it was timed.
        kdbench_version: Version that timed it.
        asked: Steps that were to be timed in each stage, of which a short training has fewer.
        training: The timing.
    """

    keys: str
    asked: int = Field(ge=1)
    date: str
    kdbench_version: str
    training: TrainingTiming


class _Timings(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA)
    rows: dict[str, RowTiming]


def read_timings(results: Path) -> dict[str, RowTiming]:
    """The stored timings of a table by label of the row; empty if there are none.

    Args:
        results: Folder of the table's results.

    Raises:
        InputError: The file is damaged.
    """
    file = results / TIMINGS
    return read_record(file, _Timings, _WAY_OUT).rows if file.exists() else {}


def write_timings(results: Path, rows: Mapping[str, RowTiming]) -> None:
    """Replace the stored timings of a table."""
    found = {label: rows[label].model_dump(mode="json") for label in sorted(rows)}
    write_json(results / TIMINGS, {"schema": SCHEMA, "rows": found})
