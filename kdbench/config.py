"""`key=value` arguments become typed settings.

The order of precedence: the command line, then `config=FILE.yaml`, then the defaults. An unknown
key or a value of the wrong type is an `InputError` that names it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from kdbench.errors import InputError
from kdbench.registry import nearest


def _split(value: object) -> object:
    """`10,20,30` on the command line is a list."""
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    return [value] if isinstance(value, int | Path) else value


def _settings(value: object) -> object:
    """`a=1,b=true` on the command line is a mapping; its values are YAML's."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part]
    if any(not key or not equals for key, equals, _ in pairs):
        raise ValueError("must be NAME=VALUE,NAME=VALUE (or a mapping in config=FILE)")
    return {key: yaml.safe_load(word) for key, _, word in pairs}


Options = Annotated[dict[str, Any], BeforeValidator(_settings)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
AtLeastOne = Annotated[int, Field(ge=1)]
Seeds = Annotated[tuple[int, ...], BeforeValidator(_split)]

CACHE = "cache:"  # what teacher= begins with where its scores are on disk
FIVE = ("dolly", "self_instruct", "vicuna", "super_natural", "unnatural")


class Settings(BaseModel):
    """What one verb takes. Every field is a key of the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


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
    metrics: Names = Field((), description="metrics by name; none given means all")
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


class TableSettings(Settings):
    """`kdbench table`: the comparison table from results and published numbers."""

    results: Path = Field(Path("results"), description="folder of the results")
    baselines: Path | None = Field(None, description="published.yaml (default: the bundled one)")
    published: Literal["verified", "all", "none"] = Field(
        "verified", description="reported rows to show; all adds the unverified ones"
    )
    settings: Names = Field(
        (), description="only these groups of rows, by id; measured means all measured ones"
    )
    rows: Names = Field(
        (), description="only these measured rows, by label, in this order (default: by name)"
    )
    tasks: Names = Field(FIVE, description="columns")
    metric: str = Field("rougeL", description="what the cells show")
    columns: Names = Field(
        (), description="TASK, AVG, METRIC (mean over tasks=) or TASK:METRIC; none means tasks, AVG"
    )
    error: Literal["ci", "sd", "both", "none"] = Field(
        "ci", description="95 % interval over prompts, standard deviation over seeds"
    )
    format: Literal["terminal", "md", "csv", "tex", "html"] | None = Field(
        None, description="of the output (default: by the ending of out=, else terminal)"
    )
    out: Path | None = Field(None, description="file to write; Markdown goes between its markers")
    block: str = Field(
        "table", description="of a Markdown file: between kdbench:begin BLOCK and end"
    )
    check: bool = Field(False, description="write nothing; exit 1 with a diff when out= is stale")


class ReportSettings(Settings):
    """`kdbench report`: pictures of how good students are beside how faithful."""

    results: Path = Field(Path("results"), description="folder of the results")
    out: Path = Field(Path("report"), description="folder of the report")
    baseline: str | None = Field(
        None, description="model or method that learned without a teacher; gains are against it"
    )
    tasks: Names = Field((), description="tasks by name; none given means all that are found")
    score: str = Field("rougeL", description="how good: the metric of gains")
    fidelity: str = Field("acceptance@student", description="how faithful: the metric of changes")
    level: bool = Field(False, description="draw gains over fidelity itself, not over its change")


class TrainSettings(Settings):
    """`kdbench train method=… student=…`: what every method takes; each has keys of its own."""

    method: str = Field(description="how to train; see kdbench methods")
    recipe: str | None = Field(None, description="bundled recipe, such as toy/gkd, or a YAML file")
    student: str = Field(
        description="checkpoint, prune:MODEL,layers=N (drops a middle block) or random:CONFIG"
    )
    teacher: str | None = Field(None, description="checkpoint folder, or a name on the hub")
    data: Path | None = Field(None, description="folder of the data sets (else KDBENCH_DATA, hub)")
    train_set: str = Field("dolly", description="the set in it: SET/train.jsonl, SET/valid.jsonl")
    out: Path | None = Field(None, description="folder of the checkpoint (default: runs/METHOD)")
    label: str | None = Field(None, description="the row's label in tables (default: the method's)")
    setting: str | None = Field(None, description="the table's group of rows that compare")
    seed: int = Field(10, ge=0, description="of data order, sampling, dropout and random weights")
    limit: int | None = Field(None, ge=1, description="first so many rows of the training set")

    epochs: float | None = Field(None, gt=0, description="over the training set (default: 1)")
    steps: int | None = Field(None, ge=1, description="optimiser steps, instead of epochs")
    batch_size: int = Field(32, ge=1, description="rows of an optimiser step, over all processes")
    micro_batch_size: int | None = Field(
        None, ge=1, description="rows of one forward pass (default: 8); no part of the result"
    )
    learning_rate: float = Field(1e-4, gt=0, description="of AdamW, at its highest")
    min_learning_rate: float = Field(1e-7, ge=0, description="where the cosine ends")
    lr_schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="of the learning rate, after the warm-up"
    )
    warmup_steps: int = Field(0, ge=0, description="of the learning rate")
    weight_decay: float = Field(1e-2, ge=0, description="of AdamW; not on biases and norms")
    beta1: float = Field(0.9, ge=0, lt=1, description="of AdamW")
    beta2: float = Field(0.999, ge=0, lt=1, description="of AdamW")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to it")

    max_prompt_tokens: int = Field(256, ge=1, description="limit of a prompt, tokens")
    long_prompts: Literal["drop", "cut"] = Field("drop", description="rows with longer prompts")
    max_length: int = Field(512, ge=2, description="prompt and response, tokens")
    max_new_tokens: int = Field(256, ge=1, description="limit of a sampled response, tokens")
    sampling_temperature: float = Field(1.0, gt=0, description="of responses in training")
    sampling_top_p: float = Field(1.0, gt=0, le=1, description="of responses in training")
    teacher_responses: Path | None = Field(
        None, description="folder of kept teacher responses (default: teacher-responses beside out)"
    )
    generation_batch_size: AtLeastOne | Literal["auto"] = Field(
        "auto", description="sequences that decode at once"
    )

    pretraining: Path | None = Field(None, description='JSONL of {"text"} against forgetting')
    pretraining_weight: float = Field(1.0, gt=0, description="of the loss on those texts")

    validate_every: int | None = Field(None, ge=1, description="steps (default: an epoch)")
    validation_limit: int | None = Field(None, ge=1, description="rows for the validation loss")
    validation_samples: int | None = Field(
        None, ge=1, description="rows answered for validation ROUGE-L (default: all of those)"
    )
    select: Literal["rougeL", "loss", "last"] = Field(
        "rougeL", description="which validation's student is kept in the end"
    )
    save_every: int | None = Field(
        None, ge=1, description="steps between states to go on from (default: 100, and validations)"
    )
    log_every: int = Field(10, ge=1, description="steps between lines of the log")
    report_to: Names = Field((), description="loggers of transformers: tensorboard, wandb, …")

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of forward and backward; auto is bfloat16 on a GPU"
    )
    teacher_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of the teacher's weights; auto is the precision"
    )
    device: str = Field("auto", description="cpu, cuda, mps")
    gradient_checkpointing: bool = Field(False, description="less memory, more time")
    dropout: bool = Field(True, description="keep the student's own dropout; false turns it off")
    chunk_tokens: int | None = Field(
        None, ge=1, description="positions of one chunk of the loss; changes no result"
    )
    lora_rank: int = Field(0, ge=0, description="train a LoRA adapter of this rank; 0 is off")
    lora_alpha: int = Field(64, ge=1, description="scale of the adapter, divided by the rank")
    lora_dropout: float = Field(0.1, ge=0, lt=1, description="of the adapter")
    unsafe_pickle: bool = Field(False, description="read pickle weights (*.bin): may run code")
    trust_remote_code: bool = Field(False, description="run the checkpoints' own Python code")

    @model_validator(mode="after")
    def _fit_together(self) -> "TrainSettings":
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give epochs= or steps=, not both")
        if self.max_prompt_tokens >= self.max_length:
            raise ValueError("max_prompt_tokens= must be below max_length=")
        return self


class FillSettings(Settings):
    """`kdbench fill TABLE.yaml`: train and measure what is missing of a table, and draw it."""

    table: str = Field(description="the table's file, or the name of a bundled one")
    plan: bool = Field(False, description="print what is there and what is missing; do nothing")
    workers: AtLeastOne = Field(1, description="trainings and evaluations side by side")
    data: Path | None = Field(None, description="folder of the data sets (else the table's)")
    models: Path | None = Field(None, description="folder of checkpoints (else the table's)")
    results: Path | None = Field(None, description="folder of results (else the table's)")
    device: str | None = Field(None, description="cpu, cuda, mps (else found)")
    changes: dict[str, str] = Field(
        {}, description="the table's own keys go over its file by dots: evaluate.limit=20"
    )


class DemoSettings(Settings):
    """`kdbench demo`: the whole pipeline on the embedded toy world."""

    out: Path = Field(Path("runs/demo"), description="folder for the toy data and checkpoints")
    results: Path = Field(Path("results/demo"), description="folder of the results and the table")
    steps: int | None = Field(None, ge=1, description="of each training (default: an epoch)")
    limit: int | None = Field(None, ge=1, description="first so many documents of each task")


S = TypeVar("S", bound=Settings)


def parse(kind: type[S], arguments: Sequence[str]) -> S:
    """Typed settings from command-line words (`key=value`, `--flag`).

    Raises:
        InputError: a word without `=`, an unknown or repeated key, a bad value or file.
    """
    words = read_words(arguments)
    return build(kind, with_files(words, kind.model_fields))


def read_words(arguments: Sequence[str]) -> dict[str, str | bool]:
    """`key=value` words by key; `--flag` is true.

    Raises:
        InputError: a word without `=`, or a repeated key.
    """
    given: dict[str, str | bool] = {}
    for word in arguments:
        key, equals, value = word.removeprefix("--").partition("=")
        key = key.replace("-", "_")
        if not equals and not word.startswith("--"):
            raise InputError(f"'{word}' is not key=value; see --help")
        if key in given:
            raise InputError(f"{key}= is given twice")
        given[key] = value if equals else True
    return given


def with_files(
    words: Mapping[str, str | bool], fields: Mapping[str, FieldInfo]
) -> dict[str, object]:
    """The words, over the keys of `config=`.

    Raises:
        InputError: a bad file, or a `--key` that needs a value.
    """
    values = read_yaml(Path(str(words["config"]))) if "config" in words else {}
    for key, word in words.items():
        field = fields.get(key)
        if word is True and field is not None and field.annotation is not bool:
            raise InputError(f"--{key.replace('_', '-')} needs a value: {key}=…")
        if key != "config":
            values[key] = _plain(word, field) if isinstance(word, str) else word
    return values


def build(kind: type[S], values: Mapping[str, object]) -> S:
    """Typed settings from a mapping, with one-line errors.

    Raises:
        InputError: an unknown key, a missing one or a bad value.
    """
    for key in values:
        if key not in kind.model_fields:
            raise InputError(f"unknown key '{key}': {nearest(key, kind.model_fields)}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # of several keys together
            raise InputError(first["msg"].removeprefix("Value error, ")) from None
        key = str(first["loc"][0])
        if first["type"] == "missing":
            raise InputError(f"{key}= is missing: {kind.model_fields[key].description}") from None
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{key}={values.get(key)}: {reason[0].lower() + reason[1:]}") from None


def _plain(value: str, field: FieldInfo | None) -> str | None:
    """`none` is None where a field may be that; elsewhere it is a word like others."""
    optional = field is not None and type(None) in get_args(field.annotation)
    return None if optional and value.lower() in {"none", "null"} else value


def read_yaml(path: Path, key: str = "config") -> dict[str, object]:
    """The keys of a file of settings.

    Args:
        path: the file.
        key: the setting that named it, for messages.

    Raises:
        InputError: no such file, or no mapping in it.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{key}={path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{key}={path}: not YAML in UTF-8: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise InputError(f"{key}={path}: must hold key: value lines")
    return {str(key): value for key, value in values.items()}
