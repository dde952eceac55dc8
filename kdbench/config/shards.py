"""Keys of `kdbench eval` that split an evaluation over processes."""

from pydantic import Field, model_validator

from kdbench.config.kinds import AtLeastOne, Settings

MOST_SHARDS = 1024


class ShardKeys(Settings, group="Processes"):
    """How many processes share an evaluation."""

    shards: AtLeastOne | None = Field(
        None,
        le=MOST_SHARDS,
        description="Number of processes that share the documents; each takes a GPU where there "
        "are several, and its share of the cores",
    )

    @model_validator(mode="after")
    def _one_way_to_share(self) -> "ShardKeys":
        if self.shards is not None and getattr(self, "shard", None) is not None:
            raise ValueError("shards= starts all processes itself; leave shard= out")
        return self
