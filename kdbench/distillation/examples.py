"""The examples that a stage learns from, with the teacher's responses if it learns from those."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, RootModel

from kdbench.distillation.claim import locked
from kdbench.distillation.data import set_name, with_responses
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.teacher_responses import folder_of, teacher_responses
from kdbench.distillation.teacher_scores import PassOptions, complete
from kdbench.errors import InputError
from kdbench.system.files import put_text
from kdbench.system.records import read_record
from kdbench.training.phases import Phases
from kdbench.training.source import FromTeacher
from kdbench.training.triple import Triple
from kdbench.views.rollout import Example

_SECONDS = "seconds.json"


class _Seconds(RootModel[float]):
    """Seconds of the teacher's generation so far, on disk."""

    root: float = Field(ge=0)


def examples_of(
    recipe: Recipe, ingredients: Ingredients, triple: Triple, costs: Phases
) -> Sequence[Example]:
    """The training set, with the teacher's responses if the method learns from those."""
    from kdbench.distillation.arguments import sampling

    settings, out = recipe.settings, recipe.out  # the seed of the run, in every stage
    source = triple.source.inner
    if not isinstance(source, FromTeacher):
        return ingredients.train.examples
    served = ingredients.served
    if ingredients.teacher is None and served is None:
        raise InputError(f"teacher= is missing: method={settings.method} learns from one")
    protocol = sampling(settings)
    cache = settings.teacher_responses or out.parent / "teacher-responses"
    given = ingredients.teacher or ingredients.cached
    teacher = f"{given and given.sha256} {ingredients.teacher_dtype}"
    if settings.teacher_quantization is not None:
        teacher += f" {settings.teacher_quantization}"
    folder = folder_of(cache, teacher, ingredients.train.sha256, protocol, settings.seed)
    size = settings.generation_batch_size
    kept = ("teacher_responses", "*/*.jsonl")
    with locked(folder, wait=True), _total_cost(folder, costs, *kept):
        responses, tokens = teacher_responses(
            folder / set_name(settings.train_set) / "train.jsonl",
            ingredients.train.rows,
            protocol,
            settings.seed,
            lambda: ingredients.teacher_model,
            None if size == "auto" else size,
            None if served is None else served.answers(protocol, settings.seed),
        )
    costs.count("teacher_responses", tokens)
    if not triple.needs_teacher_model:
        ingredients.forget_teacher()
    appends = source.truncated_end == "append"
    return with_responses(ingredients.train, responses, ingredients.encoder, appends)


def cache_scores(
    ingredients: Ingredients, triple: Triple, examples: Sequence[Example], costs: Phases
) -> None:
    """Complete the cache of `teacher_cache=`, if there is one, and free the teacher's memory.

    Args:
        ingredients: The teacher and its settings.
        triple: The method in training.
        examples: The training examples.
        costs: Where the costs are added.
    """
    cache, settings = ingredients.cache, ingredients.settings
    if cache is not None and ingredients.served is not None:
        with locked(cache.folder, wait=True):
            ingredients.served.prepare(examples, not triple.source.gives_samples, costs)
        return
    if cache is None or ingredients.cached is not None:
        return
    kept = ("teacher_scores", "scores/*.safetensors")
    with locked(cache.folder, wait=True), _total_cost(cache.folder, costs, *kept):
        complete(cache, ingredients, examples, PassOptions(settings.micro_batch_size))
        costs.count("teacher_scores", sum(len(example.response_ids) for example in examples))
    ingredients.forget_teacher()


def seconds_of(folder: Path) -> float:
    """The seconds that the teacher has worked on what a folder keeps."""
    file = folder / _SECONDS
    return read_record(file, _Seconds).root if file.exists() else 0.0


def add_seconds(folder: Path, seconds: float) -> None:
    """Add to the seconds that the teacher has worked on what a folder keeps."""
    put_text(folder / _SECONDS, json.dumps(seconds_of(folder) + seconds))


@contextmanager
def _total_cost(folder: Path, costs: Phases, phase: str, made: str) -> Iterator[None]:
    """Time the teacher's work; the total is kept with what it made for later runs."""
    seconds_before = seconds_of(folder)
    try:
        with costs(phase):
            yield
    finally:
        if any(folder.glob(made)):
            costs.seconds[phase] += seconds_before
            put_text(folder / _SECONDS, json.dumps(costs.seconds[phase]))
