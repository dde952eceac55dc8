"""Keys of `kdbench eval` that split an evaluation over processes."""

from pydantic import Field, model_validator

from kdbench.config.kinds import OptionMap, Settings

MOST_SHARDS = 1024


class ShardKeys(Settings, group="Processes"):
    """How many processes share an evaluation, and where they run."""

    shards: int | None = Field(
        None,
        ge=1,
        le=MOST_SHARDS,
        description="Number of processes that share the documents; each takes a GPU where there "
        "are several, and its share of the cores",
    )
    executor: str = Field("local", description="Where they run: local (this machine), ray or slurm")
    executor_options: OptionMap = Field(
        {}, description="Options of the executor, as in partition=gpu,time=240"
    )

    @model_validator(mode="after")
    def _one_way_to_share(self) -> "ShardKeys":
        if self.shards is None:
            for key in {"executor", "executor_options"} & self.model_fields_set:
                raise ValueError(f"{key}= is for the processes of shards=; pass shards=N too")
        elif getattr(self, "shard", None) is not None:
            raise ValueError("shards= starts all processes itself; leave shard= out")
        return self
