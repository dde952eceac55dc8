"""The data sets that a table builds: what its file says, and what has to be made before what.

A training names one as `train_set: built:NAME`, and so does a data set that is built from another.
A builder may ask a model that is trained by a row, whose training may learn from a built set in
turn; so the models and sets of a table are put in order here, before any of them is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kdbench.config.build_keys import BuildSettings
from kdbench.errors import InputError, faults_in, nearest
from kdbench.filling.building import SetBuilder, SetRecipe, builder_kind, set_recipe
from kdbench.filling.keys import refuse_keys_of_set
from kdbench.filling.rows import SpecRow, spec_row
from kdbench.filling.spec import STUDENT, TEACHER, TableSpec
from kdbench.generate import backends

T = TypeVar("T")

BUILT = "built:"


@dataclass(frozen=True)
class Item:
    """A model or a built set of a table.

    Attributes:
        kind: `teacher`, `student`, `row` or `set`.
        name: Name of a set.
        row: Number of a row.
    """

    kind: str
    name: str = ""
    row: int = 0


_TEACHER, _STUDENT = Item("teacher"), Item("student")
_OF_TABLE = {"teacher": _TEACHER, "student": _STUDENT}  # what a builder asks if nothing is named


@dataclass(frozen=True)
class DataSetPlan:
    """A data set in a table's file.

    Attributes:
        name: Its name.
        recipe: The settings of its build, without the places of what the table makes.
        source: Name of the built set that it reads; None for a set that exists.
        models: The builder's keys that name a model of the table, and which.
        others: Names of the built sets that its other keys name.
    """

    name: str
    recipe: SetRecipe
    source: str | None = None
    models: Mapping[str, Item] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    @property
    def is_served(self) -> bool:
        """Whether a server has its models."""
        return _is_served(self.recipe.settings.backend)


@dataclass(frozen=True)
class TableOrder:
    """The models and sets of a table.

    Attributes:
        items: All of them, each after those that it is made from.
        plans: The data sets by name.
    """

    items: tuple[Item, ...]
    plans: Mapping[str, DataSetPlan]


def built_set(train_set: str, known: Mapping[str, T]) -> T | None:
    """The built set that `train_set=` names; None if it names a set that exists.

    Args:
        train_set: The value of the key.
        known: The built sets by name.

    Raises:
        InputError: The table builds no such set.
    """
    if not train_set.startswith(BUILT):
        return None
    name = train_set.removeprefix(BUILT)
    if name not in known:
        way = nearest(name, known) if known else "add data_sets: to the file"
        raise InputError(f"{train_set}: the table builds no set '{name}': {way}")
    return known[name]


def check_data_sets(
    spec: TableSpec, rows: Sequence[SpecRow], execution: Mapping[str, Any], file: Path
) -> None:
    """Check what a table builds and who learns from it, before any model is looked at.

    Args:
        spec: Specification of the table.
        rows: Its rows.
        execution: Keys of every node that do not affect results, such as `plugins`.
        file: The table's file, for messages.

    Raises:
        InputError: A builder, key, model or set is unknown, or a set needs itself.
    """
    with faults_in(str(file)):
        order_of(spec, rows, execution)


def order_of(
    spec: TableSpec, rows: Sequence[SpecRow], execution: Mapping[str, Any] | None = None
) -> TableOrder:
    """The models and data sets of a table, each after those that it is made from.

    Args:
        spec: Specification of the table.
        rows: Its rows.
        execution: Keys of every node that do not affect results.

    Raises:
        InputError: As for `check_data_sets`, without the file's name.
    """
    models = {_TEACHER: spec_row(spec, spec.teacher, execution, TEACHER)}
    if spec.student is not None:
        models[_STUDENT] = spec_row(spec, spec.student, execution, STUDENT)
    models |= {Item("row", row=number): row for number, row in enumerate(rows)}
    labels = {row.label: item for item, row in models.items() if row.label is not None}
    plans = {name: _plan(name, spec, labels, execution or {}) for name in spec.data_sets}
    words = {item: _words(item, row) for item, row in models.items()}
    needs = {item: _parents(item, row, models, plans, words[item]) for item, row in models.items()}
    for name, plan in plans.items():
        item = Item("set", name)
        words[item] = f"{BUILT}{name}"
        sets = [*([] if plan.source is None else [plan.source]), *plan.others]
        needs[item] = [*plan.models.values(), *(Item("set", name) for name in sets)]
    return TableOrder(_sorted(needs, words), plans)


def _words(item: Item, row: SpecRow) -> str:
    return f"row '{row.label}'" if item.kind == "row" else f"{item.kind} '{row.label}'"


def _parents(
    item: Item,
    row: SpecRow,
    models: Mapping[Item, SpecRow],
    plans: Mapping[str, DataSetPlan],
    words: str,
) -> list[Item]:
    """What a training is made from: the teacher, the initial student, and its training set."""
    if row.train_set is None:
        return []
    try:
        plan = built_set(row.train_set, plans)
    except InputError as error:
        raise InputError(f"{words}: train_set: {error}") from None
    shared = {"teacher": (), "student": (_TEACHER,)}.get(item.kind, (_TEACHER, _STUDENT))
    sets = [] if plan is None else [Item("set", plan.name)]
    return [*(parent for parent in shared if parent in models), *sets]


def _plan(
    name: str, spec: TableSpec, labels: Mapping[str, Item], execution: Mapping[str, Any]
) -> DataSetPlan:
    """A data set of the table's file, with the models and the set of the table that it names."""
    keys = {key: value for key, value in spec.data_sets[name].items() if key != "resources"}
    where = f"data_sets: {name}"
    refuse_keys_of_set(keys, where)
    with faults_in(where):
        kind = builder_kind(keys)
        is_served = _is_served(str(keys.get("backend", "hf")))
        models = {} if is_served else _models(kind, keys, labels)
        for_now = {key: str(keys.get(key, key)) for key in models}  # places are not known yet
        of_session = {k: v for k, v in execution.items() if k in BuildSettings.model_fields}
        recipe = set_recipe({**keys, **for_now, **of_session})
        is_built = built_set(recipe.settings.train_set, spec.data_sets) is not None
        others = _built_sets(recipe.builder, spec.data_sets)
    source = recipe.settings.train_set.removeprefix(BUILT) if is_built else None
    return DataSetPlan(name, recipe, source, models, others)


def _models(
    kind: type[SetBuilder], keys: Mapping[str, Any], labels: Mapping[str, Item]
) -> dict[str, Item]:
    """The models of the table that a builder asks, by its key.

    A key that the builder cannot do without names the table's own model if it is not given.

    Raises:
        InputError: A key names neither one of them nor what can be a checkpoint.
    """
    found = {}
    for key in kind.models:
        value = keys.get(key)
        if value is None and kind.model_fields[key].is_required():
            item = _OF_TABLE.get(key)
            if item is not None and item in labels.values():
                found[key] = item
        elif isinstance(value, str) and value in labels:
            found[key] = labels[value]
        elif isinstance(value, str) and not _may_be_checkpoint(value):
            near = nearest(value, labels)
            raise InputError(
                f"{key}: '{value}': neither a model of the table nor a checkpoint: {near}"
            )
    return found


def _built_sets(builder: SetBuilder, known: Mapping[str, object]) -> tuple[str, ...]:
    """The built sets that keys for files name.

    Raises:
        InputError: The table builds no such set.
    """
    named = []
    for key in builder.files:
        for path in paths_of(getattr(builder, key)):
            with faults_in(key):
                if built_set(str(path), known) is not None:
                    named.append(str(path).removeprefix(BUILT))
    return tuple(named)


def paths_of(value: object) -> tuple[Path, ...]:
    """The paths in the value of a key for files."""
    paths = () if value is None else value if isinstance(value, tuple) else (value,)
    return tuple(Path(str(path)) for path in paths)


def _may_be_checkpoint(value: str) -> bool:
    """Whether a value is a path, which a world may still have to make, or a name on the hub."""
    return "/" in value or Path(value).exists()


def _is_served(backend: str) -> bool:
    name, _, argument = backend.partition(":")
    return backends.get(name).is_served(argument)


def _sorted(needs: Mapping[Item, Sequence[Item]], words: Mapping[Item, str]) -> tuple[Item, ...]:
    """All items, each after those that it needs, and otherwise in the given order.

    Raises:
        InputError: An item needs itself.
    """
    done: dict[Item, None] = {}

    def add(item: Item, path: tuple[Item, ...]) -> None:
        if item in done:
            return
        if item in path:
            circle = [words[other] for other in (*path[path.index(item) :], item)]
            raise InputError(f"data_sets: a circle: {' needs '.join(circle)}")
        for needed in needs[item]:
            add(needed, (*path, item))
        done[item] = None

    for item in needs:
        add(item, ())
    return tuple(done)
