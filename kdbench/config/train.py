"""Keys of `kdbench train`; each method has more of its own."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from kdbench.config.kinds import AtLeastOne, Names, Settings


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
    seed: int = Field(
        10, ge=0, le=2**32 - 1, description="of data order, sampling, dropout and random weights"
    )
    limit: int | None = Field(None, ge=1, description="first so many rows of the training set")

    epochs: float | None = Field(
        None, gt=0, le=1e6, description="over the training set (default: 1)"
    )
    steps: int | None = Field(
        None, ge=1, le=10**9, description="optimiser steps, instead of epochs"
    )
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

    train_format: Literal["task", "chat"] = Field(
        "task", description="of prompts: the task's own, or the tokenizer's chat template"
    )
    add_bos: bool = Field(False, description="put the BOS token before the prompt")
    end_token: str | None = Field(
        None, description="token that ends a response (default: the student's end token)"
    )
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

    router_loss: float = Field(
        0.0, ge=0, description="weight of the router loss of a student with experts; 0 is without"
    )

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
        return self
