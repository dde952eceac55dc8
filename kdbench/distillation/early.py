"""What can be checked of a recipe before torch and transformers are imported.

A wrong path then costs no more than a fraction of a second, and not the hashing of another model.
What is checked here is checked again where it is used.
"""

from kdbench.checkpoint import check_checkpoint
from kdbench.config import is_on_server
from kdbench.distillation.cached import check_cached
from kdbench.distillation.card import CARD
from kdbench.distillation.data import SetFile, check_files
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.rollouts import check_rollouts
from kdbench.distillation.students import check_student
from kdbench.errors import InputError, nearest_path
from kdbench.scores.served.server import find_models
from kdbench.training.stage import check_stages, steps_of


def check_early(recipe: Recipe) -> None:
    """Check the method, and names and paths: student, teacher, data sets, plain texts and out.

    Raises:
        InputError: One of them does not exist or is missing, a checkpoint is incomplete, or the
            method's terms do not fit its source.
    """
    settings = recipe.settings
    for key in recipe.method.required:
        if getattr(recipe.method, key) is None:
            raise InputError(
                f"{key}= is missing: {type(recipe.method).model_fields[key].description}"
            )
    stages = recipe.method.stages()
    check_stages(stages)
    if settings.steps is not None:
        steps_of(stages, settings.steps)
    check_rollouts(settings, stages, finished=recipe.out.exists())
    if settings.teacher is None and recipe.method.needs_teacher:
        raise InputError(f"teacher= is missing: method={settings.method} learns from one")
    cached = check_cached(settings, stages)
    if settings.teacher is not None and cached is None and not is_on_server(settings.teacher):
        check_checkpoint(settings.teacher, None, settings.unsafe_pickle, "teacher")
    check_student(settings.student, settings.teacher, settings.unsafe_pickle)
    if recipe.out.exists() and not (recipe.out / CARD).is_file():
        raise InputError(
            f"out={recipe.out}: exists, and is not a checkpoint of kdbench train (no {CARD}); pass "
            "another out="
        )
    check_files(SetFile(settings.data, settings.train_set, "train"))
    check_files(SetFile(settings.data, settings.validation_set, "valid"))
    if settings.pretraining is not None and not settings.pretraining.is_file():
        raise InputError(
            f"pretraining={settings.pretraining}: no such file{nearest_path(settings.pretraining)}"
        )
    if recipe.out.is_symlink() and not recipe.out.exists():
        raise InputError(
            f"out={recipe.out}: a link that leads nowhere; delete it, or pass another out="
        )
    if settings.teacher is not None and is_on_server(settings.teacher):
        find_models(settings, settings.teacher)
