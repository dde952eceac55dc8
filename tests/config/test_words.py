"""The words of a command line: keys in every form, and words without a key."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.comparing.settings import CompareSettings, PlanSettings, RegressSettings
from kdbench.config import (
    EvalSettings,
    ReportSettings,
    ScoreSettings,
    Settings,
    SpeedSettings,
    TableSettings,
    as_words,
    fields_by_key,
    parse,
    read_words,
)
from kdbench.config.fill import parse_fill
from kdbench.config.words import key_of
from kdbench.distillation.recipe import parse_recipe
from kdbench.doctor.settings import read_doctor
from kdbench.errors import InputError
from kdbench.judging.settings import JudgeSettings


def read(kind: type[Settings], line: str) -> dict[str, str | bool]:
    return read_words(line.split(), fields_by_key(kind), kind.__positional__)


def refused(kind: type[Settings], line: str) -> str:
    with pytest.raises(InputError) as caught:
        read(kind, line)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "model=m limit=20 add_bos=true",
        "m limit=20 --add-bos",
        "m --limit 20 --add-bos",
        "--limit=20 m --add_bos",
        "--add-bos true --limit 20 m",
        "--model m --limit 20 --add-bos=true",
        "--add-bos --limit 20 -- m",
    ],
)
def test_every_form_of_a_key_is_read_alike(line: str) -> None:
    settings = parse(EvalSettings, line.split())
    assert (settings.model, settings.limit, settings.add_bos) == ("m", 20, True)


@pytest.mark.parametrize("word", ["--no-add-bos", "--add-bos false", "--add-bos=false"])
def test_a_flag_is_turned_off(word: str) -> None:
    assert parse(EvalSettings, ["m", *word.split()]).add_bos is False


def test_a_negative_number_a_dash_and_spaces_are_values() -> None:
    assert parse(EvalSettings, ["m", "--seeds", "-5,0"]).seeds == (-5, 0)
    assert read(CompareSettings, "a b --markdown -")["markdown"] == "-"
    reason = parse(RegressSettings, ["m", "--baseline", "b", "--update", "--reason", "a -b c"])
    assert reason.reason == "a -b c"
    assert read(EvalSettings, "m --backend-options tp=2")["backend_options"] == "tp=2"


def test_words_after_two_dashes_have_no_key() -> None:
    assert read(EvalSettings, "-- lr=1e-4") == {"model": "lr=1e-4"}
    assert read(CompareSettings, "-- --base -x") == {"base": "--base", "new": "-x"}


@pytest.mark.parametrize("word", ["runs/lr=1e-4/last", "minillm+top_k=4-ab12", "./a=b", "-"])
def test_what_cannot_be_a_key_is_a_word_without_one(word: str) -> None:
    assert read(EvalSettings, word) == {"model": word}


@pytest.mark.parametrize(
    ("kind", "line", "keys"),
    [
        (EvalSettings, "m", ["model"]),
        (SpeedSettings, "m", ["model"]),
        (RegressSettings, "m", ["model"]),
        (ScoreSettings, "r", ["run"]),
        (PlanSettings, "a b", ["run", "against"]),
        (JudgeSettings, "a b", ["run", "judge_against"]),
        (CompareSettings, "a b", ["base", "new"]),
        (TableSettings, "r", ["results"]),
        (ReportSettings, "r", ["results"]),
    ],
)
def test_the_first_words_stand_for_keys(kind: type[Settings], line: str, keys: list[str]) -> None:
    assert read(kind, line) == dict(zip(keys, line.split(), strict=True))


def test_a_word_takes_the_first_key_that_is_not_given() -> None:
    assert read(CompareSettings, "x base=b") == {"new": "x", "base": "b"}
    assert read(CompareSettings, "--new n x") == {"new": "n", "base": "x"}


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        (EvalSettings, "m --limit", "--limit needs a value: limit=…"),
        (EvalSettings, "m --limit --dry-run", "--limit needs a value: limit=…"),
        (EvalSettings, "m --limit tasks=dolly", "--limit needs a value: is 'tasks=dolly' its"),
        (EvalSettings, "m --no-limit", "--no-limit: limit= takes a value, it cannot be switched"),
        (EvalSettings, "m --no-dry-run=1", "--no-dry-run takes no value"),
        (EvalSettings, "m --seeds 1 2 3", "'2' is not key=value (the values of a list are written"),
        (EvalSettings, "m dry_run", "'dry_run' is not key=value: write --dry-run"),
        (EvalSettings, "m limit", "'limit' is not key=value: write limit=…"),
        (EvalSettings, "m n", "'n' is not key=value (model= given already)"),
        (EvalSettings, "m -n 3", "'-n' is no option: keys are key=value, --key value or --key"),
        (EvalSettings, "m --limit 1 limit=2", "limit= is given twice"),
        (EvalSettings, "m --add-bos --no-add-bos", "add_bos= is given twice"),
        (CompareSettings, "--json a b", "--json a: write --json=a for a file, or put --json last"),
        (CompareSettings, "a b c", "'c' is not key=value (base= and new= given already)"),
    ],
)
def test_what_is_not_clear_is_one_line(kind: type[Settings], line: str, message: str) -> None:
    assert refused(kind, line).startswith(message)


def test_json_may_stand_alone() -> None:
    assert read(CompareSettings, "a b --json")["json"] == "-"
    assert read(CompareSettings, "a b --json -")["json"] == "-"
    assert read(CompareSettings, "a b --json --strict") | {"json": "-"} == {
        "base": "a",
        "new": "b",
        "json": "-",
        "strict": True,
    }


def test_a_file_named_like_a_key_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lr=3").mkdir()
    assert refused(EvalSettings, "lr=3").endswith("has the form key=value: write ./lr=3")
    assert read(EvalSettings, "./lr=3") == {"model": "./lr=3"}


def test_an_unknown_option_takes_its_value_so_that_it_is_the_one_refused() -> None:
    with pytest.raises(InputError, match="unknown key 'bs': here it is batch_size="):
        parse(EvalSettings, ["m", "--bs", "8"])


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_words_are_read_or_refused_in_a_line(words: list[str]) -> None:
    values: dict[str, str | bool] = {}
    with suppress(InputError):
        values = read_words(words, fields_by_key(EvalSettings), ("model",))
    assert read_words(as_words(values)) == {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in values.items()
    }


@pytest.mark.parametrize("word", ["limit=20", "--limit=20", "--limit"])
def test_the_key_of_a_word(word: str) -> None:
    assert key_of(word) == "limit"
    assert key_of("limit") is None


def test_fill_takes_dotted_keys_in_every_form() -> None:
    settings = parse_fill(
        ["toy", "evaluate.limit=20", "--train.batch-size", "4", "--student.label=x", "--plan"]
    )
    assert (settings.table, settings.plan) == ("toy", True)
    assert settings.changes == {
        "evaluate.limit": "20",
        "train.batch_size": "4",
        "student.label": "x",
    }
    assert parse_fill(["toy", "a.b-c=1"]).changes == {"a.b-c": "1"}


def test_the_doctor_divides_the_words() -> None:
    of, settings, words = read_doctor(
        ["eval", "m", "--limit", "3", "--no-weights", "--skip", "disk"]
    )
    assert (of, settings.weights, settings.skip) == ("eval", False, ("disk",))
    assert words == ["model=m", "limit=3"]
    of, _, words = read_doctor(["train", "toy/gkd", "--student", "s", "--student-fraction", "0"])
    assert words == ["recipe=toy/gkd", "student=s", "student_fraction=0"]


def test_a_training_takes_a_recipe_and_the_keys_of_its_method() -> None:
    recipe = parse_recipe(["toy/minillm", "--student", "s", "--teacher=t", "--no-length-norm"])
    assert recipe.settings.recipe == "toy/minillm"
    assert recipe.method.length_norm is False  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="recipe=gkd: is a method; write method=gkd"):
        parse_recipe(["gkd", "student=s"])


def test_a_config_file_is_an_option_too(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(json.dumps({"limit": 3}))
    assert parse(EvalSettings, ["m", "--config", str(file)]).limit == 3
