"""The settings of `kdbench train` as arguments of the trainer, and what can be checked at once."""

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import TrainingArguments
from transformers.integrations import get_available_reporting_integrations
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from kdbench.checkpoint import check_quantisation
from kdbench.config import TrainSettings
from kdbench.distillation.processes import (
    check_processes,
    prepare_sharding,
    process_count,
    sharding,
)
from kdbench.distillation.prompts import prompt_form
from kdbench.errors import InputError
from kdbench.protocol import Protocol
from kdbench.trackers import check_trackers, own_trackers
from kdbench.training.validation import SEED as VALIDATION_SEED

_SCHEDULES = {
    "cosine": "cosine_with_min_lr",
    "linear": "linear",
    "constant": "constant_with_warmup",
    "wsd": "warmup_stable_decay",
}
_WSD_DECAY = 0.2  # share of the steps in which the learning rate of `wsd` falls to 0
DEFAULT_MICRO_BATCH = 8


def check_settings(settings: TrainSettings) -> None:
    """Check what can be checked before anything is loaded or generated.

    Raises:
        InputError: a logger or peft is not installed, or the processes cannot share a batch.
    """
    check_processes()
    check_trackers(settings.report_to, others=tuple(INTEGRATION_TO_CALLBACK))
    installed = get_available_reporting_integrations()
    for logger in _others(settings):
        if logger not in installed:
            raise InputError(f"report_to={logger}: its package is not installed here")
    if settings.lora_rank and importlib.util.find_spec("peft") is None:
        raise InputError("lora_rank= needs peft: pip install 'kdbench[peft]'")
    if settings.student_quantization is not None:
        check_quantisation("student_quantization")
        if kind := sharding():
            raise InputError(
                f"student_quantization= is not available with {kind}: leave {kind} out, as each "
                "process can hold the quantised student"
            )
    if settings.batch_size % process_count():
        raise InputError(
            f"batch_size={settings.batch_size}: must be a multiple of the {process_count()} "
            "processes"
        )


def _others(settings: TrainSettings) -> list[str]:
    """Loggers that only transformers has, such as `comet_ml`; kdbench's trackers go first."""
    own = own_trackers(settings.report_to)
    return [name for name in settings.report_to if name not in own]


def sampling(settings: TrainSettings) -> Protocol:
    """Length limits and decoding of responses to learn from; prompts as the student gets them."""
    return replace(
        validation_sampling(settings),
        max_prompt_tokens=settings.max_prompt_tokens if settings.long_prompts == "cut" else None,
        temperature=settings.sampling_temperature,
        top_p=settings.sampling_top_p,
        seeds=(settings.seed,),
    )


def validation_sampling(settings: TrainSettings) -> Protocol:
    """Length limits and decoding of validation: plain sampling, as in the papers."""
    return replace(
        prompt_form(settings),
        max_prompt_tokens=None,
        max_new_tokens=settings.max_new_tokens,
        no_repeat_ngram_size=0,
        seeds=(VALIDATION_SEED,),
    )


def _schedule_options(settings: TrainSettings, steps: int) -> dict[str, Any]:
    """Further arguments of transformers' schedule of the learning rate."""
    if settings.lr_schedule == "cosine":
        # A rate, as the optimisers of DeepSpeed do not know the peak.
        return {"min_lr_rate": settings.min_learning_rate / settings.learning_rate}
    if settings.lr_schedule == "wsd":
        falls = min(round(_WSD_DECAY * steps), steps - settings.warmup_steps)
        return {"num_decay_steps": max(1, falls), "decay_type": "linear"}
    return {}


def training_arguments(
    settings: TrainSettings, precision: str, device: str, folder: Path, steps: int
) -> TrainingArguments:
    """The arguments of transformers' trainer.

    Args:
        settings: The settings of the run.
        precision: `float32` or `bfloat16`.
        device: The device of this process.
        folder: Where the states are saved.
        steps: The number of optimiser steps.
    """
    # accelerate would take the precision of an earlier run, or of the user's shell.
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16" if precision == "bfloat16" else "no"
    prepare_sharding()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size // process_count(),
        gradient_accumulation_steps=1,  # DistillationTrainer makes the micro-batches
        learning_rate=settings.learning_rate,
        lr_scheduler_type=_SCHEDULES[settings.lr_schedule],
        lr_scheduler_kwargs=_schedule_options(settings, steps),
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.beta1,
        adam_beta2=settings.beta2,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        bf16=precision == "bfloat16",
        use_cpu=device == "cpu",
        seed=settings.seed,
        data_seed=settings.seed,
        eval_strategy="no",  # our callback decides
        save_strategy="no",
        logging_steps=settings.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to=_others(settings) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    if process_count() == 1:
        arguments._n_gpu = min(1, arguments.n_gpu)  # no DataParallel over all visible GPUs
    return arguments
