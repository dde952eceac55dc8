"""Keys of `kdbench eval`, and those that it shares with `kdbench score`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from kdbench.config.judge import JudgeKeys
from kdbench.config.kinds import (
    ADVANCED,
    CACHE,
    FIVE,
    AtLeastOne,
    DryRunKeys,
    FolderName,
    Names,
    OptionMap,
    Settings,
    given_keys,
)
from kdbench.config.plugins import PluginKeys
from kdbench.config.protocol import ProtocolKeys
from kdbench.config.quantised import QuantisedKeys
from kdbench.config.served_teacher import ServedTeacherKeys, is_on_server
from kdbench.config.shards import ShardKeys
from kdbench.config.storage import FolderKeys, StorageKeys
from kdbench.config.track import TrackerKeys


class ModelKeys(Settings, group="Model"):
    """Which checkpoint is measured."""

    model: str = Field(
        description="Checkpoint folder, GGUF file, or model on the Hub: org/name or "
        "org/name@revision"
    )
    revision: str | None = Field(None, description="Branch, tag or commit of a model on the Hub")
    card: Path | None = Field(
        None,
        description="Card of a checkpoint that another tool trained (default: kdbench.yaml next "
        "to the weights)",
    )


class TeacherKeys(Settings, group="Teacher"):
    """What the checkpoint is compared with; every key but `teacher=` needs `teacher=`."""

    teacher: str | None = Field(
        None,
        description="Teacher to compare with: a checkpoint, cache:DIR for stored scores, or the "
        "address of a server, http://…; adds the fidelity metrics",
    )
    teacher_revision: str | None = Field(
        None, description="Branch, tag or commit of a teacher on the Hub"
    )
    teacher_name: FolderName | None = Field(
        None, description="Teacher's name in results and tables (default: its folder's name)"
    )
    undistilled: str | None = Field(
        None,
        description="Checkpoint of the student before distillation, which sets the floor of "
        "fidelity",
    )
    undistilled_name: FolderName | None = Field(
        None,
        description="Undistilled student's name in results and tables (default: its folder's name)",
    )
    teacher_cache: Path | None = Field(
        None,
        description="Folder in which to store the teacher's scores, for a later teacher=cache:DIR",
    )
    cache_top_k: int = Field(
        64,
        ge=50,
        description="Number of most likely tokens stored per position, or requested from the "
        "engine with teacher_scores=engine, or from the teacher's server",
    )
    teacher_scores: Literal["model", "engine"] = Field(
        "model",
        description="Source of the teacher's scores: the loaded model (exact), or the top "
        "cache_top_k tokens from the backend's engine (bounds)",
    )
    token_details: bool = Field(
        True,
        description="Whether to store the acceptance and the teacher's likeliest tokens at each "
        "token of the student's responses; does not affect the results",
    )


class DataKeys(Settings, group="Data"):
    """Which documents are used."""

    data: Path | None = Field(
        None, description="Folder of the data sets (default: $KDBENCH_DATA, else the Hub)"
    )
    limit: AtLeastOne | None = Field(
        None, description="Number of documents to use, from the start of each task"
    )
    run_code: Names = Field(
        (),
        description="Tasks that may run code that the model wrote, on this machine, by name; sets "
        "HF_ALLOW_CODE_EVAL=1",
    )


class TaskKeys(DataKeys, group="Data"):
    """Which documents of which tasks are used."""

    tasks: Names = Field(
        FIVE,
        description="Task names, lm-eval YAML files, lm_eval:NAME for lm-eval's own, or prompts: "
        "FILE.jsonl, .json, .csv, .tsv or .parquet, or hf:NAME:SPLIT of a data set",
    )


class MetricKeys(Settings, group="Metrics"):
    """What is measured."""

    metrics: Names = Field(
        (), description="Metrics to compute, by name, or all, or headline (default: headline)"
    )
    rouge_tokenizer: Literal["rouge", "unicode", "characters"] = Field(
        "rouge",
        description="What ROUGE-L compares: rouge (stemmed words of a-z and 0-9, as in papers), "
        "unicode (words of any script) or characters; the metric is then called rougeL[…]",
    )

    def metric_names(self) -> tuple[str, ...]:
        """The names in `metrics=`, with the ROUGE-L of `rouge_tokenizer=`."""
        if self.rouge_tokenizer == "rouge":
            return self.metrics
        given = self.metrics or ("headline",)
        variant = f"rougeL[{self.rouge_tokenizer}]"
        names = [variant if name == "rougeL" else name for name in given]
        return (*names, variant) if {"headline", "all"} & set(given) else tuple(names)


class LabelKeys(Settings, group="Output"):
    """What the measured model is called."""

    name: FolderName | None = Field(
        None, description="Model's name in results and tables (default: its folder's or file's)"
    )
    method: str | None = Field(
        None,
        description="Row label in tables, such as GKD (default: the run card's, else the name)",
    )
    setting: str | None = Field(
        None,
        description="Setting that the run belongs to; a table groups the rows of one setting "
        "(default: the run card's)",
    )


class ResultKeys(LabelKeys, group="Output"):
    """Where the results go, and what the measured model is called in them."""

    results: Path = Field(Path("results"), description="Folder of the results")


class DeviceKeys(Settings, group="Backend"):
    """On which hardware a model runs."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number format of weights and activations; auto is the checkpoint's"
    )
    device: str = Field("auto", description="Device: auto, cpu, cuda, cuda:1 or mps")


class HardwareKeys(DeviceKeys, group="Backend"):
    """The same, and how much at once."""

    batch_size: AtLeastOne | Literal["auto"] = Field(
        "auto", description="Number of sequences that decode at once"
    )


class BackendKeys(Settings, group="Backend"):
    """What generates the responses."""

    backend: str = Field("hf", description="Generation backend; see kdbench backends")
    backend_options: OptionMap = Field(
        {},
        description="Options of the backend, as in tensor_parallel_size=2,max_model_len=1024",
    )


class TrustKeys(Settings, group=ADVANCED):
    """Which files of a checkpoint may run code."""

    unsafe_pickle: bool = Field(
        False, description="Permission to read pickle weights (*.bin), which can run code"
    )
    trust_remote_code: bool = Field(
        False, description="Permission to run Python code that comes with the checkpoint"
    )


class AdvancedKeys(Settings, group=ADVANCED):
    """What few runs need."""

    shard: str | None = Field(
        None,
        description="Share of the documents to process, I/N: every N-th document, starting at I",
    )


class EvalSettings(
    ModelKeys,
    TeacherKeys,
    ServedTeacherKeys,
    TaskKeys,
    ProtocolKeys,
    MetricKeys,
    JudgeKeys,
    ResultKeys,
    TrackerKeys,
    DryRunKeys,
    HardwareKeys,
    BackendKeys,
    QuantisedKeys,
    TrustKeys,
    AdvancedKeys,
    ShardKeys,
    StorageKeys,
    PluginKeys,
    positional=("model",),
):
    """`kdbench eval model=…`: measure a checkpoint."""

    __places__: ClassVar[FolderKeys] = {"results": "write"}

    @model_validator(mode="after")
    def _teacher_keys_take_effect(self) -> "EvalSettings":
        given = set(given_keys(self)) & set(TeacherKeys.model_fields)
        if self.teacher is None:
            refuse(given, "needs teacher=")
        elif self.teacher.startswith(CACHE):
            if self.teacher_cache is not None:
                raise ValueError("teacher=cache:DIR reads a cache; teacher_cache= writes one")
            fixed = given - {"teacher", "undistilled", "undistilled_name", "token_details"}
            refuse(fixed, "has no effect with teacher=cache:DIR, whose scores are stored already")
        elif is_on_server(self.teacher):
            loaded = given & {"teacher_revision", "teacher_scores"}
            refuse(loaded, "has no effect on a teacher that a server holds")
        if self.undistilled is None:
            refuse(given & {"undistilled_name"}, "needs undistilled=")
        needs_top_k = self.teacher_scores == "engine" or is_on_server(self.teacher)
        if self.teacher_cache is None and not needs_top_k:
            refuse(given & {"cache_top_k"}, "needs teacher_cache= or teacher_scores=engine")
        return self

    @model_validator(mode="after")
    def _judge_sees_whole_tasks(self) -> "EvalSettings":
        if self.judge is not None and self.shard is not None:
            raise ValueError("judge= needs all shards; judge their run later with kdbench judge")
        if self.judge_against == "teacher" and self.teacher is None:
            raise ValueError("judge_against=teacher needs teacher=")
        return self

    @field_validator("shard")
    @classmethod
    def _shard(cls, value: str | None) -> str | None:
        if value is not None:
            index, _, count = value.partition("/")
            if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
                raise ValueError("must be I/N with 0 <= I < N, such as 0/4")
        return value

    @property
    def precision(self) -> str:
        """The number format of the weights, as it identifies a run: `dtype=`, and `4bit` or `8bit`.

        A run without `quantization=` is identified as before there was such a key.
        """
        return self.dtype if self.quantization is None else f"{self.dtype} {self.quantization}"

    def of_teacher(self, seeds: Sequence[int]) -> "EvalSettings":
        """How the teacher is measured.

        Args:
            seeds: Sampling seeds of the teacher's responses.
        """
        labels = {
            "revision": self.teacher_revision,
            "name": self.teacher_name,
            "quantization": self.teacher_quantization,
        }
        return self._for_model(self.teacher, {**labels, "seeds": tuple(seeds)})

    def of_undistilled(self) -> "EvalSettings | None":
        """How the undistilled student is measured; None if none was given."""
        if self.undistilled is None:
            return None
        kept = ("teacher", "teacher_name", "teacher_cache", "token_details")
        labels = {"name": self.undistilled_name}
        return self._for_model(self.undistilled, {k: getattr(self, k) for k in kept} | labels)

    def _for_model(self, model: str | None, changes: Mapping[str, Any]) -> "EvalSettings":
        """The same settings for a different model; keys that describe this model are reset."""
        sections = (ModelKeys, LabelKeys, TeacherKeys, QuantisedKeys)
        defaults = {k: v.default for section in sections for k, v in section.model_fields.items()}
        return self.model_copy(update={**defaults, "model": model, **changes})


def refuse(keys: set[str], reason: str) -> None:
    """Refuse keys that would be ignored.

    Raises:
        ValueError: There is at least one such key; the message names the first.
    """
    if keys:
        raise ValueError(f"{min(keys)}= {reason}")
