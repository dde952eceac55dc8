"""Keys of `kdbench eval` that quantise weights while they are loaded."""

from typing import Literal

from pydantic import Field, model_validator

from kdbench.config.kinds import CACHE, Settings

_BITSANDBYTES = "with bitsandbytes; part of the run's identity"


class QuantisedKeys(Settings, group="Backend"):
    """How weights are quantised while they are loaded."""

    quantization: Literal["8bit", "4bit"] | None = Field(
        None, description=f"Load the model's weights in 8 or 4 bits, {_BITSANDBYTES}"
    )
    teacher_quantization: Literal["8bit", "4bit"] | None = Field(
        None, description="Load the teacher's weights in 8 or 4 bits, with bitsandbytes"
    )

    @model_validator(mode="after")
    def _quantisation_takes_effect(self) -> "QuantisedKeys":
        teacher, backend = getattr(self, "teacher", None), getattr(self, "backend", "hf")
        for key in ("quantization", "teacher_quantization"):
            if getattr(self, key) is not None and backend != "hf":
                raise ValueError(
                    f"{key}= quantises with transformers: it needs backend=hf; an engine reads "
                    "weights that are quantised already"
                )
        if self.teacher_quantization is not None and teacher is None:
            raise ValueError("teacher_quantization= needs teacher=")
        if self.teacher_quantization is not None and str(teacher).startswith(CACHE):
            raise ValueError(
                "teacher_quantization= has no effect with teacher=cache:DIR, whose scores are "
                "stored already"
            )
        return self
