"""Keys of the verbs that log to experiment trackers: eval, fill and train."""

from pydantic import Field

from kdbench.config.kinds import Names, Settings


class TrackerKeys(Settings, group="Output"):
    """Which experiment trackers get a copy of the numbers."""

    report_to: Names = Field(
        (), description="Experiment trackers to log to: wandb, mlflow, tensorboard, trackio"
    )
    report_group: str | None = Field(
        None,
        description="Group of the runs in the trackers (default: none; fill: the table's title)",
    )
