"""The models of a table as nodes: given checkpoints and trainings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kdbench.checkpoint import find_checkpoint, is_hub_name
from kdbench.config import TrainSettings
from kdbench.distillation.ingredients import NO_PART
from kdbench.distillation.recipe import Recipe, make_recipe
from kdbench.errors import faults_in
from kdbench.filling.basis import DIGITS, Basis, code_of, refuse_of_session
from kdbench.filling.build_node import BuildNode
from kdbench.filling.data_sets import built_set
from kdbench.filling.fingerprints import digest, non_defaults
from kdbench.filling.inputs import contents_of_keys, identity_of_model
from kdbench.filling.keys import training_keys
from kdbench.filling.nodes import CheckpointNode, ModelNode, TrainNode, keys_of, slug
from kdbench.filling.rows import place_of
from kdbench.filling.spec import Entry, TableSpec
from kdbench.measuring.given_card import card_beside, read_given_card, with_given_card


@dataclass(frozen=True)
class TableParents:
    """What a table gives to its trainings.

    Attributes:
        teacher: The table's teacher.
        student: Its initial student.
        data_sets: The data sets that are built, by name.
    """

    teacher: ModelNode | None = None
    student: ModelNode | None = None
    data_sets: Mapping[str, BuildNode] = field(default_factory=dict)


def with_seeds(row: Entry, spec: TableSpec) -> list[Entry]:
    """An entry for each training seed of a row; a given checkpoint has one."""
    seeds = spec.train_seeds
    count = seeds if isinstance(seeds, int) else len(seeds)
    return [row] * (1 if row.train is None else count)


def model_node(
    basis: Basis,
    entry: Entry,
    label: str | None,
    parents: TableParents,
    seed_place: int | None = None,
) -> ModelNode:
    """The node of a model.

    Args:
        basis: What all nodes have in common.
        entry: The model in the table's file.
        label: Its label if the file does not name one.
        parents: What the table gives to its trainings.
        seed_place: Place of its training seed among those of the table; None for a model that has
            no others.

    Raises:
        InputError: A checkpoint or file does not exist, or a key or value is wrong.
    """
    label = entry.label or label
    if entry.checkpoint is None:
        return _training(basis, entry, label, parents, seed_place)
    if is_hub_name(entry.checkpoint):  # fetched only when needed; the name identifies it
        given = read_given_card(entry.card) if entry.card else None
        label = label or (given and given.row_label) or entry.checkpoint.replace("/", "__")
        place, name = Path(entry.checkpoint), digest(entry.checkpoint)
        return CheckpointNode(label, (), name, place, entry.card, entry.unsafe_pickle)
    # Code that may run in an evaluation is a part of what was evaluated.
    checkpoint = find_checkpoint(
        entry.checkpoint, None, entry.unsafe_pickle, key="checkpoint", trust_remote_code=True
    )
    checkpoint = with_given_card(checkpoint, entry.card)
    label = label or checkpoint.card.get("method") or checkpoint.name
    card = entry.card or card_beside(checkpoint)
    return CheckpointNode(label, (), checkpoint.sha256, checkpoint.path, card, entry.unsafe_pickle)


def _training(
    basis: Basis, entry: Entry, label: str | None, parents: TableParents, seed_place: int | None
) -> TrainNode:
    keys = training_keys(basis.spec, entry)
    teacher, student = parents.teacher, parents.student
    own_teacher = keys.get("teacher")
    if own_teacher is not None and teacher and str(own_teacher) == str(teacher.place):
        own_teacher = None
    if own_teacher is not None:
        teacher = None
    recipe = _recipe(basis, entry, keys, own_teacher, TableParents(teacher, student))
    row = label or recipe.settings.label or recipe.method.title
    recipe = _with_seed(recipe, seed_place, basis.spec.train_seeds)
    # The first seed has the row's name, so that more seeds leave what is done as it is.
    label = f"{row} seed {recipe.settings.seed}" if seed_place else row
    built = built_set(recipe.settings.train_set, parents.data_sets)
    if built is not None:
        recipe = replace(recipe, settings=built.learned_with(recipe.settings))
    settings = recipe.settings
    start = settings.student
    shared = student if student and start == str(student.place) else None
    uses_teacher = recipe.method.needs_teacher or _is_of_teacher(start)
    made_from = (teacher if uses_teacher else None, shared, built)
    needs = [node for node in made_from if node is not None]
    content = {
        "settings": non_defaults(settings, NO_PART),
        "method": [settings.method, non_defaults(recipe.method), *code_of(recipe.method)],
        "student": None if shared else basis.contents.of(identity_of_model, start, "student"),
        "needs": [node.fingerprint for node in needs],
        "data": None
        if built
        else basis.files_of_set(settings.train_set, Path(settings.validation_set)),
    }
    if own_teacher is not None:
        content["teacher"] = basis.contents.of(identity_of_model, str(own_teacher), "teacher")
    if settings.watch:
        content["watch"] = _watched(basis, settings)
    if contents := contents_of_keys(recipe.method):
        content["contents"] = contents
    fingerprint = digest(content)
    place = basis.places.models / f"{slug(label)}-{fingerprint[:DIGITS]}"
    named = {"out": place, "label": row, "setting": basis.setting}
    recipe = replace(recipe, settings=settings.model_copy(update=named))
    return TrainNode(label, keys_of(needs), fingerprint, place, recipe)


def _watched(basis: Basis, settings: TrainSettings) -> dict[str, Any]:
    """What identifies each watched model, by its name; `teacher` for the run's own."""
    paths = settings.watched_paths
    return {
        name: basis.contents.of(identity_of_model, str(paths[name]), "watch")
        if name in paths
        else model
        for name, model in settings.watch.items()
    }


def _recipe(
    basis: Basis, entry: Entry, keys: Mapping[str, Any], own_teacher: object, parents: TableParents
) -> Recipe:
    """The recipe of an entry, with the models that it trains from and with."""
    given = {
        "data": basis.places.data,
        **basis.execution,
        "teacher": own_teacher or (parents.teacher and str(parents.teacher.place)),
        "student": keys.get("student") or (parents.student and str(parents.student.place)),
    }
    given = {key: value for key, value in given.items() if value is not None}
    recipe = basis.recipes.get(id(entry))
    if recipe is None:
        with faults_in(place_of(basis.spec, entry)):
            recipe = make_recipe({**keys, **given})
    basis.recipes[id(entry)] = recipe
    refuse_of_session(recipe.method)
    return recipe


def _with_seed(recipe: Recipe, place: int | None, seeds: int | tuple[int, ...]) -> Recipe:
    """The recipe with one of the table's training seeds; a number counts up from its own seed.

    The teacher and the initial student, which have no place among the seeds, keep their own.
    """
    if place is None:
        return recipe
    seed = recipe.settings.seed + place if isinstance(seeds, int) else seeds[place]
    return replace(recipe, settings=recipe.settings.model_copy(update={"seed": seed}))


def _is_of_teacher(student: str) -> bool:
    """Whether `student=` is made from the teacher, as `prune:teacher,layers=2` is."""
    kind, colon, model = student.partition(":")
    return bool(colon) and kind != "random" and model.partition(",")[0] == "teacher"
