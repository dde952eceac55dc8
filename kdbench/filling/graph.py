"""The graph of a table: teacher → shared initial student → each method → each row's evaluation.

A node's fingerprint covers all that goes into it: its settings, what they stand on, versions. Its
place carries the fingerprint, so a changed node is another place, and what is there is whole.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from kdbench.checkpoint import find_checkpoint, is_hub_name
from kdbench.config import EvalSettings, TeacherKeys, build
from kdbench.distillation.ingredients import NO_PART
from kdbench.distillation.recipe import Recipe, make_recipe
from kdbench.errors import InputError
from kdbench.filling.spec import Entry, TableSpec
from kdbench.metrics import compares_with_teacher, make_metrics, make_teacher_metrics
from kdbench.task import task_definition

TEACHER, STUDENT = "Teacher", "Student"
DIGITS = 8  # of a fingerprint in a path
# A key that a later version adds changes nothing that was made without it; a default that changes
# does: then this number is raised.
_DEFAULTS = 1
MARKS = "filled"  # folder beside the results: which evaluation stands where, by fingerprint

# How or where an evaluation runs is no part of its numbers.
_NO_PART_OF_EVALUATION = {
    *("model", "teacher", "undistilled", "data", "results", "name", "method", "setting"),
    *("teacher_name", "undistilled_name"),
    *("device", "batch_size", "shard", "teacher_cache", "cache_top_k"),
}
# What the table itself says.
_OWN = {"teacher", "out", "data", "label", "setting", "model", "undistilled", "results", "name"}


@dataclass(frozen=True)
class Node:
    """A piece of work.

    Attributes:
        kind: a `checkpoint` is given, `train` makes one, `evaluate` measures one.
        label: of the row.
        needs: keys of the nodes that must be done before.
        fingerprint: of all that goes into it, SHA-256.
        place: the checkpoint's folder, or the file that says that its results are there.
        work: what to run; None for a given checkpoint.
    """

    kind: Literal["checkpoint", "train", "evaluate"]
    label: str
    needs: tuple[str, ...]
    fingerprint: str
    place: Path
    work: Recipe | EvalSettings | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """Unique in the graph, and readable."""
        return f"{self.kind} {self.label}"


@dataclass(frozen=True)
class Places:
    """Where a table's things lie.

    Attributes:
        models: folder of checkpoints, logs and marks.
        results: folder of results.
        data: folder of the data sets; None is the hub.
    """

    models: Path
    results: Path
    data: Path | None


class Graph:
    """All nodes of a table, each after those that it needs.

    Attributes:
        nodes: by key, in an order in which they can be done.
        rows: the rows' models, in the table's order.
        teacher: the teacher's model.

    Args:
        spec: the table.
        places: where its things lie.
        how: keys that say how to run, for training and evaluation alike: `device`.

    Raises:
        InputError: an entry that cannot be: unknown keys, two rows of one label, no student.
    """

    def __init__(self, spec: TableSpec, places: Places, how: Mapping[str, Any] | None = None):
        self.spec, self.places, self._how = spec, places, dict(how or {})
        self.setting = spec.setting or spec.title
        self.nodes: dict[str, Node] = {}
        self._labels: set[str] = set()
        self.teacher = self._add(self._model(spec.teacher, TEACHER, None, None))
        student = None
        if spec.student is not None:
            student = self._add(self._model(spec.student, STUDENT, self.teacher, None))
        self.rows = [self._add(self._model(one, None, self.teacher, student)) for one in spec.rows]
        floor = self._floor()
        self._add(self._evaluation(self.teacher, None))
        for row in sorted(self.rows, key=lambda one: one is not floor):  # others need the floor's
            self._add(self._evaluation(row, None if row is floor else floor))

    def _add(self, node: Node) -> Node:
        if node.key in self.nodes or (node.kind != "evaluate" and node.label in self._labels):
            raise InputError(f"two models are called '{node.label}': give one another label:")
        self._labels.add(node.label)
        self.nodes[node.key] = node
        return node

    def _floor(self) -> Node | None:
        wanted = self.spec.undistilled
        if wanted is None:
            return None
        for row in self.rows:
            if row.label == wanted:
                return row
        raise InputError(f"undistilled: '{wanted}' is none of the rows' labels")

    def _model(
        self, entry: Entry, label: str | None, teacher: Node | None, student: Node | None
    ) -> Node:
        label = entry.label or label
        if entry.checkpoint is not None:
            if is_hub_name(entry.checkpoint):  # fetched when it is needed; its name says enough
                name = label or entry.checkpoint.replace("/", "__")
                return Node(
                    "checkpoint", name, (), _digest(entry.checkpoint), Path(entry.checkpoint)
                )
            given = find_checkpoint(entry.checkpoint, key="checkpoint")
            name = label or given.card.get("method") or given.name
            return Node("checkpoint", name, (), given.sha256, given.path)
        return self._training({**self.spec.train, **(entry.train or {})}, label, teacher, student)

    def _training(
        self,
        keys: Mapping[str, Any],
        label: str | None,
        teacher: Node | None,
        student: Node | None,
    ) -> Node:
        _refuse_own(keys, "train")
        start: str | None = keys.get("student") or (str(student.place) if student else None)
        recipe = make_recipe({**keys, **self._given(start, teacher)})
        label = label or recipe.settings.label or recipe.method.title
        word = recipe.settings.student
        shared = student if student and word == str(student.place) else None
        looks_up = recipe.method.needs_teacher or "prune:teacher" in word
        needs = [one for one in (teacher if looks_up else None, shared) if one is not None]
        content = {
            "settings": _chosen(recipe.settings, NO_PART),
            "method": [recipe.settings.method, _chosen(recipe.method)],
            "student": None if shared else self._content_of(word),
            "needs": [one.fingerprint for one in needs],
            "data": self._files(f"{recipe.settings.train_set}/[tv][ra]*.jsonl*"),
        }
        fingerprint = _digest(content)
        place = self.places.models / f"{_slug(label)}-{fingerprint[:DIGITS]}"
        settings = recipe.settings.model_copy(
            update={"out": place, "label": label, "setting": self.setting}
        )
        keys_of = tuple(one.key for one in needs)
        return Node("train", label, keys_of, fingerprint, place, replace(recipe, settings=settings))

    def _content_of(self, word: str) -> str:
        """What a student's word stands for: a checkpoint's content counts, not its place."""
        if ":" in word or is_hub_name(word):
            return word
        return find_checkpoint(word, key="student").sha256

    def _given(self, start: str | None, teacher: Node | None) -> dict[str, Any]:
        given = {"data": self.places.data, **self._how}
        if teacher is not None:
            given["teacher"] = str(teacher.place)
        if start is not None:
            given["student"] = start
        return {key: value for key, value in given.items() if value is not None}

    def _evaluation(self, model: Node, floor: Node | None) -> Node:
        keys = dict(self.spec.evaluate)
        _refuse_own(keys, "evaluate")
        if model is self.teacher and "metrics" in keys:  # nobody is beside it
            keys["metrics"] = [one for one in keys["metrics"] if not compares_with_teacher(one)]
        if model is self.teacher:
            keys = {
                key: value for key, value in keys.items() if key not in TeacherKeys.model_fields
            }
        needs = [model] if model is self.teacher else [model, self.teacher]
        needs += [floor] if floor else []
        settings = build(
            EvalSettings,
            {
                **keys,
                **self._how,
                "model": str(model.place),
                "teacher": None if model is self.teacher else str(self.teacher.place),
                "teacher_name": None if model is self.teacher else self.teacher.label,
                "undistilled": str(floor.place) if floor else None,
                "undistilled_name": floor.label if floor else None,
                "tasks": self.spec.tasks,
                "data": self.places.data,
                "results": self.places.results,
                "name": model.label,
                "method": model.label,
                "setting": self.setting,
            },
        )
        measured = [*make_metrics(settings.metrics), *make_teacher_metrics(settings.metrics)]
        content = {
            "settings": _chosen(settings, _NO_PART_OF_EVALUATION),
            "needs": [one.fingerprint for one in needs],
            "metrics": sorted([one.name, one.version] for one in measured),
            "tasks": [task_definition(task) for task in settings.tasks],
            "data": self._files("*/test.jsonl*"),
        }
        fingerprint = _digest(content)
        mark = f"{_slug(model.label)}-{fingerprint[:DIGITS]}.json"
        before = [one.key for one in needs]
        # Rows share the teacher's responses and the floor's numbers: these are made once, before.
        before += [f"evaluate {one.label}" for one in needs[1:]]
        place = self.places.results / MARKS / mark
        return Node("evaluate", model.label, tuple(before), fingerprint, place, settings)

    def _files(self, pattern: str) -> Any:
        """Content of the data; without a folder the sets of the hub, whose names say enough."""
        if self.places.data is None:
            return None
        return [
            [str(file.relative_to(self.places.data)), hashlib.sha256(file.read_bytes()).hexdigest()]
            for file in sorted(self.places.data.glob(pattern))
        ]


def _refuse_own(keys: Mapping[str, Any], where: str) -> None:
    for key in keys:
        if key in _OWN:
            raise InputError(f"{where}: '{key}' is the table's to say, not an entry's")


def _chosen(settings: BaseModel, no_part: Set[str] = frozenset()) -> dict[str, Any]:
    """What differs from the defaults."""
    chosen = settings.model_dump(mode="json", exclude=set(no_part), exclude_defaults=True)
    return {**chosen, "defaults": _DEFAULTS}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _slug(label: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", label).strip("-")
