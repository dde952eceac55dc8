"""The graph of a table: teacher → shared initial student → each method → each row's evaluation.

Between models and methods there can be data sets, which a builder makes. A node's fingerprint
covers everything that decides its outcome: its settings, the nodes it builds on, data and versions.
The fingerprint is part of the node's place, so a changed node has a new place, and whatever exists
at a place is complete.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from kdbench.checkpoint import check_checkpoint
from kdbench.errors import InputError, nearest
from kdbench.filling.basis import Basis, Places
from kdbench.filling.build_node import BuildNode
from kdbench.filling.builds import build_node
from kdbench.filling.data_sets import Item, TableOrder, order_of
from kdbench.filling.evaluations import evaluation_node
from kdbench.filling.models import TableParents, model_node, with_seeds
from kdbench.filling.nodes import EvaluateNode, ModelNode, Node
from kdbench.filling.rows import spec_rows
from kdbench.filling.spec import STUDENT, TEACHER, TableSpec
from kdbench.system.remote.hooks import open_mirrors

__all__ = ["Graph", "Places"]

N = TypeVar("N", bound=Node)


class Graph:
    """All nodes of a table, each after those that it needs.

    Attributes:
        nodes: Nodes by key, in an order in which they can be done.
        rows: Models of the table's rows, in order.
        teacher: Model of the teacher.
        evaluations: Evaluations by the label of their model.
        goals: Keys of the nodes that are asked for: the evaluations of all rows, or of some, and
            with `checkpoints` their models too, and what these are trained from.

    Args:
        spec: Specification of the table.
        places: Folders of the table.
        execution: Keys for trainings and evaluations that do not affect results: `device`,
            `report_to`.
        rows: Labels of the rows that are asked for; empty for all.
        checkpoints: Whether their models are asked for too, where their evaluations exist.

    Raises:
        InputError: an entry has an unknown key, the label of another one, or no student; no row has
            a label of `rows`.
    """

    def __init__(
        self,
        spec: TableSpec,
        places: Places,
        execution: Mapping[str, Any] | None = None,
        rows: Sequence[str] = (),
        checkpoints: bool = False,
    ):
        self.spec, self.places = spec, places
        self._basis = Basis(spec, places, dict(execution or {}))
        self.setting = self._basis.setting
        self.nodes: dict[str, Node] = {}
        self.evaluations: dict[str, EvaluateNode] = {}
        self._models: dict[Item, list[ModelNode]] = {}
        self._sets: dict[str, BuildNode] = {}
        self._labels = set[str]()
        self._mirrors = open_mirrors()
        _check_checkpoints(spec)
        order = _order(spec, self._basis.execution)
        for item in order.items:
            self._add(item, order)
        self.teacher = self._models[Item("teacher")][0]
        self.rows = [
            model
            for number in range(len(spec.rows))
            for model in self._models[Item("row", row=number)]
        ]
        floor = self._floor()
        self._add_evaluation(self.teacher, None)
        for row in sorted(self.rows, key=lambda row: row is not floor):  # the floor comes first
            self._add_evaluation(row, None if row is floor else floor)
        self.goals = self._goals(rows, checkpoints)

    def _add(self, item: Item, order: TableOrder) -> None:
        """Add a model or a data set, whose needs are there."""
        if item.kind == "set":
            self._add_set(item, order)
            return
        spec, parents = self.spec, self._parents()
        if item.kind == "teacher":
            models = [model_node(self._basis, spec.teacher, TEACHER, parents)]
        elif item.kind == "student":
            assert spec.student is not None  # noqa: S101 - else there is no such item
            models = [model_node(self._basis, spec.student, STUDENT, parents)]
        else:
            models = [
                model_node(self._basis, entry, None, parents, place)
                for place, entry in enumerate(with_seeds(spec.rows[item.row], spec))
            ]
        for model in models:
            if model.label in self._labels:
                raise InputError(
                    f"two models have the label '{model.label}'; give one of them a label: of its "
                    "own"
                )
            self._labels.add(model.label)
        self._models[item] = [self._kept(model) for model in models]

    def _add_set(self, item: Item, order: TableOrder) -> None:
        plan = order.plans[item.name]
        # A row's first training seed stands for it.
        models = {key: self._models[model][0] for key, model in plan.models.items()}
        self._sets[item.name] = self._kept(build_node(self._basis, plan, models, self._sets))

    def _parents(self) -> TableParents:
        """What the table gives to a training: all that is there by now."""
        teacher, student = (
            self._models[item][0] if item in self._models else None
            for item in (Item("teacher"), Item("student"))
        )
        return TableParents(teacher, student, self._sets)

    def _add_evaluation(self, model: ModelNode, floor: ModelNode | None) -> None:
        teacher = None if model is self.teacher else self.teacher
        node = evaluation_node(self._basis, model, teacher, floor, self.evaluations)
        self.evaluations[node.label] = self._kept(node)

    def _kept(self, node: N) -> N:
        """The node as it is in the graph."""
        node = replace(node, mirrors=self._mirrors)
        self.nodes[node.key] = node
        return node

    def _goals(self, rows: Sequence[str], checkpoints: bool) -> frozenset[str]:
        models = (self.teacher, *self.rows)
        known = {model.row for model in models}
        for row in rows:
            if row not in known:
                raise InputError(f"rows={row}: the table has no such row: {nearest(row, known)}")
        asked = [model for model in models if not rows or model.row in rows]
        goals = {self.evaluations[model.label].key for model in asked}
        for model in asked if checkpoints else ():
            goals |= {model.key, *model.needs}
        return frozenset(goals)

    def _floor(self) -> ModelNode | None:
        """The row whose fidelity is the floor of the others'."""
        label = self.spec.undistilled
        if label is None:
            return None
        rows = {row.label: row for row in self.rows}
        if label not in rows:
            raise InputError(f"undistilled: no row has the label '{label}': {nearest(label, rows)}")
        return rows[label]


def _order(spec: TableSpec, execution: Mapping[str, Any]) -> TableOrder:
    """The order of models and data sets; without the latter it is that of the file."""
    if spec.data_sets:
        return order_of(spec, spec_rows(spec, execution), execution)
    students = [Item("student")] if spec.student is not None else []
    rows = [Item("row", row=number) for number in range(len(spec.rows))]
    return TableOrder((Item("teacher"), *students, *rows), {})


def _check_checkpoints(spec: TableSpec) -> None:
    """Check that the named checkpoints exist, before any of them is hashed."""
    for entry in (spec.teacher, spec.student, *spec.rows):
        if entry is not None and entry.checkpoint is not None:
            check_checkpoint(entry.checkpoint, None, entry.unsafe_pickle, key="checkpoint")
