"""The two sides of `trl_step`: the same steps by kdbench's trainer and by TRL's."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, Trainer, TrainerCallback

from benchmarks.device import ExtraMemory, device, wait
from benchmarks.inputs import data, model, world
from kdbench.distillation.fit import make_trainer, prepare
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import make_recipe
from kdbench.views import Example

WARM_UP = 2
STEPS = int(os.environ.get("KDBENCH_BENCH_STEPS", "6"))
REAL = "KDBENCH_BENCH_MODEL" in os.environ
BATCH = int(os.environ.get("KDBENCH_BENCH_BATCH", "4" if REAL else "32"))
TOKENS = int(os.environ.get("KDBENCH_BENCH_TOKENS", "256"))
TEACHER_WEIGHT = 0.5
IGNORED = -100


def measure(side: str, precision: str) -> dict[str, Any]:
    """Train with one side in this process.

    Args:
        side: `trl` or `kdbench`.
        precision: `float32` or `bfloat16`.
    """
    with tempfile.TemporaryDirectory() as folder:
        parts = _ingredients(precision)
        rows = _of_one_length(parts.train.examples, (WARM_UP + STEPS) * BATCH)
        make = {"trl": _trl, "kdbench": _kdbench}[side]
        trainer = make(parts, rows, Path(folder))
        trainer.args.train_sampling_strategy = "sequential"
        watch, losses = _Watch(), list[torch.Tensor]()
        trainer.add_callback(watch)  # added last, so that it runs at the very end of a step
        seen = _record(trainer, losses)
        trainer.train()
    responses = sum(len(row.response_ids) for row in rows) / len(rows)
    length = len(rows[0].prompt_ids) + len(rows[0].response_ids)
    return {
        "shape": f"{BATCH} rows of {length} tokens, {responses:.0f} of them responses",
        "rows": seen,
        "losses": [float(loss) for loss in losses],
        "seconds": watch.seconds(),
        "memory": [watch.memory.bytes / 2**20],
    }


def _ingredients(precision: str) -> Ingredients:
    """The run of kdbench: constant rate, no dropout (as in TRL), and hardly any validation."""
    teacher = model()
    if REAL:
        whole = AutoConfig.from_pretrained(teacher).num_hidden_layers
        layers = os.environ.get("KDBENCH_BENCH_LAYERS", whole - max(1, whole // 3))
        student = f"prune:teacher,layers={layers}"
    else:
        student = str(world().student)
    return Ingredients(
        make_recipe(
            {
                "method": "gkd",
                "student_fraction": 0,
                "teacher_weight": TEACHER_WEIGHT,
                "student": student,
                "teacher": str(teacher),
                "data": data(),
                "precision": precision,
                "device": device(),
                "dropout": False,
                "steps": WARM_UP + STEPS,
                "batch_size": BATCH,
                "micro_batch_size": BATCH,
                "lr_schedule": "constant",
                "max_prompt_tokens": TOKENS // 2,
                "max_length": TOKENS,
                "max_new_tokens": 1,
                "validation_limit": 8,
                "validation_samples": 1,
                "log_every": 1000,
            }
        )
    )


def _of_one_length(examples: Sequence[Example], count: int) -> list[Example]:
    """The first `count` rows that are long enough, cut to the longest length they all have."""
    lengths = sorted(
        (len(row.prompt_ids) + len(row.response_ids) for row in examples), reverse=True
    )
    length = lengths[count - 1]
    long = [row for row in examples if len(row.prompt_ids) + len(row.response_ids) >= length]
    return [
        Example(row.id, row.prompt_ids, row.response_ids[: length - len(row.prompt_ids)])
        for row in long[:count]
    ]


def _kdbench(parts: Ingredients, rows: Sequence[Example], folder: Path) -> Trainer:
    return make_trainer(prepare(parts, parts.triple(), rows, folder))


def _trl(parts: Ingredients, rows: Sequence[Example], folder: Path) -> Trainer:
    """TRL's trainer with the optimiser settings of kdbench's.

    TRL's `beta` is the teacher's share of the mixture and the weight of KL(p‖m), as in kdbench. The
    model computes full logits at all positions, including prompts, which the loss masks. The loss
    is the sum over response tokens, divided by transformers' count of them in the step.
    """
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from datasets import Dataset
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    settings = parts.settings
    arguments = GKDConfig(
        output_dir=str(folder),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=settings.weight_decay,
        adam_beta1=settings.beta1,
        adam_beta2=settings.beta2,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        bf16=parts.precision == "bfloat16",
        gradient_checkpointing=False,
        lmbda=0.0,
        beta=TEACHER_WEIGHT,
        use_cpu=device() == "cpu",
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_steps=settings.log_every,
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)
    return GKDTrainer(
        model=parts.load_student(),
        teacher_model=parts.teacher_model[0],
        args=arguments,
        data_collator=_collate,
        train_dataset=Dataset.from_list(
            [{"prompt": list(row.prompt_ids), "response": list(row.response_ids)} for row in rows]
        ),
        processing_class=parts.tokenizer,
    )


def _collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """A batch of rows of one length, without padding."""
    ids = torch.tensor([row["prompt"] + row["response"] for row in rows])
    labels = torch.tensor([[IGNORED] * len(row["prompt"]) + row["response"] for row in rows])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


class _Watch(TrainerCallback):
    """Records when each step ends, and the peak memory at the end of the last step."""

    def __init__(self) -> None:
        self.memory = ExtraMemory()
        self._ends: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start measuring memory."""
        self.memory.__enter__()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> Any:
        """Record the end of a step; after the last one, neither save nor evaluate."""
        wait()
        self._ends.append(time.perf_counter())
        if state.global_step == state.max_steps:
            self.memory.read()
            control.should_save = control.should_evaluate = False
        return control

    def seconds(self) -> list[float]:
        """Seconds of each step after the warm-up."""
        ends = self._ends[WARM_UP - 1 :]
        return [end - start for start, end in pairwise(ends)]


def _record(trainer: Trainer, losses: list[torch.Tensor]) -> list[list[list[int]]]:
    """Append the loss of every step to `losses`; return a list that collects its token ids."""
    step: Callable[..., torch.Tensor] = trainer.training_step
    seen: list[list[list[int]]] = []

    def recording(model: Any, inputs: Any, *arguments: Any) -> torch.Tensor:
        if "rollouts" in inputs:
            seen.append(
                [[*rollout.prompt_ids, *rollout.response_ids] for rollout in inputs["rollouts"]]
            )
        else:
            seen.append(inputs["input_ids"].tolist())
        losses.append(step(model, inputs, *arguments).detach())
        return losses[-1]

    trainer.training_step = recording
    return seen
