"""Keys of `kdbench eval`, and those that it shares with `kdbench score`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from kdbench.config.kinds import (
    ADVANCED,
    CACHE,
    FIVE,
    AtLeastOne,
    FolderName,
    Names,
    OptionMap,
    Seeds,
    Settings,
    given_keys,
)

_LARGEST_TEMPLATE = 1_000_000


class ModelKeys(Settings, group="Model"):
    """Which checkpoint is measured."""

    model: str = Field(description="Checkpoint folder, GGUF file, or model name on the Hub")
    revision: str | None = Field(None, description="Branch, tag or commit of a model on the Hub")


class TeacherKeys(Settings, group="Teacher"):
    """What the checkpoint is compared with; every key but `teacher=` needs `teacher=`."""

    teacher: str | None = Field(
        None,
        description="Teacher checkpoint to compare with, or cache:DIR for stored scores; "
        "adds the fidelity metrics",
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
        "engine with teacher_scores=engine",
    )
    teacher_scores: Literal["model", "engine"] = Field(
        "model",
        description="Source of the teacher's scores: the loaded model (exact), or the top "
        "cache_top_k tokens from the backend's engine (bounds)",
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
        description="Task names, paths of lm-eval YAML files, or lm_eval:NAME for one of lm-eval's "
        "own tasks, groups or tags",
    )


class ProtocolKeys(Settings, group="Protocol"):
    """The protocol, and the fields of it that can be overridden."""

    protocol: str = Field(
        "minillm", description="Named protocol: minillm, greedy or chat; see kdbench protocols"
    )
    max_prompt_tokens: AtLeastOne | None = Field(
        None,
        description="Prompt length limit, in tokens; longer prompts are cut, none for no cut "
        "(default: the protocol's, as for the keys below)",
    )
    max_new_tokens: AtLeastOne | None = Field(None, description="Response length limit, in tokens")
    temperature: float | None = Field(
        None, ge=0, le=1e6, description="Sampling temperature; 0 is greedy decoding"
    )
    top_p: float | None = Field(
        None, gt=0, le=1, description="Probability mass of nucleus sampling; 1 turns it off"
    )
    top_k: int | None = Field(
        None, ge=0, description="Number of most likely tokens to sample from; 0 turns it off"
    )
    no_repeat_ngram_size: int | None = Field(
        None,
        ge=0,
        description="Length of n-grams that may not repeat, in tokens; 0 turns the rule off",
    )
    add_bos: bool | None = Field(None, description="Whether the BOS token precedes the prompt")
    seeds: Seeds | None = Field(None, description="Sampling seeds, as in 10,20,30")
    chat_template: str | None = Field(
        None,
        description="Chat template for protocol=chat: a file, or the name of one of the "
        "tokenizer's (default: the tokenizer's default)",
    )

    @field_validator("chat_template")
    @classmethod
    def _template_text(cls, value: str | None) -> str | None:
        """Return the text of a file, or the name of a template."""
        if value is None or "\n" in value or "{" in value or not Path(value).is_file():
            return value
        with Path(value).open("rb") as file:
            content = file.read(_LARGEST_TEMPLATE + 1)
        if len(content) > _LARGEST_TEMPLATE:
            raise ValueError(f"{value}: larger than 1 MB, so no chat template")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError(f"{value}: not UTF-8 text") from None
        if "{" not in text:
            raise ValueError(f"{value}: has no {{{{…}}}} or {{%…%}}, so no chat template")
        return text

    def protocol_overrides(self) -> dict[str, Any]:
        """The protocol's fields that were given, by name."""
        keys = (set(ProtocolKeys.model_fields) - {"protocol"}) & self.model_fields_set
        given = {key: getattr(self, key) for key in keys}
        # None leaves a field to the protocol, except where it is a value: no cut.
        return {k: v for k, v in given.items() if v is not None or k == "max_prompt_tokens"}


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


class BackendKeys(Settings, group="Backend"):
    """What generates the responses, and on which hardware."""

    backend: str = Field("hf", description="Generation backend; see kdbench backends")
    backend_options: OptionMap = Field(
        {},
        description="Options of the backend, as in tensor_parallel_size=2,max_model_len=1024",
    )
    batch_size: AtLeastOne | Literal["auto"] = Field(
        "auto", description="Number of sequences that decode at once"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number format of weights and activations; auto is the checkpoint's"
    )
    device: str = Field("auto", description="Device: auto, cpu, cuda, cuda:1 or mps")


class AdvancedKeys(Settings, group=ADVANCED):
    """What few runs need."""

    shard: str | None = Field(
        None,
        description="Share of the documents to process, I/N: every N-th document, starting at I",
    )
    unsafe_pickle: bool = Field(
        False, description="Permission to read pickle weights (*.bin), which can run code"
    )
    trust_remote_code: bool = Field(
        False, description="Permission to run Python code that comes with the checkpoint"
    )


class EvalSettings(
    ModelKeys,
    TeacherKeys,
    TaskKeys,
    ProtocolKeys,
    MetricKeys,
    ResultKeys,
    BackendKeys,
    AdvancedKeys,
):
    """`kdbench eval model=…`: measure a checkpoint."""

    @model_validator(mode="after")
    def _teacher_keys_take_effect(self) -> "EvalSettings":
        given = set(given_keys(self)) & set(TeacherKeys.model_fields)
        if self.teacher is None:
            refuse(given, "needs teacher=")
        elif self.teacher.startswith(CACHE):
            if self.teacher_cache is not None:
                raise ValueError("teacher=cache:DIR reads a cache; teacher_cache= writes one")
            fixed = given - {"teacher", "undistilled", "undistilled_name"}
            refuse(fixed, "has no effect with teacher=cache:DIR, whose scores are stored already")
        if self.undistilled is None:
            refuse(given & {"undistilled_name"}, "needs undistilled=")
        if self.teacher_cache is None and self.teacher_scores != "engine":
            refuse(given & {"cache_top_k"}, "needs teacher_cache= or teacher_scores=engine")
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
        """How the teacher is measured.

        Args:
            seeds: Sampling seeds of the teacher's responses.
        """
        labels = {"revision": self.teacher_revision, "name": self.teacher_name}
        return self._for_model(self.teacher, {**labels, "seeds": tuple(seeds)})

    def of_undistilled(self) -> "EvalSettings | None":
        """How the undistilled student is measured; None if none was given."""
        if self.undistilled is None:
            return None
        kept = ("teacher", "teacher_name", "teacher_cache")
        labels = {"name": self.undistilled_name}
        return self._for_model(self.undistilled, {k: getattr(self, k) for k in kept} | labels)

    def _for_model(self, model: str | None, changes: Mapping[str, Any]) -> "EvalSettings":
        """The same settings for a different model; keys that describe this model are reset."""
        sections = (ModelKeys, LabelKeys, TeacherKeys)
        defaults = {k: v.default for section in sections for k, v in section.model_fields.items()}
        return self.model_copy(update={**defaults, "model": model, **changes})


def refuse(keys: set[str], reason: str) -> None:
    """Refuse keys that would be ignored.

    Raises:
        ValueError: There is at least one such key; the message names the first.
    """
    if keys:
        raise ValueError(f"{min(keys)}= {reason}")
