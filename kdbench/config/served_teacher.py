"""Keys of a teacher on a server, which `kdbench train` and `kdbench eval` share."""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from kdbench.config.addresses import server_address, variable_name
from kdbench.config.kinds import Settings, given_keys
from kdbench.system.secrets import without_logins

_TAGGED = re.compile(r"([\w.-]+)=(.+)")
_SERVED = re.compile(r"(?:[\w.-]+=)?https?://")


def is_on_server(teacher: str | None) -> bool:
    """Whether `teacher=` names servers: an address, or several as in `math=http://…`."""
    return teacher is not None and _SERVED.match(teacher) is not None


def by_tag(value: str) -> dict[str, str]:
    """Split `math=X,code=Y` into a mapping; a value without tags has the tag ''.

    Raises:
        ValueError: A part has no tag, or one occurs twice.
    """
    if _TAGGED.fullmatch(value) is None or value.startswith(("http:", "https:")):
        return {"": value}
    found: dict[str, str] = {}
    for part in value.split(","):
        match = _TAGGED.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"'{part}' has no tag; several are given as in math=X,code=Y")
        if match[1] in found:
            raise ValueError(f"has the tag '{match[1]}' twice")
        found[match[1]] = match[2]
    return found


def addresses_of(teacher: str) -> dict[str, str]:
    """The addresses that `teacher=` names, by tag; one address has the tag ''.

    Raises:
        ValueError: One of them is no address.
    """
    return {tag: server_address(url, "teacher_key_env") for tag, url in by_tag(teacher).items()}


class ServedTeacherKeys(Settings, group="Teacher on a server"):
    """How a teacher on a server is asked; every key needs `teacher=http://…`."""

    teacher_api: Literal["vllm", "sglang", "openai"] | None = Field(
        None,
        description="API of the teacher's server: vllm (prompt_logprobs), sglang (/generate) or "
        "openai (echo and logprobs) (default: what its list of models shows)",
    )
    teacher_model: str | None = Field(
        None,
        description="Name of the teacher on its server; by tag, as in math=NAME,code=NAME, for "
        "several (default: the server's only model)",
    )
    teacher_field: str | None = Field(
        None,
        description="Column of the training rows that names the teacher of each, with several "
        "teachers as in teacher=math=http://…,code=http://… (default: domain)",
    )
    teacher_tokenizer: str | None = Field(
        None,
        description="Folder or model on the Hub with the teacher's tokenizer (default: the "
        "student's, which the server must share)",
    )
    teacher_check: str | None = Field(
        None,
        description="Checkpoint whose log-probabilities the server's must equal at the start, up "
        "to rounding",
    )
    teacher_concurrency: int = Field(
        8, ge=1, le=256, description="Number of requests to the teacher's server at once"
    )
    teacher_timeout: float = Field(
        120, gt=0, le=86_400, description="Seconds to wait for the teacher's server"
    )
    teacher_budget: int | None = Field(
        None,
        ge=1,
        description="Number of tokens that this command may send to the teacher's server (default: "
        "no limit)",
    )
    teacher_key_env: str | None = Field(
        None,
        description="Name of the environment variable that holds the key of the teacher's server",
    )

    @field_validator("teacher_key_env")
    @classmethod
    def _name_of_teachers_variable(cls, value: str | None) -> str | None:
        return value if value is None else variable_name(value)

    @model_validator(mode="after")
    def _server_keys_take_effect(self) -> "ServedTeacherKeys":
        teacher: str | None = getattr(self, "teacher", None)
        given = set(given_keys(self)) & set(ServedTeacherKeys.model_fields)
        if not is_on_server(teacher):
            if given:
                raise ValueError(f"{min(given)}= needs a teacher on a server, teacher=http://…")
            return self
        try:
            tags = addresses_of(str(teacher)).keys()
        except ValueError as error:
            raise ValueError(f"teacher={without_logins(str(teacher))}: {error}") from None
        if self.teacher_field is not None and "" in tags:
            raise ValueError(
                "teacher_field= needs several teachers, teacher=math=http://…,code=http://…"
            )
        names = self.model_names()
        if unknown := names.keys() - tags:
            raise ValueError(
                f"teacher_model= names '{min(unknown)}', and teacher= has "
                f"{', '.join(map(repr, tags))}"
                if "" not in unknown
                else "teacher_model= needs a tag for each of several teachers, as in math=NAME"
            )
        return self

    def model_names(self) -> Mapping[str, str]:
        """The names of `teacher_model=` by tag."""
        if self.teacher_model is None:
            return {}
        tagged = "" not in by_tag(str(getattr(self, "teacher", None)))
        return by_tag(self.teacher_model) if tagged else {"": self.teacher_model}
