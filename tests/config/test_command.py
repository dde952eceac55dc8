"""Settings as the words of a command: read again, they are the same settings."""

import pytest

from kdbench.config import EvalSettings, parse
from kdbench.config.command import command_words
from kdbench.distillation.recipe import parse_recipe

EVAL = [
    "model=runs/my model",
    "teacher=runs/teacher",
    "tasks=dolly,vicuna",
    "seeds=1-3",
    "limit=20",
    "temperature=0.5",
    "metrics=rougeL,acceptance",
    "setting=a, b",
]


def test_the_words_of_a_measurement_are_read_as_the_same_settings():
    settings = parse(EvalSettings, EVAL)
    program, verb, *words = command_words("eval", settings)
    assert (program, verb) == ("kdbench", "eval")
    assert parse(EvalSettings, words).model_dump() == settings.model_dump()


def test_keys_with_their_default_value_and_dry_runs_are_left_out():
    settings = parse(EvalSettings, ["model=m", "device=auto", "limit=none", "--dry-run"])
    assert command_words("eval", settings) == ["kdbench", "eval", "model=m"]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("api_key=sk-secretsecretsecret,timeout=5", "backend_options=timeout=5"),
        ("base_url=http://me:pass@host/v1", "backend_options=base_url=http://***@host/v1"),
    ],
)
def test_secrets_are_left_out(options, shown):
    settings = EvalSettings(model="m", backend_options=options)
    words = command_words("eval", settings)
    assert "secret" not in " ".join(words)
    assert words[2:] == ["model=m", shown]


@pytest.mark.parametrize(
    "words",
    [
        ["method=gkd", "student=s", "teacher=t", "teacher_weight=0.1", "steps=10", "seed=3"],
        ["recipe=toy/gkd", "student=s", "teacher=t", "data=d", "learning_rate=1e-3"],
        ["recipe=gpt2-120m/minillm", "student=s", "teacher=t"],
    ],
)
def test_the_words_of_a_training_make_the_same_recipe_without_its_file(words):
    recipe = parse_recipe(words)
    program, verb, *again = recipe.command
    assert (program, verb) == ("kdbench", "train")
    assert not any(word.startswith("recipe=") for word in again)
    read = parse_recipe(again)
    assert read.method == recipe.method
    without = {"recipe", *recipe.settings.ignored()}
    assert read.settings.model_dump(exclude=without) == recipe.settings.model_dump(exclude=without)
