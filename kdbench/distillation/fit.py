"""The settings of `kdbench train` become transformers' arguments, and the trainer runs."""

import importlib.util
import math
import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback, TrainerState, TrainingArguments
from transformers.integrations import get_available_reporting_integrations

from kdbench.config import TrainSettings
from kdbench.distillation.ingredients import Ingredients
from kdbench.errors import InputError, nearest
from kdbench.protocol import Protocol
from kdbench.system.progress import progress
from kdbench.training.state import last_checkpoint, restore_state
from kdbench.training.trainer import DistillationTrainer, Work
from kdbench.training.triple import Triple
from kdbench.training.validation import SEED as VALIDATION_SEED
from kdbench.views.rollout import Example
from kdbench.views.tokenizers import check_same_tokens

_SCHEDULES = {
    "cosine": "cosine_with_min_lr",
    "linear": "linear",
    "constant": "constant_with_warmup",
}
DEFAULT_MICRO_BATCH = 8
_STEPS_BETWEEN_STATES = 100


def sampling(settings: TrainSettings) -> Protocol:
    """How responses to learn from are sampled: the prompt as the student gets it."""
    return replace(
        _validation_sampling(settings),
        max_prompt_tokens=settings.max_prompt_tokens if settings.long_prompts == "cut" else None,
        temperature=settings.sampling_temperature,
        top_p=settings.sampling_top_p,
        seeds=(settings.seed,),
    )


def _validation_sampling(settings: TrainSettings) -> Protocol:
    """Plain sampling, as the papers validate."""
    return Protocol(
        "training",
        max_prompt_tokens=None,
        max_new_tokens=settings.max_new_tokens,
        no_repeat_ngram_size=0,
        seeds=(VALIDATION_SEED,),
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
    model = parts.load_student()
    model = _with_lora(model, settings)
    if settings.gradient_checkpointing:
        enable = getattr(model, "activation_checkpointing_enable", None)  # its newer name
        (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})
    _check_positions(model, "the student", [*examples, *parts.valid.examples], settings)
    if teacher is not None:
        _check_positions(teacher, "the teacher", examples, settings)
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
        sampling=sampling(settings),
        validation_sampling=_validation_sampling(settings),
        micro_batch_size=settings.micro_batch_size or DEFAULT_MICRO_BATCH,
        generation_batch_size=None if size == "auto" else size,
        select=settings.select,
        student_at_start=parts.load_student,
        chunk_tokens=settings.chunk_tokens,
    )
    trainer = DistillationTrainer(model, arguments, work)
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise InputError(
            "FSDP and DeepSpeed shard the head, which is used in chunks outside of the model; they "
            "are not supported yet: use several processes (torchrun), or lora_rank="
        )
    trainer.remove_callback(PrinterCallback)  # our progress says it
    trainer.add_callback(_Course(trainer, settings, last_checkpoint(folder)))
    return trainer


def run(trainer: DistillationTrainer, folder: Path, title: str) -> int:
    """Train from the last whole state in the folder; the number of steps that this took."""
    start = last_checkpoint(folder)
    total = trainer.args.max_steps
    before = int(start.name.rpartition("-")[2]) if start else 0
    if start and before >= total:  # killed after the last step; transformers would take another
        trainer.state = TrainerState.load_from_json(str(start / "trainer_state.json"))
        restore_state(trainer, start)
        return 0
    with warnings.catch_warnings():
        # torch warns that its schedulers are restored before the first optimiser step.
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        speaks = trainer.is_world_process_zero()
        with progress(title, total, before, "steps") if speaks else nullcontext() as advance:
            trainer.advance = advance or trainer.advance
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    return int(trainer.state.global_step) - before


def check_settings(settings: TrainSettings) -> None:
    """What can be known before anything is loaded or generated.

    Raises:
        InputError: a logger or peft is missing, or the processes cannot share a batch.
    """
    known = get_available_reporting_integrations()
    for logger in settings.report_to:
        if logger not in known:
            raise InputError(
                f"report_to={logger}: not a logger that is installed: {nearest(logger, known)}"
            )
    if settings.lora_rank and importlib.util.find_spec("peft") is None:
        raise InputError("lora_rank= needs peft: pip install 'kdbench[peft]'")
    if settings.batch_size % _processes():
        raise InputError(
            f"batch_size={settings.batch_size}: not a multiple of {_processes()} processes"
        )


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _check_positions(
    model: Any, whose: str, examples: Sequence[Example], settings: TrainSettings
) -> None:
    positions = getattr(model.config, "max_position_embeddings", None)
    longest = max(len(one.prompt_ids) + len(one.response_ids) for one in examples)
    sampled = max(len(one.prompt_ids) for one in examples) + settings.max_new_tokens
    if positions and max(longest, sampled) > positions:
        keys = "max_length=" if longest > positions else "max_new_tokens= or max_prompt_tokens="
        raise InputError(
            f"{max(longest, sampled)} tokens of prompt and response do not fit into {whose}'s "
            f"{positions} positions; lower {keys}"
        )


def _arguments(
    settings: TrainSettings, parts: Ingredients, folder: Path, rows: int
) -> TrainingArguments:
    processes = _processes()
    an_epoch = _steps_of_an_epoch(rows, settings)
    steps = settings.steps or math.ceil((settings.epochs or 1) * an_epoch)
    cosine = settings.lr_schedule == "cosine"
    arguments = TrainingArguments(
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
        logging_steps=settings.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    if processes == 1:
        arguments._n_gpu = min(1, arguments.n_gpu)  # no DataParallel over all that it sees
    return arguments


def _steps_of_an_epoch(rows: int, settings: TrainSettings) -> int:
    return math.ceil(rows / settings.batch_size)


def _with_lora(model: Any, settings: TrainSettings) -> Any:
    if not settings.lora_rank:
        return model
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to")  # peft sets it right
        return get_peft_model(model, config)


class _Course(TrainerCallback):
    """When to validate and to save; and the progress of it."""

    def __init__(self, trainer: DistillationTrainer, settings: TrainSettings, start: Path | None):
        self._trainer, self._start = trainer, start
        # Counted in steps, so that a state always holds the validation of its step.
        an_epoch = _steps_of_an_epoch(len(trainer.work.train), settings)
        self._validate_every = settings.validate_every or an_epoch
        self._save_every = settings.save_every
        self._also_save_every = min(self._validate_every, _STEPS_BETWEEN_STATES)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The student is wrapped, and transformers has loaded its own part of a state."""
        self._trainer.begin(self._start)
        if self._start is None:
            self._trainer.evaluate()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> Any:
        """Validate and save at their steps, and after the last one."""
        self._trainer.after_step()
        step, last = state.global_step, state.global_step >= state.max_steps
        save = self._save_every
        control.should_evaluate = last or step % self._validate_every == 0
        if save is None:
            control.should_save = control.should_evaluate or step % self._also_save_every == 0
        else:
            control.should_save = last or step % save == 0
        self._trainer.advance()
        return control
