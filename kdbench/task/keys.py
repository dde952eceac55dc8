"""What becomes of each key of an lm-eval YAML: honoured, without effect, or refused."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, nearest, reason_of

HONOURED = frozenset(
    {
        "custom_dataset",
        "dataset_kwargs",
        "dataset_name",
        "dataset_path",
        "description",
        "doc_to_choice",
        "doc_to_target",
        "doc_to_text",
        "fewshot_config",
        "fewshot_delimiter",
        "fewshot_split",
        "filter_list",
        "gen_prefix",
        "generation_kwargs",
        "metadata",
        "metric_list",
        "num_fewshot",
        "output_type",
        "process_docs",
        "process_results",
        "target_delimiter",
        "task",
        "test_split",
        "training_split",
        "validation_split",
    }
)
"""Keys that kdbench follows as lm-eval does."""

WITHOUT_EFFECT = frozenset(
    {"doc_to_decontamination_query", "should_decontaminate", "tag", "task_alias"}
)
"""Keys that change no number, in lm-eval neither."""

REFUSED: Mapping[str, tuple[Any, str]] = {
    "doc_to_audio": (None, "kdbench measures text models"),
    "doc_to_image": (None, "kdbench measures text models"),
    "repeats": (1, "each seed is a response; remove the key and pass seeds="),
    "unsafe_code": (
        False,
        "runs code that the model wrote, on this machine; run_code=TASK permits it",
    ),
    "use_prompt": (None, "kdbench has no promptsource; write the prompt into doc_to_text"),
}
"""Keys that are refused unless they have lm-eval's default, with the default and the reason."""

PROTOCOL_SETS = frozenset(
    {
        "do_sample",
        "max_completion_tokens",
        "max_gen_toks",
        "max_length",
        "max_new_tokens",
        "max_tokens",
        "temperature",
        "top_k",
        "top_p",
    }
)
"""Keys of `generation_kwargs` that the protocol decides."""

LIKELIHOOD_METRICS: Mapping[str, frozenset[str]] = {
    "loglikelihood": frozenset({"acc", "perplexity"}),
    "loglikelihood_rolling": frozenset({"bits_per_byte", "byte_perplexity", "word_perplexity"}),
    "multiple_choice": frozenset(
        {
            "acc",
            "acc_bytes",
            "acc_mutual_info",
            "acc_norm",
            "brier_score",
            "exact_match",
            "f1",
            "likelihood",
            "mcc",
        }
    ),
}
"""The metrics that lm-eval's own `process_results` gives, by output type; it ignores others."""

# Values with which other settings of a generation change nothing.
_NEUTRAL = {
    "length_penalty": 1,
    "min_p": 0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1,
    "typical_p": 1,
    "use_cache": True,
}
_OF_GROUPS = {"aggregate_metric_list", "group", "group_alias"}
_TEXTS = ("description", "fewshot_delimiter", "gen_prefix", "target_delimiter")


def check_keys(task: Any, path: Path, run_code: Collection[str] = ()) -> None:
    """Check the values of a YAML's keys.

    Args:
        task: lm-eval's task.
        path: The YAML, for error messages.
        run_code: Names of tasks that may run code that the model wrote.

    Raises:
        InputError: A key is one that kdbench does not follow, or its value has the wrong type.
    """
    from lm_eval.api.task import ConfigurableTask

    if not isinstance(task, ConfigurableTask):
        raise InputError(
            f"{path}: class: {type(task).__name__} is not a ConfigurableTask of lm-eval, and "
            "kdbench runs no others"
        )
    config = task.config
    for key, (default, reason) in REFUSED.items():
        if key == "unsafe_code" and config.task in run_code:
            continue
        if (value := getattr(config, key, default)) != default:
            raise InputError(f"{path}: {key}: {_short(value)}: {reason}")
    for key in _TEXTS:
        value = getattr(config, key)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{path}: {key} must be text, not {_kind(value)}")
    shots = config.num_fewshot
    if shots is not None and (type(shots) is not int or shots < 0):
        raise InputError(f"{path}: num_fewshot must be a whole number, not {_short(shots)}")
    if config.generation_kwargs and config.output_type == "generate_until":
        _check_generation(config.generation_kwargs, path)
    _check_likelihood(config, path)
    _check_filters(config.filter_list, path)
    _check_aggregations(config.metric_list, path)


def check_names(keys: list[str], path: Path) -> None:
    """Check the names of a YAML's keys.

    Args:
        keys: Keys at the top of the YAML.
        path: The YAML, for error messages.

    Raises:
        InputError: The YAML defines several tasks or a Python class, or lm-eval has no such key.
    """
    if "task_list" in keys:
        raise InputError(f"{path}: defines several tasks; pass the YAML of each task")
    if "class" in keys:
        raise InputError(f"{path}: class: of Python classes, kdbench runs only lm-eval's own")
    if "use_prompt" in keys:  # lm-eval would look for another package
        raise InputError(f"{path}: use_prompt: {REFUSED['use_prompt'][1]}")
    known = HONOURED | WITHOUT_EFFECT | set(REFUSED) | {"include"}
    if "group" in keys:
        known |= _OF_GROUPS
    for key in keys:
        if key not in known:
            raise InputError(f"{path}: lm-eval has no key '{key}': {nearest(key, known)}")


def stop_strings(config: Any) -> tuple[str, ...]:
    """Return `generation_kwargs.until`; `check_keys` has checked it."""
    until = (config.generation_kwargs or {}).get("until") or ()
    return (until,) if isinstance(until, str) else tuple(until)


def _check_likelihood(config: Any, path: Path) -> None:
    """Check what a task that is scored by likelihood needs."""
    known = LIKELIHOOD_METRICS.get(config.output_type)
    if config.output_type == "multiple_choice" and config.doc_to_choice is None:
        raise InputError(f"{path}: output_type: multiple_choice needs doc_to_choice")
    if known is None or config.metric_list is None or config.process_results is not None:
        return
    named = [str(metric.get("metric")) for metric in config.metric_list]
    if not known & set(named):
        raise InputError(
            f"{path}: metric_list: lm-eval scores no {_short(', '.join(named))} of "
            f"{config.output_type}: known: {', '.join(sorted(known))}"
        )


def class_stops(task: Any, row: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Return the stop strings of a Python class of lm-eval, which makes its requests by itself.

    Args:
        task: lm-eval's task.
        row: Row of the data set.
        path: Name of the task, for error messages.

    Raises:
        InputError: It does not ask for one response to a document.
    """
    try:
        made = task.construct_requests(doc=row, ctx="", metadata=(None, 0, 1))
    except Exception as error:
        raise InputError(f"{path}: construct_requests fails: {reason_of(error)}") from error
    instances = made if isinstance(made, list) else [made]
    kinds = sorted({instance.request_type for instance in instances})
    if len(instances) != 1 or kinds != ["generate_until"]:
        raise InputError(
            f"{path}: asks for {len(instances)} requests of {' and '.join(kinds)} to a document; "
            "of Python classes, kdbench runs those that ask for one response"
        )
    until = instances[0].args[1].get("until") or ()
    return (until,) if isinstance(until, str) else tuple(until)


def _check_generation(settings: Mapping[str, Any], path: Path) -> None:
    until = settings.get("until")
    texts = [until] if isinstance(until, str) else until
    if texts is not None and not (
        isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    ):
        raise InputError(
            f"{path}: generation_kwargs.until must be text or a list of texts, not {_short(until)}"
        )
    for key, value in settings.items():
        if key == "until" or key in PROTOCOL_SETS or _NEUTRAL.get(key) == value:
            continue
        raise InputError(
            f"{path}: generation_kwargs.{key}: {_short(value)}: no protocol has this setting; "
            "remove it"
        )


def _check_filters(filters: Any, path: Path) -> None:
    """Make each filter once, so that a bad pattern is seen before anything is generated."""
    from lm_eval.filters import build_filter_ensemble

    for entry in filters or ():
        try:
            steps = [
                (step["function"], {key: step[key] for key in step if key != "function"})
                for step in entry["filter"]
            ]
            for make in build_filter_ensemble(entry["name"], steps).filters:
                make()
        except Exception as error:
            name = entry.get("name") if isinstance(entry, dict) else entry
            raise InputError(f"{path}: filter '{name}': {reason_of(error)}") from error


def _check_aggregations(metrics: Any, path: Path) -> None:
    from lm_eval.api.registry import AGGREGATION_REGISTRY

    for metric in metrics or ():
        name = metric.get("aggregation", "mean")
        if not callable(name) and name not in tuple(AGGREGATION_REGISTRY):
            raise InputError(
                f"{path}: metric '{metric['metric']}': lm-eval has no aggregation "
                f"'{_short(name)}': {nearest(_short(name), AGGREGATION_REGISTRY)}"
            )


def _short(value: object) -> str:
    text = getattr(value, "__name__", None) or str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _kind(value: object) -> str:
    names = {list: "a list", dict: "a mapping", bool: "true or false"}
    return names.get(type(value), type(value).__name__)
