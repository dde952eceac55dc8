"""Keys and verbs of other tools: the error says what they are called here."""

import pytest

from kdbench.cli import verbs  # noqa: F401 - it fills `helps`
from kdbench.cli.app import helps
from kdbench.comparing.settings import CompareSettings
from kdbench.config import (
    EvalSettings,
    ScoreSettings,
    SpeedSettings,
    TableSettings,
    TrainSettings,
    fields_by_key,
)
from kdbench.config.other_names import _SAME, _VERBS, advice, nearest_verb
from kdbench.methods import methods

TRAIN = {*TrainSettings.model_fields, *methods.get("gkd").model_fields}
VERBS = {
    "eval": EvalSettings.model_fields,
    "train": TRAIN,
    "table": TableSettings.model_fields,
    "speed": SpeedSettings.model_fields,
    "score": ScoreSettings.model_fields,
    "compare": fields_by_key(CompareSettings),
}


@pytest.mark.parametrize(
    ("verb", "key", "expected"),
    [
        ("train", "lr", "learning_rate="),
        ("train", "beta", "teacher_weight="),
        ("train", "alpha", "teacher_weight="),
        ("train", "lmbda", "student_fraction="),
        ("train", "bs", "batch_size="),
        ("train", "num_train_epochs", "epochs="),
        ("train", "temperature", "sampling_temperature="),
        ("train", "model_name_or_path", "student="),
        ("train", "pretrained", "student="),
        ("train", "output_dir", "out="),
        ("eval", "temp", "temperature="),
        ("eval", "max_tokens", "max_new_tokens="),
        ("eval", "n_samples", "seeds="),
        ("eval", "ckpt", "model="),
        ("eval", "checkpoint", "model="),
        ("eval", "model_name_or_path", "model="),
        ("eval", "pretrained", "model="),
        ("eval", "task", "tasks="),
        ("eval", "output_dir", "results="),
        ("eval", "torch_dtype", "dtype="),
        ("score", "tasks", "task="),
        ("speed", "max_new_tokens", "new_tokens="),
        ("table", "model", "rows="),
    ],
)
def test_a_key_of_another_tool(verb: str, key: str, expected: str) -> None:
    assert advice(key, VERBS[verb]).startswith(f"here it is {expected}")


def test_the_reason_is_given_where_the_two_differ() -> None:
    line = advice("per_device_train_batch_size", TRAIN)
    assert line == (
        "here it is batch_size= (the whole optimiser step; micro_batch_size= is a forward pass)"
    )
    assert "num_fewshot:" in advice("num_fewshot", VERBS["eval"])
    assert "torchrun" in advice("deepspeed", TRAIN)
    assert "micro_batch_size=" in advice("gradient_accumulation_steps", TRAIN)
    assert advice("lr", VERBS["eval"]) == "learning_rate= is a key of kdbench train"
    assert advice("bf16", VERBS["eval"]) == "pass dtype=bfloat16"


def test_another_mistake_gets_the_nearest_key() -> None:
    assert advice("limt", VERBS["eval"]) == "did you mean 'limit'?"
    assert advice("lmbda", VERBS["table"]).startswith("known: ")


def test_every_name_in_the_table_is_a_key_of_a_verb() -> None:
    of_methods = {key for name in methods.names() for key in methods.get(name).model_fields}
    known = {key for fields in VERBS.values() for key in fields} | of_methods | {"workers", "run"}
    assert {key for same in _SAME.values() for key in same.keys} <= known


@pytest.mark.parametrize(
    ("verb", "meant"),
    [
        ("evaluate", "eval"),
        ("list", "ls"),
        ("diff", "compare"),
        ("run", "eval"),
        ("tabel", "table"),
    ],
)
def test_a_verb_of_another_tool(verb: str, meant: str) -> None:
    assert nearest_verb(verb, helps) == f"did you mean '{meant}'?"
    assert set(_VERBS.values()) <= set(helps)
