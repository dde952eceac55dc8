"""The settings of `kdbench train` become transformers' arguments, and the trainer runs."""

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from kdbench.config import TrainSettings
from kdbench.errors import InputError
from kdbench.progress import progress
from kdbench.protocol import Protocol
from kdbench.training.ingredients import Ingredients
from kdbench.training.rollout import Example
from kdbench.training.tokenizers import check_same_tokens
from kdbench.training.trainer import DistillationTrainer, Work, last_checkpoint
from kdbench.training.triple import Triple
from kdbench.training.validation import SEED as VALIDATION_SEED

_SCHEDULES = {
    "cosine": "cosine_with_min_lr",
    "linear": "linear",
    "constant": "constant_with_warmup",
}
DEFAULT_MICRO_BATCH = 8


def sampling(settings: TrainSettings, temperature: float, top_p: float, seed: int) -> Protocol:
    """How responses are sampled in training: the prompt as it is, no n-gram rule."""
    return Protocol(
        "training",
        max_prompt_tokens=None,
        max_new_tokens=settings.max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        no_repeat_ngram_size=0,
        seeds=(seed,),
    )


def make_trainer(
    parts: Ingredients, triple: Triple, examples: Sequence[Example], folder: Path
) -> DistillationTrainer:
    """The trainer, ready to run or to go on.

    Args:
        parts: what goes in.
        triple: the method at work.
        examples: of the training set, with the responses to learn from.
        folder: of the run's states.

    Raises:
        InputError: tokenizers that differ, or a batch size that the processes cannot share.
    """
    settings = parts.settings
    teacher = None
    if triple.needs_teacher_model:
        teacher, tokenizer = parts.teacher_model
        check_same_tokens(parts.tokenizer, tokenizer, settings.method)
    torch.manual_seed(settings.seed)  # of an adapter's weights
    model = _with_lora(parts.load_student(), settings)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    samples = settings.validation_samples
    size = settings.generation_batch_size
    arguments = _arguments(settings, parts, folder, len(examples))
    work = Work(
        triple=triple,
        teacher=teacher,
        tokenizer=parts.tokenizer,
        train=examples,
        valid=parts.valid.examples,
        sampled=parts.valid.examples[:samples],
        sampling=sampling(settings, settings.temperature, settings.top_p, settings.seed),
        validation_sampling=sampling(settings, 1.0, 1.0, VALIDATION_SEED),
        micro_batch_size=settings.micro_batch_size or DEFAULT_MICRO_BATCH,
        generation_batch_size=None if size == "auto" else size,
        select=settings.select,
        student_at_start=parts.load_student,
        chunk_tokens=settings.chunk_tokens,
    )
    trainer = DistillationTrainer(model, arguments, work)
    trainer.remove_callback(PrinterCallback)  # our progress says it
    trainer.add_callback(_Course(trainer, settings, last_checkpoint(folder)))
    return trainer


def run(trainer: DistillationTrainer, folder: Path, title: str) -> int:
    """Train from the last whole state in the folder; the number of steps that this took."""
    start = last_checkpoint(folder)
    total = trainer.args.max_steps
    before = int(start.name.rpartition("-")[2]) if start else 0
    with warnings.catch_warnings():
        # torch warns that its schedulers are restored before the first optimiser step.
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        with progress(title, total, before, "steps") as advance:
            trainer.advance = advance
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    return int(trainer.state.global_step) - before


def _arguments(
    settings: TrainSettings, parts: Ingredients, folder: Path, rows: int
) -> TrainingArguments:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if settings.batch_size % processes:
        raise InputError(
            f"batch_size={settings.batch_size}: not a multiple of {processes} processes"
        )
    an_epoch = math.ceil(rows / settings.batch_size)
    steps = settings.steps or math.ceil((settings.epochs or 1) * an_epoch)
    cosine = settings.lr_schedule == "cosine"
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size // processes,
        gradient_accumulation_steps=1,  # of the trainer's own; see DistillationTrainer
        learning_rate=settings.learning_rate,
        lr_scheduler_type=_SCHEDULES[settings.lr_schedule],
        lr_scheduler_kwargs={"min_lr": settings.min_learning_rate} if cosine else {},
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.beta1,
        adam_beta2=settings.beta2,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        bf16=parts.precision == "bfloat16",
        use_cpu=parts.device == "cpu",
        seed=settings.seed,
        data_seed=settings.seed,
        eval_strategy="no",  # our callback decides
        save_strategy="no",
        eval_on_start=True,
        logging_steps=settings.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


def _with_lora(model: Any, settings: TrainSettings) -> Any:
    if not settings.lora_rank:
        return model
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise InputError("lora_rank= needs peft: pip install 'kdbench[peft]'") from None
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


class _Course(TrainerCallback):
    """When to validate and to save; and the progress of it."""

    def __init__(self, trainer: DistillationTrainer, settings: TrainSettings, start: Path | None):
        self._trainer, self._settings, self._start = trainer, settings, start

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The student is wrapped, and transformers has loaded its own part of a state."""
        self._trainer.begin(self._start)

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> Any:
        """Validate and save at their steps, and after the last one."""
        step, last = state.global_step, state.global_step >= state.max_steps
        every = self._settings.validate_every
        save = self._settings.save_every
        control.should_evaluate = last or bool(every and step % every == 0)
        control.should_save = control.should_evaluate if save is None else last or step % save == 0
        self._trainer.advance()
        return control

    def on_epoch_end(self, _: Any, __: Any, control: Any, **___: Any) -> Any:
        """An epoch is the default between validations."""
        if self._settings.validate_every is None and not control.should_training_stop:
            control.should_evaluate = True
            control.should_save = self._settings.save_every is None
        return control
