"""The two sides of `trl_step`: the same steps by kdbench's trainer and by TRL's."""

import os
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, Trainer, TrainerCallback

from benchmarks.device import ExtraMemory, device, wait
from benchmarks.inputs import data, model, world
from benchmarks.random_models import make_models, sizes
from benchmarks.timing import clock
from kdbench.distillation.fit import make_trainer, prepare
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import make_recipe
from kdbench.views import Example

WARM_UP = 2
STEPS = int(os.environ.get("KDBENCH_BENCH_STEPS", "6"))
REAL = "KDBENCH_BENCH_MODEL" in os.environ
BATCH = int(os.environ.get("KDBENCH_BENCH_BATCH", "4" if REAL or sizes() else "32"))
TOKENS = int(os.environ.get("KDBENCH_BENCH_TOKENS", "256"))
TEACHER_WEIGHT = float(os.environ.get("KDBENCH_BENCH_WEIGHT", "0.5"))
ROWS = (WARM_UP + STEPS) * BATCH


def measure(side: str, precision: str, models: str) -> dict[str, Any]:
    """Train with one side in this process.

    Args:
        side: `trl` or `kdbench`.
        precision: `float32` or `bfloat16`.
        models: Folder of the random models, if the environment asks for them.
    """
    with tempfile.TemporaryDirectory() as folder:
        parts = _ingredients(precision, Path(models))
        rows = of_one_length(parts.train.examples, ROWS)
        make = {"trl": _trl, "kdbench": _kdbench}[side]
        trainer = make(parts, rows, Path(folder))
        trainer.args.train_sampling_strategy = "sequential"
        watch, losses = _Watch(), list[torch.Tensor]()
        trainer.add_callback(watch)  # added last, so that it runs at the very end of a step
        seen = _record(trainer, losses)
        trainer.train()
    prompt, response = len(rows[0].prompt_ids), len(rows[0].response_ids)
    return {
        "shape": f"{BATCH} rows of {prompt} tokens and {response} of the response",
        "rows": seen,
        "losses": [float(loss) for loss in losses],
        "seconds": watch.seconds(),
        "memory": [watch.memory.bytes / 2**20],
    }


def _ingredients(precision: str, models: Path) -> Ingredients:
    """The run of kdbench: constant rate, no dropout (as in TRL), and hardly any validation."""
    return Ingredients(
        make_recipe(
            {
                "method": "gkd",
                "student_fraction": 0,
                "teacher_weight": TEACHER_WEIGHT,
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
            | checkpoints(models, ROWS)
        )
    )


def checkpoints(models: Path, rows: int) -> dict[str, str]:
    """Student, teacher and data.

    Args:
        models: Folder of the random models, if the environment asks for them.
        rows: Training rows that are needed.
    """
    if (wanted := sizes()) is not None:
        place = make_models(models, wanted, TOKENS // 2, TOKENS - TOKENS // 2, rows)
        places = {name: str(place / name) for name in ("student", "teacher", "data")}
        return {**places, "train_format": "text"}
    teacher = model()
    student = str(world().student)
    if REAL:
        whole = AutoConfig.from_pretrained(teacher).num_hidden_layers
        layers = os.environ.get("KDBENCH_BENCH_LAYERS", whole - max(1, whole // 3))
        student = f"prune:teacher,layers={layers}"
    return {"student": student, "teacher": str(teacher), "data": str(data())}


def of_one_length(examples: Sequence[Example], count: int) -> list[Example]:
    """The rows with the longest responses, cut to one length of prompts and one of responses.

    So no side pads: TRL pads prompts on the left and responses on the right.
    """
    longest = sorted(examples, key=lambda row: len(row.response_ids), reverse=True)[:count]
    prompt = min(len(row.prompt_ids) for row in longest)
    response = min(len(row.response_ids) for row in longest)
    kept = {row.id for row in longest}
    return [
        Example(row.id, row.prompt_ids[-prompt:], row.response_ids[:response])
        for row in examples
        if row.id in kept
    ]


def _kdbench(parts: Ingredients, rows: Sequence[Example], folder: Path) -> Trainer:
    return make_trainer(prepare(parts, parts.triple(), rows, folder))


def _trl(parts: Ingredients, rows: Sequence[Example], folder: Path) -> Trainer:
    """TRL's stable trainer with the optimiser settings of kdbench's.

    TRL's `beta` is the teacher's share of the mixture and the weight of KL(p‖m), as in kdbench. It
    samples the responses that it learns from; here it is given those of the data.
    """
    from datasets import Dataset
    from trl import DistillationConfig, DistillationTrainer

    by_id = {row.id: row for row in rows}

    class OfDataset(DistillationTrainer):
        """The trainer with the responses of the data, instead of new ones."""

        def _tokenize_prompts(self, prompts: list[str]) -> tuple[Any, ...]:
            self._asked = [by_id[name] for name in prompts]
            return [list(row.prompt_ids) for row in self._asked], None, {}

        def _generate_single_turn(self, *_: Any, **__: Any) -> list[list[int]]:
            return [list(row.response_ids) for row in self._asked]

    settings = parts.settings
    arguments = DistillationConfig(
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
        shuffle_dataset=False,
        beta=TEACHER_WEIGHT,
        use_cpu=device() == "cpu",
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_steps=settings.log_every,
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)
    return OfDataset(
        model=parts.load_student(),
        teacher_model=parts.teacher_model[0],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": row.id} for row in rows]),
        processing_class=parts.tokenizer,
    )


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
        self._ends.append(clock())
        if state.global_step == state.max_steps:
            self.memory.read()
            control.should_save = control.should_evaluate = False
        return control

    def seconds(self) -> list[float]:
        """Seconds of each step after the warm-up."""
        ends = self._ends[WARM_UP - 1 :]
        return [end - start for start, end in pairwise(ends)]


def _record(trainer: Trainer, losses: list[torch.Tensor]) -> list[list[list[int]]]:
    """Append the loss of every step to `losses`; return a list that collects its token ids.

    The ids of a step are sorted, as TRL shuffles the rows of a step.
    """
    step: Callable[..., torch.Tensor] = trainer.training_step
    seen: list[list[list[int]]] = []

    def recording(model: Any, inputs: Any, *arguments: Any) -> torch.Tensor:
        rollouts = inputs["work"].rollouts if isinstance(inputs, dict) else None
        losses.append(step(model, inputs, *arguments).detach())
        if rollouts is None:
            given = trainer._buffered_inputs[0]
            ids = torch.cat([given["prompt_ids"], given["completion_ids"]], dim=1).tolist()
        else:
            ids = [[*rollout.prompt_ids, *rollout.response_ids] for rollout in rollouts]
        seen.append(sorted(ids))
        return losses[-1]

    trainer.training_step = recording
    return seen
