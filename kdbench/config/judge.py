"""Keys of a judge, a model that grades or compares responses; `kdbench eval` takes them too."""

import json
import re
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from kdbench.config.addresses import server_address, variable_name
from kdbench.config.kinds import AtLeastOne, OptionMap, Seeds, Settings, given_keys
from kdbench.system.secrets import has_key, is_secret

OPENAI = "openai:"
"""The prefix of `judge=` that names a model on a server with OpenAI's API."""
REFERENCE, TEACHER = "reference", "teacher"
"""Values of `judge_against=` that name no run."""

_SERVER_KEYS = ("judge_url", "judge_key_env", "judge_options", "judge_concurrency", "judge_timeout")


class JudgeKeys(Settings, group="Judge"):
    """Who judges the responses, and how; every key but `judge=` needs `judge=`."""

    judge: str | None = Field(
        None,
        description="Model that judges the responses: openai:MODEL on a server with OpenAI's API, "
        "or a checkpoint",
    )
    judge_url: str | None = Field(
        None,
        description="Address of the judge's server, as in http://localhost:8000/v1 (default: "
        "OpenAI's)",
    )
    judge_key_env: str | None = Field(
        None,
        description="Name of the environment variable that holds the server's key (default: "
        "OPENAI_API_KEY for OpenAI's own address, no key elsewhere)",
    )
    judge_against: str | None = Field(
        None,
        description="What the responses are compared with, in both orders: reference, teacher, or "
        "another run, by folder or by model in results= (default: they are graded instead)",
    )
    judge_prompt: Path | None = Field(
        None, description="Jinja template of the judge's prompt (default: a bundled one)"
    )
    judge_seeds: Seeds | None = Field(
        None, description="Seeds of the samples to judge (default: all of the run)"
    )
    judge_limit: AtLeastOne | None = Field(
        None, description="Number of documents to judge, from the start of each task (default: all)"
    )
    judge_max_tokens: AtLeastOne = Field(
        1024, description="Length limit of the judge's reply, in tokens"
    )
    judge_options: OptionMap = Field(
        {},
        description="Further fields of a request to the server, as in reasoning_effort=low; none "
        "leaves a field out, as in temperature=none",
    )
    judge_concurrency: int = Field(
        8, ge=1, le=256, description="Number of requests that are sent to the server at once"
    )
    judge_timeout: float = Field(
        120, gt=0, le=86_400, description="Seconds to wait for the server's reply"
    )

    @field_validator("judge")
    @classmethod
    def _judge(cls, value: str | None) -> str | None:
        if value is not None and re.match(r"https?:", value):
            raise ValueError(f"is an address; give judge={OPENAI}MODEL judge_url=ADDRESS")
        if value is not None and not value.removeprefix(OPENAI).strip():
            raise ValueError(f"must be {OPENAI}MODEL, or a checkpoint")
        return value

    @field_validator("judge_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return value if value is None else server_address(value, "judge_key_env")

    @field_validator("judge_key_env")
    @classmethod
    def _name_of_variable(cls, value: str | None) -> str | None:
        return value if value is None else variable_name(value)

    @field_validator("judge_seeds")
    @classmethod
    def _different_seeds(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or len(set(value)) < len(value)):
            raise ValueError("must be unique and non-empty")
        return value

    @field_validator("judge_options")
    @classmethod
    def _no_secret(cls, value: dict[str, object]) -> dict[str, object]:
        for name, given in value.items():
            if is_secret(name) or has_key(str(given)):
                raise ValueError(
                    f"{name} may be a secret; a key belongs into an environment variable that "
                    "judge_key_env= names"
                )
            if name in ("model", "messages", "stream", "n"):
                raise ValueError(f"{name} is set by kdbench")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("must hold values that JSON has") from None
        return value

    @model_validator(mode="after")
    def _judge_keys_take_effect(self) -> "JudgeKeys":
        given = set(given_keys(self)) & set(JudgeKeys.model_fields) - {"judge"}
        if self.judge is None and given:
            raise ValueError(f"{min(given)}= needs judge=")
        useless = given & set(_SERVER_KEYS)
        if useless and not (self.judge or "").startswith(OPENAI):
            raise ValueError(f"{min(useless)}= needs a judge on a server, judge={OPENAI}MODEL")
        return self
