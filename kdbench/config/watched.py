"""The key of `kdbench train` for models whose distance from the student is logged."""

from pathlib import Path

from pydantic import Field, field_validator

from kdbench.config.kinds import OptionMap, Settings

OWN_TEACHER = "teacher"
"""The value of `watch=` that names the teacher of the run itself."""


class WatchKeys(Settings, group="Validation"):
    """Which models are watched; they teach nothing."""

    watch: OptionMap = Field(
        {},
        description="Models whose divergence from the student is logged at each validation, as in "
        "oracle=path/to/oracle,teacher=teacher, where the last word is the run's own teacher",
    )

    @field_validator("watch")
    @classmethod
    def _names_checkpoints(cls, value: dict[str, object]) -> dict[str, object]:
        for name, model in value.items():
            if not isinstance(model, str) or not model:
                raise ValueError(f"{name}: must be a checkpoint, or teacher")
            if not str(name).isidentifier():
                raise ValueError(f"'{name}': must consist of letters, digits and _")
        return value

    @property
    def watched_paths(self) -> dict[str, Path]:
        """The checkpoints of watched models, by name, without the run's own teacher."""
        return {name: Path(model) for name, model in self.watch.items() if model != OWN_TEACHER}
