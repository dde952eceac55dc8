"""Keys of `kdbench train` for who generates the student's responses during training."""

from pydantic import Field, field_validator, model_validator

from kdbench.config.kinds import OptionMap, Settings
from kdbench.system.secrets import has_key, without_logins

OF_AN_ENGINE = (
    "rollout_backend_options",
    "rollout_server",
    "rollout_lag",
    "rollout_weight_clip",
)
"""Keys that have no effect with `rollout_backend=hf`."""


class RolloutKeys(Settings, group="Rollouts"):
    """Which engine generates the student's responses during training."""

    rollout_backend: str = Field(
        "hf",
        description="What generates the student's responses in training: hf (the model in "
        "training itself) or vllm (an engine that is given its weights)",
    )
    rollout_backend_options: OptionMap = Field(
        {},
        description="Options of that engine, as in gpu_memory_utilization=0.3,enforce_eager=true",
    )
    rollout_server: str | None = Field(
        None,
        description="Server that runs the engine, such as http://127.0.0.1:8400 (default: the "
        "engine runs beside the training)",
    )
    rollout_lag: int = Field(
        0,
        ge=0,
        le=64,
        description="Number of steps by which responses are generated ahead, with the weights of "
        "that many steps before; 0 waits for them",
    )
    rollout_weight_clip: float = Field(
        2.0,
        gt=0,
        description="Largest importance weight of a token that the engine drew, in methods whose "
        "gradient is an expectation over the student's own samples",
    )

    @field_validator("rollout_server")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if value is not None and (without_logins(value) != value or has_key(value)):
            raise ValueError(
                "must have no login or key; put a password into the environment variable "
                "KDBENCH_ROLLOUT_TOKEN, here and where the server runs"
            )
        return value if value is None else value.rstrip("/")

    @model_validator(mode="after")
    def _needs_an_engine(self) -> "RolloutKeys":
        if self.rollout_backend != "hf":
            return self
        for key in OF_AN_ENGINE:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key}= is for an engine: pass rollout_backend=vllm with it")
        return self
