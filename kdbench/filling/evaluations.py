"""The evaluations of a table as nodes."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.config import EvalSettings, TeacherKeys, build
from kdbench.config.judge import JudgeKeys
from kdbench.filling.basis import DIGITS, Basis, refuse_of_session
from kdbench.filling.fingerprints import digest, file_hashes, non_defaults
from kdbench.filling.keys import refuse_keys_of_table
from kdbench.filling.nodes import CheckpointNode, EvaluateNode, ModelNode, keys_of, slug
from kdbench.generate import backends
from kdbench.metrics import compares_with_teacher, make_metrics, make_teacher_metrics
from kdbench.registry.plugins import stamp_of
from kdbench.store.packs import MARKS
from kdbench.system.files import sha256_of_file
from kdbench.task import task_definition

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


def evaluation_node(
    basis: Basis,
    model: ModelNode,
    teacher: ModelNode | None,
    floor: ModelNode | None,
    known: Mapping[str, EvaluateNode],
) -> EvaluateNode:
    """The evaluation of a model.

    Args:
        basis: What all nodes have in common.
        model: The model.
        teacher: The model that it is compared with.
        floor: The model whose fidelity is the floor.
        known: The evaluations of the other two, by label.

    Raises:
        InputError: A key of `evaluate:` is unknown or its value is wrong.
    """
    settings = _settings(basis, model, teacher, floor)
    contents, data = basis.contents, basis.places.data
    models = [node for node in (model, teacher, floor) if node is not None]
    metrics = [*make_metrics(settings.metric_names()), *make_teacher_metrics(settings.metrics)]
    content: dict[str, Any] = {
        "settings": non_defaults(settings, _NO_PART_OF_EVALUATION),
        "needs": [node.fingerprint for node in models],
        "metrics": sorted([metric.name, metric.version] for metric in metrics),
        "tasks": [contents.of(task_definition, task) for task in settings.tasks],
        "data": contents.of(file_hashes, data, "*/test.jsonl*"),
    }
    backend = backends.get(settings.backend.partition(":")[0])
    if stamp := stamp_of(backend):
        content["backend"] = stamp
    for part in (*metrics, backend):
        refuse_of_session(part)
    if settings.card is not None:
        content["card"] = contents.of(sha256_of_file, settings.card)
    fingerprint = digest(content)
    # Rows share the teacher's responses and the floor's numbers, which are made once, before.
    shared = [known[node.label] for node in models[1:]]
    place = basis.places.results / MARKS / f"{slug(model.label)}-{fingerprint[:DIGITS]}.json"
    needs = keys_of([*models, *shared])
    return EvaluateNode(model.label, needs, fingerprint, place, _permitted(settings, models))


def _permitted(settings: EvalSettings, models: Sequence[ModelNode]) -> EvalSettings:
    """The settings with the permission that one of the models has; no number depends on it."""
    if not any(isinstance(model, CheckpointNode) and model.unsafe_pickle for model in models):
        return settings
    return settings.model_copy(update={"unsafe_pickle": True})


def _settings(
    basis: Basis, model: ModelNode, teacher: ModelNode | None, floor: ModelNode | None
) -> EvalSettings:
    spec, places = basis.spec, basis.places
    keys = dict(spec.evaluate)
    refuse_keys_of_table(keys, "evaluate")
    if teacher is None:
        keys = _without_teacher(keys)
    return build(
        EvalSettings,
        {
            **keys,
            **basis.execution,
            "model": str(model.place),
            "card": model.card if isinstance(model, CheckpointNode) else None,
            "teacher": teacher and str(teacher.place),
            "teacher_name": teacher and teacher.label,
            "undistilled": floor and str(floor.place),
            "undistilled_name": floor and floor.label,
            "tasks": (*spec.tasks, *spec.extra_tasks),
            "data": places.data,
            "results": places.results,
            "name": model.label,
            "method": model.row,
            "setting": basis.setting,
        },
    )


def _without_teacher(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an evaluation without those that compare with a teacher."""
    kept = {key: value for key, value in keys.items() if key not in TeacherKeys.model_fields}
    if kept.get("judge_against") == "teacher":  # which the teacher is not for itself
        kept = {key: value for key, value in kept.items() if key not in JudgeKeys.model_fields}
    if "metrics" in kept:
        kept["metrics"] = [name for name in kept["metrics"] if not compares_with_teacher(name)]
    return kept
