"""Keys of `kdbench kld`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from kdbench.config.kinds import CACHE, AtLeastOne, DryRunKeys, Settings
from kdbench.config.measure import DeviceKeys, TrustKeys
from kdbench.config.plugins import PluginKeys
from kdbench.config.served_teacher import is_on_server
from kdbench.system.secrets import without_logins


class PairKeys(Settings, group="Models"):
    """The two models, such as a quantised one and the one that it was made from."""

    model: str = Field(
        description="Checkpoint folder, GGUF file, or model on the Hub: org/name or "
        "org/name@revision"
    )
    teacher: str = Field(description="Checkpoint to compare with, such as the full-precision model")
    revision: str | None = Field(None, description="Branch, tag or commit of a model on the Hub")
    teacher_revision: str | None = Field(
        None, description="Branch, tag or commit of a teacher on the Hub"
    )
    quantization: Literal["8bit", "4bit"] | None = Field(
        None, description="Load the model's weights in 8 or 4 bits, with bitsandbytes"
    )
    teacher_quantization: Literal["8bit", "4bit"] | None = Field(
        None, description="Load the teacher's weights in 8 or 4 bits, with bitsandbytes"
    )

    @model_validator(mode="after")
    def _both_run_here(self) -> "PairKeys":
        if self.teacher.startswith(CACHE) or is_on_server(self.teacher):
            raise ValueError(
                f"teacher={without_logins(self.teacher)}: both models run here, over every token; "
                "give a checkpoint, or use kdbench eval, which takes this teacher"
            )
        return self


class PlainTextKeys(Settings, group="Data"):
    """On which text."""

    text: Path = Field(description="File of plain text in UTF-8")
    context: int = Field(
        512,
        ge=4,
        description="Number of tokens in a chunk; the second half of each chunk is compared",
    )
    chunks: AtLeastOne | None = Field(
        None, description="Number of chunks to use, from the start of the text (default: all)"
    )


class KldOutputKeys(Settings, group="Output"):
    """Where the numbers go."""

    out: Path | None = Field(
        None,
        description="JSONL file to store each chunk's values in, from which an interrupted command "
        "resumes (default: nothing is stored)",
    )


class KldSettings(
    PairKeys,
    PlainTextKeys,
    KldOutputKeys,
    DryRunKeys,
    DeviceKeys,
    TrustKeys,
    PluginKeys,
    positional=("model",),
):
    """`kdbench kld model=…`: how far a model is from another one over plain text."""
