"""Keys of `kdbench eval` and `kdbench score`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from kdbench.config.kinds import CACHE, FIVE, AtLeastOne, Names, Options, Seeds, Settings


class ProtocolSettings(Settings):
    """The protocol and the fields of it that can be overridden."""

    protocol: str = Field("minillm", description="named protocol: minillm, greedy or chat")
    max_prompt_tokens: int | None = Field(
        None, ge=1, description="longer prompts are cut here, tokens (else the protocol's)"
    )
    max_new_tokens: int | None = Field(
        None, ge=1, description="response limit, tokens (else the protocol's, and so on)"
    )
    temperature: float | None = Field(
        None, ge=0, le=1e6, description="sampling temperature, 0 is greedy"
    )
    top_p: float | None = Field(None, gt=0, le=1, description="nucleus mass, 1 is off")
    top_k: int | None = Field(None, ge=0, description="number of tokens kept, 0 is off")
    no_repeat_ngram_size: int | None = Field(None, ge=0, description="n-gram rule, 0 is off")
    add_bos: bool | None = Field(None, description="put the BOS token before the prompt")
    seeds: Seeds | None = Field(None, description="sampling seeds, as in 10,20,30")

    def protocol_overrides(self) -> dict[str, Any]:
        """The protocol's fields that were given, by name."""
        keys = (set(ProtocolSettings.model_fields) - {"protocol"}) & self.model_fields_set
        given = {key: getattr(self, key) for key in keys}
        # None leaves a field to the protocol, but for the one of which it is a value: no cut.
        return {k: v for k, v in given.items() if v is not None or k == "max_prompt_tokens"}


class MeasureSettings(ProtocolSettings):
    """On what to measure, what, and where the results go."""

    data: Path | None = Field(None, description="folder of the data sets (else KDBENCH_DATA, hub)")
    limit: int | None = Field(None, ge=1, description="first so many documents of each task")
    metrics: Names = Field((), description="metrics by name, all, or headline (the default)")
    results: Path = Field(Path("results"), description="folder of the results")
    name: str | None = Field(None, description="the model's name in results and tables")
    method: str | None = Field(None, description="the row's label in the table, such as GKD")
    setting: str | None = Field(None, description="the table's group of rows that compare")

    @field_validator("name")
    @classmethod
    def _folder_name(cls, value: str | None) -> str | None:
        if value is not None and (not value.strip(" .") or {"/", "\\"} & set(value)):
            raise ValueError("must be the name of a folder, without / and \\")
        return value


class EvalSettings(MeasureSettings):
    """`kdbench eval model=…`: measure a checkpoint."""

    model: str = Field(description="checkpoint folder, GGUF file, or a name on the hub")
    teacher: str | None = Field(
        None, description="checkpoint to compare with, or cache:DIR; adds the metrics of fidelity"
    )
    teacher_revision: str | None = Field(None, description="of the teacher on the hub")
    teacher_name: str | None = Field(None, description="the teacher's name in results and tables")
    undistilled_name: str | None = Field(None, description="that of the undistilled student")
    undistilled: str | None = Field(
        None, description="checkpoint of the student before distillation: the floor of fidelity"
    )
    teacher_cache: Path | None = Field(
        None, description="folder that keeps the teacher's scores, for teacher=cache:DIR"
    )
    cache_top_k: int = Field(64, ge=50, description="tokens of each position kept there")
    teacher_scores: Literal["model", "engine"] = Field(
        "model", description="engine: the backend tells its cache_top_k likeliest tokens; bounds"
    )
    tasks: Names = Field(FIVE, description="tasks by name, or paths of lm-eval YAML files")
    backend: str = Field("hf", description="what generates the text; see kdbench backends")
    backend_options: Options = Field(
        {}, description="the backend's own, as in tensor_parallel_size=2,max_model_len=1024"
    )
    batch_size: AtLeastOne | Literal["auto"] = Field(
        "auto", description="sequences that decode at once"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of weights and activations"
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1, mps")
    shard: str | None = Field(None, description="I/N: only every N-th document, from I on")
    revision: str | None = Field(None, description="of the checkpoint on the hub")
    unsafe_pickle: bool = Field(False, description="read pickle weights (*.bin): may run code")
    trust_remote_code: bool = Field(False, description="run the checkpoint's own Python code")

    @model_validator(mode="after")
    def _beside_a_teacher(self) -> "EvalSettings":
        if self.teacher is None:
            for key in ("undistilled", "teacher_cache", "teacher_revision", "teacher_name"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}= needs teacher=")
        elif self.teacher.startswith(CACHE) and self.teacher_cache is not None:
            raise ValueError("teacher=cache:DIR reads a cache; teacher_cache= writes one")
        return self

    @field_validator("shard")
    @classmethod
    def _shard(cls, value: str | None) -> str | None:
        if value is not None:
            index, _, count = value.partition("/")
            if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
                raise ValueError("must be I/N with 0 <= I < N, such as 0/4")
        return value

    def of_teacher(self, seeds: Sequence[int]) -> "EvalSettings":
        """How its teacher is measured.

        Args:
            seeds: the teacher's.
        """
        fields = {
            "seeds": tuple(seeds),
            "revision": self.teacher_revision,
            "name": self.teacher_name,
        }
        return self._of(self.teacher, fields)

    def of_undistilled(self) -> "EvalSettings | None":
        """How the floor is measured; None where there is none."""
        kept = {
            "teacher": self.teacher,
            "teacher_name": self.teacher_name,
            "teacher_cache": self.teacher_cache,
            "name": self.undistilled_name,
        }
        return self._of(self.undistilled, kept) if self.undistilled else None

    def _of(self, model: str | None, fields: Mapping[str, Any]) -> "EvalSettings":
        of_teacher = ("teacher", "teacher_name", "teacher_revision", "teacher_cache")
        own = (*of_teacher, "undistilled", "undistilled_name", "name", "method", "setting")
        return self.model_copy(
            update={**dict.fromkeys((*own, "revision")), "model": model, **fields}
        )


class ScoreSettings(MeasureSettings):
    """`kdbench score samples=FILE task=…`: measure texts made elsewhere, or a stored run again."""

    protocol: str = Field("external", description="the protocol that the texts were made with")
    samples: Path | None = Field(None, description="JSONL of {id, output, seed, …}")
    task: str | None = Field(None, description="task by name, or path of a lm-eval YAML file")
    run: Path | None = Field(None, description="folder of a stored run to score again")
