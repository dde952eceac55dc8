"""Keys of `kdbench train`; each method has more of its own."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from kdbench.config.kinds import ADVANCED, AtLeastOne, DryRunKeys, Settings
from kdbench.config.plugins import PluginKeys
from kdbench.config.served_teacher import ServedTeacherKeys, is_on_server
from kdbench.config.track import TrackerKeys
from kdbench.config.train_prompts import PromptKeys
from kdbench.config.train_rollouts import RolloutKeys
from kdbench.config.watched import WatchKeys
from kdbench.errors import InputError

_OF_CHAT = ("train_turns", "chat_template", "chat_template_kwargs", "system")


class TrainedModelKeys(Settings, group="Model"):
    """Which student learns from which teacher, and how."""

    method: str = Field(description="Distillation method; see kdbench methods")
    student: str = Field(
        description="Checkpoint to start from, prune:MODEL,layers=N (a model without its middle "
        "layers), search:MODEL,layers=N,metric=kl|relation (with the layers that a search finds) "
        "or random:CONFIG (random weights)"
    )
    teacher: str | None = Field(
        None,
        description="Teacher's checkpoint folder, model on the Hub (org/name or "
        "org/name@revision), cache:DIR (scores kept by kdbench cache or teacher_cache=), or the "
        "address of a server, http://…",
    )
    teacher_cache: Path | None = Field(
        None,
        description="Folder in which to keep the teacher's scores of the training responses, from "
        "which the student then learns; also for a later teacher=cache:DIR",
    )
    teacher_top_k: int = Field(
        64,
        ge=1,
        description="Number of most likely tokens kept per position with teacher_cache=, or asked "
        "of a server",
    )
    recipe: str | None = Field(
        None,
        description="File of keys, or the name of a bundled recipe such as toy/gkd; other keys "
        "override it",
    )


class TrainingDataKeys(Settings, group="Data"):
    """What the student learns from."""

    data: Path | None = Field(
        None, description="Folder of the data sets (default: $KDBENCH_DATA, else the Hub)"
    )
    train_set: str = Field(
        "dolly",
        description="Data set to train on: its train.jsonl and valid.jsonl in data=, or the path "
        "of a .jsonl file",
    )
    valid_set: str | None = Field(
        None,
        description="Validation file if train_set= is a file (default: valid.jsonl next to it)",
    )
    limit: int | None = Field(
        None, ge=1, description="Number of training examples to use, from the start of the set"
    )
    pretraining: Path | None = Field(
        None,
        description='JSONL file of plain texts against forgetting, one {"text": …} per line',
    )
    pretraining_weight: float = Field(1.0, gt=0, description="Weight of the loss on plain texts")


class OptimisationKeys(Settings, group="Optimisation"):
    """How the weights are updated."""

    epochs: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Number of times that all training prompts are used (default: 1)",
    )
    steps: int | None = Field(
        None, ge=1, le=10**9, description="Number of optimiser steps, instead of epochs="
    )
    batch_size: int = Field(
        32, ge=1, description="Number of examples per optimiser step, over all processes"
    )
    learning_rate: float = Field(1e-4, gt=0, description="Peak learning rate of AdamW")
    min_learning_rate: float = Field(
        1e-7, ge=0, description="Final learning rate of the cosine schedule"
    )
    lr_schedule: Literal["cosine", "linear", "constant", "wsd"] = Field(
        "cosine",
        description="Schedule of the learning rate after the warm-up; wsd is constant and falls to "
        "0 in the last fifth",
    )
    warmup_steps: int = Field(
        0, ge=0, description="Number of steps over which the learning rate rises"
    )
    weight_decay: float = Field(
        1e-2, ge=0, description="Weight decay of AdamW; biases and norms have none"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="First-moment decay rate of AdamW")
    beta2: float = Field(0.999, ge=0, lt=1, description="Second-moment decay rate of AdamW")
    max_grad_norm: float = Field(
        1.0, gt=0, description="Gradient norm above which gradients are clipped"
    )
    dropout: bool = Field(True, description="Whether the student's own dropout stays on")
    seed: int = Field(
        10,
        ge=0,
        le=2**32 - 1,
        description="Seed of the data order, sampling, dropout and random weights",
    )
    router_loss: float = Field(
        0.0, ge=0, description="Weight of the router loss of a student with experts; 0 is without"
    )


class LoraKeys(Settings, group="LoRA"):
    """The adapter that is trained instead of all weights."""

    lora_rank: int = Field(
        0, ge=0, description="Rank of a LoRA adapter to train; 0 trains all weights"
    )
    lora_alpha: int = Field(64, ge=1, description="Scale of the adapter, divided by its rank")
    lora_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout rate of the adapter")


class SamplingKeys(Settings, group="Sampling"):
    """How responses are generated during training."""

    sampling_temperature: float = Field(
        1.0, gt=0, description="Sampling temperature of the responses used in training"
    )
    sampling_top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Probability mass of nucleus sampling for the responses used in training; 1 "
        "turns it off",
    )
    teacher_responses: Path | None = Field(
        None,
        description="Folder in which the teacher's responses are kept and shared between runs "
        "(default: teacher-responses, next to out=)",
    )
    generation_batch_size: AtLeastOne | Literal["auto"] = Field(
        "auto", description="Number of sequences that decode at once"
    )


class ValidationKeys(Settings, group="Validation"):
    """How often the student is validated, and which state of it is kept."""

    validate_every: int | None = Field(
        None, ge=1, description="Number of steps between validations (default: one epoch)"
    )
    validation_limit: int | None = Field(
        None, ge=1, description="Number of validation examples for the loss (default: all)"
    )
    validation_samples: int | None = Field(
        None,
        ge=1,
        description="Number of validation examples answered for ROUGE-L (default: as many as for "
        "the loss)",
    )
    select: Literal["rougeL", "loss", "last"] = Field(
        "rougeL", description="Criterion for the validation whose student is kept"
    )


class PrecisionKeys(Settings, group="Precision and memory"):
    """How the training fits the hardware."""

    device: str = Field("auto", description="Device: auto, cpu, cuda or mps")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Number format of the forward and backward pass; auto is bfloat16 on a GPU, "
        "else float32",
    )
    teacher_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number format of the teacher's weights; auto follows precision="
    )
    teacher_device: str | None = Field(
        None,
        description="Device of the teacher, such as cuda:1 or cpu (default: the student's)",
    )
    teacher_offload: bool = Field(
        False,
        description="Keep the teacher's layers in main memory and move each to the GPU for its "
        "pass: less memory, more time",
    )
    teacher_quantization: Literal["8bit", "4bit"] | None = Field(
        None, description="Load the teacher's weights in 8 or 4 bits, with bitsandbytes"
    )
    student_quantization: Literal["8bit", "4bit"] | None = Field(
        None,
        description="Freeze the student's weights in 8 or 4 bits and train the adapter of "
        "lora_rank= (QLoRA)",
    )
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        description="Number of examples per forward pass (default: 8); does not affect the result",
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass: less memory, more time"
    )
    compile_loss: bool | Literal["auto"] = Field(
        "auto",
        description="Whether the loss is compiled (torch.compile); auto compiles it on a GPU. Does "
        "not affect the result",
    )
    chunk_tokens: int | None = Field(
        None,
        ge=1,
        description="Number of positions per chunk of the loss; does not affect the result",
    )


class TrainOutputKeys(Settings, group="Output"):
    """Where the checkpoint and the log go, and what the checkpoint is called."""

    out: Path | None = Field(None, description="Folder of the checkpoint (default: runs/METHOD)")
    label: str | None = Field(None, description="Row label in tables (default: the method's title)")
    setting: str | None = Field(
        None,
        description="Setting that the student belongs to; a table groups the rows of one setting",
    )
    save_every: int | None = Field(
        None,
        ge=1,
        description="Number of steps between saved states, from which an interrupted run resumes "
        "(default: 100, and at each validation)",
    )
    log_every: int = Field(10, ge=1, description="Number of steps between lines of the log")


class TrainAdvancedKeys(Settings, group=ADVANCED):
    """What few runs need."""

    unsafe_pickle: bool = Field(
        False, description="Permission to read pickle weights (*.bin), which can run code"
    )
    trust_remote_code: bool = Field(
        False, description="Permission to run Python code that comes with the checkpoints"
    )


class TrainSettings(
    TrainedModelKeys,
    ServedTeacherKeys,
    TrainingDataKeys,
    OptimisationKeys,
    LoraKeys,
    PromptKeys,
    SamplingKeys,
    RolloutKeys,
    ValidationKeys,
    WatchKeys,
    PrecisionKeys,
    TrainOutputKeys,
    TrackerKeys,
    DryRunKeys,
    TrainAdvancedKeys,
    PluginKeys,
    positional=("recipe",),
):
    """`kdbench train method=… student=…`: the keys of every method; each has keys of its own."""

    @field_validator("out")
    @classmethod
    def _has_a_name(cls, value: Path | None) -> Path | None:
        if value is not None and value.name in ("", ".."):
            raise ValueError("must be the name of a folder")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> "TrainSettings":
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give epochs= or steps=, not both")
        if self.max_prompt_tokens >= self.max_length:
            raise ValueError("max_prompt_tokens= must be below max_length=")
        if self.student_quantization is not None and not self.lora_rank:
            raise ValueError("student_quantization= trains an adapter: it needs lora_rank=")
        if self.teacher_offload and self.teacher_quantization is not None:
            raise ValueError("give teacher_offload= or teacher_quantization=, not both")
        if self.teacher_offload and self.teacher_device == "cpu":
            raise ValueError("give teacher_offload= or teacher_device=cpu, not both")
        if self.valid_set is not None and not is_file_of_rows(self.train_set):
            raise ValueError("valid_set= needs the path of a .jsonl file in train_set=")
        return self

    @property
    def validation_set(self) -> str:
        """The set or file of the validation examples."""
        if not is_file_of_rows(self.train_set):
            return self.train_set
        return self.valid_set or str(Path(self.train_set).with_name("valid.jsonl"))

    def refuse_ignored(self, given: Collection[str]) -> None:
        """Refuse keys that have no effect because of the values of others.

        A recipe may hold such keys, because a command can override the key they depend on.

        Args:
            given: Keys that were given outside a recipe.

        Raises:
            InputError: One of them has no effect.
        """
        for key, need in self.ignored().items():
            if key in given:
                raise InputError(f"{key}= has no effect without {need}")

    def ignored(self) -> dict[str, str]:
        """The keys that have no effect because of the values of others, and what they need."""
        needed = {
            "lora_alpha": (self.lora_rank > 0, "lora_rank="),
            "lora_dropout": (self.lora_rank > 0, "lora_rank="),
            "min_learning_rate": (self.lr_schedule == "cosine", "lr_schedule=cosine"),
            "teacher_top_k": (
                self.teacher_cache is not None or is_on_server(self.teacher),
                "teacher_cache=DIR or teacher=http://…",
            ),
            "pretraining_weight": (self.pretraining is not None, "pretraining=FILE"),
            **dict.fromkeys(_OF_CHAT, (self.train_format == "chat", "train_format=chat")),
        }
        return {key: need for key, (has_effect, need) in needed.items() if not has_effect}


def is_file_of_rows(train_set: str) -> bool:
    """Whether `train_set=` is the path of a file, not the name of a set."""
    return train_set.endswith((".jsonl", ".jsonl.gz"))
