"""The fields of `run.json`."""

from typing import Any

from kdbench.store.schema import (
    BOOL,
    COUNT,
    MAPPING,
    NAME,
    POSITIVE,
    SEED,
    TEXT,
    FieldError,
    Rule,
    check_fields,
    each,
    is_number,
    one_of,
)
from kdbench.system.names import is_file_name

_OPTIONAL_TEXT = TEXT.or_null().if_given()
_OPTIONAL_COUNT = COUNT.or_null().if_given()
_OPTIONAL_MAPPING = MAPPING.or_null().if_given()
_LIMIT = Rule("a whole number, 1 or larger", lambda value: COUNT.holds(value) and value > 0)

_RUN = {
    "model": MAPPING,
    "method": TEXT.or_null(),
    "setting": TEXT.or_null(),
    "protocol": MAPPING,
    "limit": _LIMIT.or_null(),
    "status": one_of("running", "complete", "failed"),
    "tasks": MAPPING,
    "created": _OPTIONAL_TEXT,
    "backend": MAPPING.if_given(),
    "environment": _OPTIONAL_MAPPING,
    "training": _OPTIONAL_MAPPING,
    "kdbench_version": _OPTIONAL_TEXT,
    "git": _OPTIONAL_MAPPING,
    "commands": each(each(TEXT, "words"), "lists of words").or_null().if_given(),
    "auxiliary": BOOL.if_given(),
    "imported": MAPPING.if_given(),
    "tracked": MAPPING.if_given(),
    "plugins": MAPPING.if_given(),
    "judging": Rule(
        "a mapping of mappings",
        lambda value: isinstance(value, dict) and all(map(MAPPING.holds, value.values())),
    ).if_given(),
}
_MODEL = {
    "name": NAME,
    "sha256": _OPTIONAL_TEXT,
    "parameters": _OPTIONAL_COUNT,
    "dtype": _OPTIONAL_TEXT,
    "disk_bytes": _OPTIONAL_COUNT,
    "weight_bytes": _OPTIONAL_COUNT,
    "quantization": _OPTIONAL_TEXT,
    "revision": _OPTIONAL_TEXT,
}
_PROTOCOL = {"name": NAME, "seeds": each(SEED, "whole numbers").if_given()}
_BACKEND = {"name": _OPTIONAL_TEXT, "batch_size": _OPTIONAL_COUNT}
_ENVIRONMENT = {"gpus": each(TEXT, "names").or_null().if_given()}
TRAINING = {
    "method": TEXT,
    "samples": POSITIVE.or_null(),
    "seconds": POSITIVE.or_null(),
    "student_tokens": POSITIVE.or_null(),
    "teacher_tokens": POSITIVE.or_null(),
    "seed": COUNT.or_null().if_given(),
    "recipe": TEXT.or_null().if_given(),
    "log": Rule(
        "a mapping of names to numbers",
        lambda value: isinstance(value, dict) and all(map(is_number, value.values())),
    ).if_given(),
}
_TASK = {
    "kdbench_version": _OPTIONAL_TEXT,
    "started": _OPTIONAL_TEXT,
    "gpus": each(TEXT, "names").or_null().if_given(),
    "cut_prompts": _OPTIONAL_COUNT,
    "generated_samples": POSITIVE.if_given(),
    "generated_seconds": POSITIVE.if_given(),
    "generated_tokens": POSITIVE.if_given(),
    "task_version": _OPTIONAL_TEXT,
    "data_sha256": _OPTIONAL_TEXT,
    "prompts_sha256": _OPTIONAL_TEXT,
    "definition_sha256": _OPTIONAL_TEXT,
}


def check_run(run: dict[str, Any]) -> None:
    """Check the content of `run.json`.

    Raises:
        FieldError: A field is missing or of the wrong type, or a task's name cannot name a file.
    """
    check_fields(run, _RUN)
    check_fields(run["model"], _MODEL, "model")
    check_fields(run["protocol"], _PROTOCOL, "protocol")
    check_fields(run.get("backend") or {}, _BACKEND, "backend")
    check_fields(run.get("environment") or {}, _ENVIRONMENT, "environment")
    if run.get("training") is not None:
        check_fields(run["training"], TRAINING, "training")
    for task, entry in run["tasks"].items():
        if not is_file_name(task):
            raise FieldError(f"tasks: '{task}' cannot name a task")
        check_fields(entry, _TASK, f"tasks.{task}")
