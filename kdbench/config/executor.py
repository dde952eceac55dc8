"""Keys of `kdbench fill` that say where the trainings and evaluations of a table run."""

from typing import Annotated

from pydantic import Field

from kdbench.config.kinds import AtLeastOne, OptionMap, Settings

Retries = Annotated[int, Field(ge=0, le=1000)]


class ExecutorKeys(Settings, group="Where it runs"):
    """Where nodes run, and how many at a time."""

    workers: AtLeastOne | None = Field(
        None,
        description="Most trainings and evaluations that run at a time (default: one for each GPU "
        "of this machine, or one; on a cluster, as many as it takes)",
    )
    executor: str = Field("local", description="Where they run: local (this machine), ray or slurm")
    executor_options: OptionMap = Field(
        {}, description="Options of the executor, as in partition=gpu,time=240"
    )
    retries: Retries = Field(
        2,
        description="How often one is started again after its process or machine has died; being "
        "preempted does not count",
    )
