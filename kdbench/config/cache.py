"""Keys of `kdbench cache`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from kdbench.config.kinds import ADVANCED, CACHE, DryRunKeys, Names, Settings, given_keys
from kdbench.config.measure import refuse
from kdbench.config.plugins import PluginKeys
from kdbench.config.train_prompts import PromptKeys

_SPLITS = ("train", "valid")
_LEAST_ERROR = 1e-4  # float32 itself is off by 4e-6 near -100


class CachedTeacherKeys(Settings, group="Teacher"):
    """Whose scores are kept, and where."""

    out: Path = Field(
        description="Folder of the cache, for a later teacher=cache:DIR; without teacher=, what it "
        "holds is shown"
    )
    teacher: str | None = Field(
        None,
        description="Teacher's checkpoint folder or model on the Hub (org/name or "
        "org/name@revision)",
    )
    student: str | None = Field(
        None,
        description="Checkpoint whose tokenizer and end token encode the texts (default: the "
        "teacher)",
    )
    teacher_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Number format of the teacher's weights; auto is bfloat16 on a GPU, else "
        "float32",
    )


class KeptScoresKeys(Settings, group="Scores"):
    """What is kept of each position."""

    teacher_top_k: int = Field(
        64, ge=1, description="Number of most likely tokens kept per position"
    )
    max_error: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Largest error of a stored log-probability, in nats, such as 0.001, for "
        "smaller files; 0 keeps every bit, as eval needs it",
    )
    splits: Names = Field(
        ("train",), description="Sets whose responses are scored: train, valid or train,valid"
    )

    @field_validator("splits")
    @classmethod
    def _known_splits(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) < len(value) or not set(value) <= set(_SPLITS):
            raise ValueError("must be train, valid or train,valid")
        return value

    @field_validator("max_error")
    @classmethod
    def _worth_it(cls, value: float) -> float:
        if 0 < value < _LEAST_ERROR:
            raise ValueError(f"must be 0 or at least {_LEAST_ERROR:g}")
        return value


class CachedDataKeys(Settings, group="Data"):
    """Which texts are scored."""

    data: Path | None = Field(
        None, description="Folder of the data sets (default: $KDBENCH_DATA, else the Hub)"
    )
    train_set: str = Field(
        "dolly",
        description="Data set to score: its train.jsonl and valid.jsonl in data=, or the path of a "
        ".jsonl file",
    )
    valid_set: str | None = Field(
        None,
        description="Validation file if train_set= is a file (default: valid.jsonl next to it)",
    )
    limit: int | None = Field(
        None, ge=1, description="Number of training examples to score, from the start of the set"
    )
    validation_limit: int | None = Field(
        None, ge=1, description="Number of validation examples to score (default: all)"
    )


class PassKeys(Settings, group="Hardware"):
    """How the teacher goes through the texts."""

    device: str = Field("auto", description="Device: auto, cpu, cuda or mps")
    micro_batch_size: int | None = Field(
        None, ge=1, description="Number of texts per forward pass (default: 8)"
    )
    shard: str | None = Field(
        None,
        description="Share of the files that this process makes, I/N: every N-th, starting at I "
        "(default: processes on one disk share the work by themselves)",
    )
    shard_mib: int = Field(
        64, ge=1, le=4096, description="MiB of scores in a file, before compression"
    )

    @field_validator("shard")
    @classmethod
    def _share(cls, value: str | None) -> str | None:
        if value is not None:
            index, _, count = value.partition("/")
            if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
                raise ValueError("must be I/N with 0 <= I < N, such as 0/4")
        return value


class CacheCheckKeys(Settings, group="Output"):
    """Whether stored scores are checked."""

    check: bool = Field(False, description="Read each file of the cache and check its checksums")


class CacheTrustKeys(Settings, group=ADVANCED):
    """What few caches need."""

    unsafe_pickle: bool = Field(
        False, description="Permission to read pickle weights (*.bin), which can run code"
    )
    trust_remote_code: bool = Field(
        False, description="Permission to run Python code that comes with the checkpoints"
    )


class CacheSettings(
    CachedTeacherKeys,
    KeptScoresKeys,
    CachedDataKeys,
    PromptKeys,
    PassKeys,
    CacheCheckKeys,
    DryRunKeys,
    CacheTrustKeys,
    PluginKeys,
    positional=("out",),
):
    """`kdbench cache out=… teacher=…`: keep a teacher's scores, or show what is kept."""

    @model_validator(mode="after")
    def _keys_take_effect(self) -> "CacheSettings":
        if self.teacher is None:
            shown = {"out", "check", "plugins"}
            refuse(set(given_keys(self)) - shown, "needs teacher=")
        elif self.teacher.startswith(CACHE):
            raise ValueError("teacher= is a cache already; name a model")
        elif self.check:
            raise ValueError("check=true reads a cache; leave out teacher=")
        return self

    @property
    def share(self) -> tuple[int, int] | None:
        """The values of `shard=`."""
        if self.shard is None:
            return None
        index, _, count = self.shard.partition("/")
        return int(index), int(count)
