"""The graph of a table: teacher → shared initial student → each method → each row's evaluation.

A node's fingerprint covers everything that decides its outcome: its settings, the nodes it builds
on, data and versions. The fingerprint is part of the node's place, so a changed node has a new
place, and whatever exists at a place is complete.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from kdbench.checkpoint import check_checkpoint, find_checkpoint, is_hub_name
from kdbench.config import EvalSettings, TeacherKeys, TrainSettings, build, is_file_of_rows
from kdbench.config.judge import JudgeKeys
from kdbench.distillation.ingredients import NO_PART
from kdbench.distillation.recipe import Recipe, make_recipe
from kdbench.errors import InputError, nearest, nearest_path
from kdbench.filling.fingerprints import Contents, digest, file_hashes, non_defaults
from kdbench.filling.inputs import contents_of_keys, identity_of_model
from kdbench.filling.keys import refuse_keys_of_table, training_keys
from kdbench.filling.nodes import CheckpointNode, EvaluateNode, Node, TrainNode
from kdbench.filling.spec import Entry, TableSpec
from kdbench.generate import backends
from kdbench.measuring.given_card import card_beside, read_given_card, with_given_card
from kdbench.metrics import compares_with_teacher, make_metrics, make_teacher_metrics
from kdbench.registry.plugins import KEY as PLUGINS
from kdbench.registry.plugins import stamp_of
from kdbench.system.files import sha256_of_file
from kdbench.system.remote.hooks import open_mirrors
from kdbench.task import task_definition

TEACHER, STUDENT = "Teacher", "Student"
DIGITS = 8  # of a fingerprint in a path
MARKS = "filled"  # folder of the evaluations' marks, below the results

# These keys say how or where an evaluation runs, which does not affect its numbers.
_NO_PART_OF_EVALUATION = {
    *("model", "teacher", "undistilled", "data", "results", "name", "method", "setting"),
    *("teacher_name", "undistilled_name", "card"),
    *("device", "batch_size", "teacher_cache", "cache_top_k"),
    *("token_details", "teacher_api", "teacher_tokenizer", "teacher_check", "teacher_budget"),
    *("teacher_concurrency", "teacher_timeout", "teacher_key_env"),
    *("shard", "shards", "executor", "executor_options", "storage_options", "work"),
    *("judge_url", "judge_key_env", "judge_concurrency", "judge_timeout"),
    *("report_to", "report_group", "plugins"),
}
ModelNode: TypeAlias = CheckpointNode | TrainNode


@dataclass(frozen=True)
class Places:
    """The folders of a table.

    Attributes:
        models: Folder of checkpoints, logs and recorded times.
        results: Folder of results and marks.
        data: Folder of the data sets; None for those of the hub.
    """

    models: Path
    results: Path
    data: Path | None


class Graph:
    """All nodes of a table, each after those that it needs.

    Attributes:
        nodes: Nodes by key, in an order in which they can be done.
        rows: Models of the table's rows, in order.
        teacher: Model of the teacher.
        evaluations: Evaluations by the label of their model.

    Args:
        spec: Specification of the table.
        places: Folders of the table.
        execution: Keys for trainings and evaluations that do not affect results: `device`,
            `report_to`.

    Raises:
        InputError: an entry has an unknown key, the label of another one, or no student.
    """

    def __init__(self, spec: TableSpec, places: Places, execution: Mapping[str, Any] | None = None):
        self.spec, self.places, self._execution = spec, places, dict(execution or {})
        self.setting = spec.setting or spec.title
        self.nodes: dict[str, Node] = {}
        self.evaluations: dict[str, EvaluateNode] = {}
        self._models: dict[str, ModelNode] = {}
        self._contents = Contents()
        self._recipes: dict[int, Recipe] = {}  # of entries, which all seeds of a row share
        self._mirrors = open_mirrors()
        _check_checkpoints(spec)
        self.teacher = self._add_model(spec.teacher, TEACHER)
        student = None
        if spec.student is not None:
            student = self._add_model(spec.student, STUDENT, self.teacher)
        self.rows = [
            self._add_model(entry, None, self.teacher, student, place)
            for row in spec.rows
            for place, entry in enumerate(_with_seeds(row, spec))
        ]
        floor = self._floor()
        self._add_evaluation(self.teacher, None)
        for row in sorted(self.rows, key=lambda row: row is not floor):  # the floor comes first
            self._add_evaluation(row, None if row is floor else floor)

    def _add_model(
        self,
        entry: Entry,
        label: str | None,
        teacher: ModelNode | None = None,
        student: ModelNode | None = None,
        seed_place: int | None = None,
    ) -> ModelNode:
        node = self._model(entry, entry.label or label, teacher, student, seed_place)
        if node.label in self._models:
            raise InputError(
                f"two models have the label '{node.label}'; give one of them another label:"
            )
        node = replace(node, mirrors=self._mirrors)
        self._models[node.label] = self.nodes[node.key] = node
        return node

    def _add_evaluation(self, model: ModelNode, floor: ModelNode | None) -> None:
        node = replace(self._evaluation(model, floor), mirrors=self._mirrors)
        self.evaluations[node.label] = self.nodes[node.key] = node

    def _floor(self) -> ModelNode | None:
        """The row whose fidelity is the floor of the others'."""
        label = self.spec.undistilled
        if label is None:
            return None
        rows = {row.label: row for row in self.rows}
        if label not in rows:
            raise InputError(f"undistilled: no row has the label '{label}': {nearest(label, rows)}")
        return rows[label]

    def _model(
        self,
        entry: Entry,
        label: str | None,
        teacher: ModelNode | None,
        student: ModelNode | None,
        seed_place: int | None,
    ) -> ModelNode:
        if entry.checkpoint is None:
            return self._training(entry, label, teacher, student, seed_place)
        if is_hub_name(entry.checkpoint):  # fetched only when needed; the name identifies it
            given = read_given_card(entry.card) if entry.card else None
            label = label or (given and given.row_label) or entry.checkpoint.replace("/", "__")
            place = Path(entry.checkpoint)
            return CheckpointNode(label, (), digest(entry.checkpoint), place, entry.card)
        # Code that may run in an evaluation is a part of what was evaluated.
        checkpoint = find_checkpoint(entry.checkpoint, key="checkpoint", trust_remote_code=True)
        checkpoint = with_given_card(checkpoint, entry.card)
        label = label or checkpoint.card.get("method") or checkpoint.name
        card = entry.card or card_beside(checkpoint)
        return CheckpointNode(label, (), checkpoint.sha256, checkpoint.path, card)

    def _training(
        self,
        entry: Entry,
        label: str | None,
        teacher: ModelNode | None,
        student: ModelNode | None,
        seed_place: int | None,
    ) -> TrainNode:
        keys = training_keys(self.spec, entry)
        own_teacher = keys.get("teacher")
        if own_teacher is not None and teacher and str(own_teacher) == str(teacher.place):
            own_teacher = None
        if own_teacher is not None:
            teacher = None
        given = {
            "data": self.places.data,
            **self._execution,
            "teacher": own_teacher or (teacher and str(teacher.place)),
            "student": keys.get("student") or (student and str(student.place)),
        }
        given = {key: value for key, value in given.items() if value is not None}
        recipe = self._recipes.get(id(entry)) or make_recipe({**keys, **given})
        self._recipes[id(entry)] = recipe
        _refuse_of_session(recipe.method)
        recipe = _with_seed(recipe, seed_place, self.spec.train_seeds)
        row = label or recipe.settings.label or recipe.method.title
        # The first seed has the row's name, so that more seeds leave what is done as it is.
        label = f"{row} seed {recipe.settings.seed}" if seed_place else row
        start = recipe.settings.student
        shared = student if student and start == str(student.place) else None
        uses_teacher = recipe.method.needs_teacher or _is_of_teacher(start)
        needs = [node for node in (teacher if uses_teacher else None, shared) if node is not None]
        content = {
            "settings": non_defaults(recipe.settings, NO_PART),
            "method": [recipe.settings.method, non_defaults(recipe.method), *_code(recipe.method)],
            "student": None if shared else self._contents.of(identity_of_model, start, "student"),
            "needs": [node.fingerprint for node in needs],
            "data": self._training_files(recipe.settings),
        }
        if own_teacher is not None:
            content["teacher"] = self._contents.of(identity_of_model, str(own_teacher), "teacher")
        if recipe.settings.watch:
            content["watch"] = self._watched(recipe.settings)
        if contents := contents_of_keys(recipe.method):
            content["contents"] = contents
        fingerprint = digest(content)
        place = self.places.models / f"{_slug(label)}-{fingerprint[:DIGITS]}"
        settings = recipe.settings.model_copy(
            update={"out": place, "label": row, "setting": self.setting}
        )
        recipe = replace(recipe, settings=settings)
        return TrainNode(label, _keys(needs), fingerprint, place, recipe)

    def _watched(self, settings: TrainSettings) -> dict[str, Any]:
        """What identifies each watched model, by its name; `teacher` for the run's own."""
        paths = settings.watched_paths
        return {
            name: self._contents.of(identity_of_model, str(paths[name]), "watch")
            if name in paths
            else model
            for name, model in settings.watch.items()
        }

    def _training_files(self, settings: TrainSettings) -> object:
        """Hashes of the files that a training reads."""
        if not is_file_of_rows(settings.train_set):
            pattern = f"{settings.train_set}/[tv][ra]*.jsonl*"
            return self._contents.of(file_hashes, self.places.data, pattern)
        files = [Path(settings.train_set), Path(settings.validation_set)]
        for file in files:
            if not file.is_file():
                raise InputError(f"train_set={file}: no such file{nearest_path(file)}")
        return [self._contents.of(sha256_of_file, file) for file in files]

    def _evaluation(self, model: ModelNode, floor: ModelNode | None) -> EvaluateNode:
        teacher = None if model is self.teacher else self.teacher
        settings = self._evaluation_settings(model, teacher, floor)
        models = [node for node in (model, teacher, floor) if node is not None]
        metrics = [*make_metrics(settings.metric_names()), *make_teacher_metrics(settings.metrics)]
        content: dict[str, Any] = {
            "settings": non_defaults(settings, _NO_PART_OF_EVALUATION),
            "needs": [node.fingerprint for node in models],
            "metrics": sorted([metric.name, metric.version] for metric in metrics),
            "tasks": [self._contents.of(task_definition, task) for task in settings.tasks],
            "data": self._contents.of(file_hashes, self.places.data, "*/test.jsonl*"),
        }
        backend = backends.get(settings.backend.partition(":")[0])
        if stamp := stamp_of(backend):
            content["backend"] = stamp
        for part in (*metrics, backend):
            _refuse_of_session(part)
        if settings.card is not None:
            content["card"] = self._contents.of(sha256_of_file, settings.card)
        fingerprint = digest(content)
        # Rows share the teacher's responses and the floor's numbers, which are made once, before.
        shared = [self.evaluations[node.label] for node in models[1:]]
        mark = f"{_slug(model.label)}-{fingerprint[:DIGITS]}.json"
        place = self.places.results / MARKS / mark
        return EvaluateNode(model.label, _keys([*models, *shared]), fingerprint, place, settings)

    def _evaluation_settings(
        self, model: ModelNode, teacher: ModelNode | None, floor: ModelNode | None
    ) -> EvalSettings:
        keys = dict(self.spec.evaluate)
        refuse_keys_of_table(keys, "evaluate")
        if teacher is None:
            keys = {
                key: value for key, value in keys.items() if key not in TeacherKeys.model_fields
            }
            if keys.get("judge_against") == "teacher":  # which the teacher is not for itself
                keys = {key: v for key, v in keys.items() if key not in JudgeKeys.model_fields}
            if "metrics" in keys:
                keys["metrics"] = [
                    metric for metric in keys["metrics"] if not compares_with_teacher(metric)
                ]
        return build(
            EvalSettings,
            {
                **keys,
                **self._execution,
                "model": str(model.place),
                "card": model.card if isinstance(model, CheckpointNode) else None,
                "teacher": teacher and str(teacher.place),
                "teacher_name": teacher and teacher.label,
                "undistilled": floor and str(floor.place),
                "undistilled_name": floor and floor.label,
                "tasks": (*self.spec.tasks, *self.spec.extra_tasks),
                "data": self.places.data,
                "results": self.places.results,
                "name": model.label,
                "method": model.row,
                "setting": self.setting,
            },
        )


def _with_seeds(row: Entry, spec: TableSpec) -> list[Entry]:
    """An entry for each training seed of a row; a given checkpoint has one."""
    seeds = spec.train_seeds
    count = seeds if isinstance(seeds, int) else len(seeds)
    return [row] * (1 if row.train is None else count)


def _with_seed(recipe: Recipe, place: int | None, seeds: int | tuple[int, ...]) -> Recipe:
    """The recipe with one of the table's training seeds; a number counts up from its own seed.

    The teacher and the initial student, which have no place among the seeds, keep their own.
    """
    if place is None:
        return recipe
    seed = recipe.settings.seed + place if isinstance(seeds, int) else seeds[place]
    return replace(recipe, settings=recipe.settings.model_copy(update={"seed": seed}))


def _check_checkpoints(spec: TableSpec) -> None:
    """Check that the named checkpoints exist, before any of them is hashed."""
    for entry in (spec.teacher, spec.student, *spec.rows):
        if entry is not None and entry.checkpoint is not None:
            check_checkpoint(entry.checkpoint, key="checkpoint")


def _keys(nodes: Sequence[Node]) -> tuple[str, ...]:
    return tuple(node.key for node in nodes)


def _is_of_teacher(student: str) -> bool:
    """Whether `student=` is made from the teacher, as `prune:teacher,layers=2` is."""
    kind, colon, model = student.partition(":")
    return bool(colon) and kind != "random" and model.partition(",")[0] == "teacher"


def _code(method: object) -> list[str]:
    """The hash of a user's own method; nothing for an installed one."""
    stamp = stamp_of(type(method))
    return [stamp] if stamp else []


def _refuse_of_session(part: object) -> None:
    """Refuse a part that worker processes do not know."""
    kind = part if isinstance(part, type) else type(part)
    if kind.__module__ == "__main__":
        raise InputError(
            f"{kind.__name__} was registered in this session, which the worker processes of fill "
            f"do not see; put it into a file, and give {PLUGINS}=FILE.py"
        )


def _slug(label: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", label).strip("-")
