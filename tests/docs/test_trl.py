"""The page on TRL names every argument of its trainer, with its default and with our key."""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kdbench.config import TrainSettings
from kdbench.config.other_names import advice
from kdbench.methods import methods

PAGE = (Path(__file__).parents[2] / "docs" / "trl.md").read_text("utf-8")
KEYS = {**methods.get("gkd").model_fields, **TrainSettings.model_fields}


class Row(NamedTuple):
    """A row of a table of arguments."""

    name: str
    default: str
    key: str
    our_default: str
    difference: str


def rows(section: str) -> list[Row]:
    (text,) = re.findall(rf"^### {section}\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S)
    lines = re.findall(r"^\| (`.*) \|$", text, re.M)
    cells = [re.split(r" *(?<!\\)\| *", line) for line in lines]
    return [Row(*(cell.strip("`") for cell in row)) for row in cells]


TRAINER, ADDED, OTHERS = map(
    rows,
    ("Arguments of the trainer", "Fields that `DistillationConfig` adds", "Fields of transformers"),
)


@pytest.fixture
def trl() -> Any:
    return pytest.importorskip("trl", exc_type=ImportError)


def test_every_argument_of_the_trainer_is_there(trl: Any) -> None:
    arguments = list(inspect.signature(trl.DistillationTrainer.__init__).parameters)[1:]
    assert sorted(row.name for row in TRAINER) == sorted(arguments)


def test_every_field_that_trl_adds_is_there_with_its_default(trl: Any) -> None:
    import transformers

    of_base = {field.name: field for field in dataclasses.fields(transformers.TrainingArguments)}
    of_trl = {field.name: field for field in dataclasses.fields(trl.DistillationConfig)}
    added = {name: str(of_trl[name].default) for name in of_trl.keys() - of_base.keys()}
    assert {row.name: row.default for row in ADDED} == added
    changed = {n for n in of_base if repr(of_base[n].default) != repr(of_trl[n].default)}
    others = {row.name: row.default for row in OTHERS}
    assert changed - others.keys() == set()
    stated = {name: others[name] for name in others if name != "report_to"}
    assert stated == {name: str(of_trl[name].default) for name in stated}


@pytest.mark.parametrize("row", [*TRAINER, *ADDED, *OTHERS], ids=lambda row: row.name)
def test_the_key_exists_and_a_name_that_is_none_gets_advice(row: Row) -> None:
    assert row.key or row.difference or row.name == "args"
    if row.key:
        default = KEYS[row.key].default
        if isinstance(default, bool):
            assert row.our_default == str(default).lower()
        elif isinstance(default, int | float):
            assert float(row.our_default) == default
    if row.name in KEYS or row.name in ("args", "optimizers"):
        return
    line = advice(row.name, KEYS)
    assert not re.match(r"did you mean|known:", line)
    named = re.match(r"here it is (\w+)=", line)
    if row.key and named:
        both = {"per_device_train_batch_size": "batch_size"}  # the number itself, or the memory
        assert named[1] == both.get(row.name, row.key)
