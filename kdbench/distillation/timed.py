"""A few steps of a training, timed: what it costs, without the whole of it.

Steps are those of the training itself, with its keys, its data and its number of steps, stopped
early. Each is timed from the end of the step before, so that data, generation, companions and the
optimiser count; validation, saving and loading do not fall between.
"""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdbench.config import is_on_server
from kdbench.distillation.arguments import check_settings
from kdbench.distillation.early import check_early
from kdbench.distillation.examples import examples_of
from kdbench.distillation.fit import make_trainer, prepare
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.stages import StageRun, stage_runs
from kdbench.distillation.step_clock import WARM_UP, ClockedPhases, StepClock
from kdbench.errors import InputError
from kdbench.store.timings import StageTiming, StepTiming, TrainingTiming
from kdbench.system.company import load_average
from kdbench.system.environment import device_name
from kdbench.training.phases import Phases
from kdbench.training.sharding import size_of
from kdbench.training.source import FromTeacher
from kdbench.training.trainer import DistillationTrainer


def why_not(recipe: Recipe) -> str | None:
    """Why a training cannot be timed alone; None if it can."""
    settings = recipe.settings
    if settings.teacher is not None and is_on_server(settings.teacher):
        return "its teacher is on a server, whose work is not seen here"
    if settings.teacher_cache is not None:
        return "teacher_cache= moves the teacher's work out of the training"
    if settings.rollout_backend != type(settings).model_fields["rollout_backend"].default:
        return f"rollout_backend={settings.rollout_backend} generates outside the training"
    return None


def time_training(recipe: Recipe, scratch: Path, timed: int) -> TrainingTiming:
    """Time a few steps of a training, in this process.

    Args:
        recipe: The training.
        scratch: Folder for what it writes, which the caller removes.
        timed: Steps to time in each stage, after `WARM_UP` others.

    Raises:
        InputError: As `kdbench train` raises it, or the training has too few steps.
    """
    load = load_average()
    recipe = _timed_recipe(recipe, scratch, timed)
    check_early(recipe)
    check_settings(recipe.settings)
    ingredients, costs = Ingredients(recipe), ClockedPhases()
    stages, found = stage_runs(ingredients, scratch / "states"), list[_TimedStage]()
    for number, run in enumerate(stages):
        last = stages[number - 1] if number else None
        one = _time_stage(recipe, ingredients, run, last, costs, timed)
        found.append(one)
        if run is not stages[-1]:  # the next stage begins with its student, or learns from it
            one.trainer.evaluate()  # without a validation after a step no student is kept
            run.keep(one.trainer, run.record(one.trainer, (), Phases()))
    total, work = sum(run.steps for run in stages), found[0].trainer.work
    once = {name: costs.cost(name) for name in sorted(costs.seconds)}
    ready = sum(one.ready for one in found) - sum(cost.seconds for cost in once.values())
    return TrainingTiming(
        stages=tuple(
            StageTiming(
                share=run.steps / total if total else 1.0,
                warm_up=one.steps[0],
                steps=tuple(one.steps[WARM_UP:]),
            )
            for run, one in zip(stages, found, strict=True)
        ),
        once=once,
        start_up_seconds=max(0.0, ready),
        batch_size=recipe.settings.batch_size,
        device=ingredients.device.partition(":")[0],
        machine=device_name(ingredients.device),
        precision=ingredients.precision,
        student_parameters=_parameters(found[0].trainer.model) or 1,
        teacher_parameters=_parameters(work.teacher),
        others=max((one.others for one in found if one.others is not None), default=None),
        load=load,
    )


def _parameters(model: Any) -> int | None:
    return None if model is None else sum(map(size_of, model.parameters()))


def _timed_recipe(recipe: Recipe, scratch: Path, timed: int) -> Recipe:
    """The recipe with folders of its own, validated as little as possible.

    If the teacher answers the training set before the first step, it only answers the prompts that
    the timed steps use.
    """
    settings, stages = recipe.settings, recipe.method.stages()
    changes: dict[str, Any] = {
        "out": scratch / "student",
        "teacher_responses": scratch / "teacher-responses",
        "report_to": (),
        "validation_samples": 1,
        "select": "last",
    }
    if any(isinstance(stage.triple.source.inner, FromTeacher) for stage in stages):
        steps, shares = WARM_UP + timed, [stage.share for stage in stages]
        least = math.ceil(2 * steps * sum(shares) / min(shares))
        prompts = math.ceil(max(recipe.prompts_per_step, settings.batch_size) * steps)
        changes |= {"limit": min(prompts, settings.limit or prompts)}
        changes |= {"steps": settings.steps or least, "epochs": None}
    return replace(recipe, settings=settings.model_copy(update=changes))


@dataclass
class _TimedStage:
    """A stage whose first steps were timed.

    Attributes:
        trainer: The trainer after them.
        steps: The warm-up step and the timed ones.
        ready: Seconds until its first step.
        others: Share of the machine's processor time that others took.
    """

    trainer: DistillationTrainer
    steps: list[StepTiming]
    ready: float
    others: float | None


def _time_stage(
    recipe: Recipe,
    base: Ingredients,
    run: StageRun,
    last: StageRun | None,
    costs: ClockedPhases,
    timed: int,
) -> _TimedStage:
    began = time.perf_counter()
    ingredients, triple = run.ingredients(base, last), run.stage.triple
    triple.check_data(ingredients.train.examples, ingredients.valid.examples)
    examples = examples_of(recipe, ingredients, triple, costs)
    scratch = recipe.out.parent
    ready = prepare(
        ingredients, triple, examples, run.folder, run.name or "", scratch / "prepared", costs
    )
    # Fewer if the stage is shorter, but the first step is never among them.
    wanted = min(timed, ready.arguments.max_steps - WARM_UP)
    if wanted < 1:
        raise InputError(
            f"has {ready.arguments.max_steps} steps{f' in {run.name}' if run.name else ''}; to be "
            f"timed it needs {WARM_UP + 1}, as the first is a warm-up"
        )
    trainer = make_trainer(ready)
    trainer.phases = ClockedPhases()
    clock = StepClock(trainer, wanted)
    trainer.add_callback(clock)  # after those of the course, whose validations it calls off
    try:
        trainer.train()
    finally:
        trainer.close()
        clock.close()
    return _TimedStage(trainer, clock.steps, clock.began - began, clock.others)
