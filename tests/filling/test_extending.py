"""Tables that extend others: what is inherited, and that no checkpoint is trained anew."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdbench.errors import InputError
from kdbench.filling.graph import Graph, Places
from kdbench.filling.keys import training_keys
from kdbench.filling.rows import spec_row
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import tables
from kdbench.toy.models import World


def put(file: Path, values: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(values))
    return file


def base(folder: Path, **more: Any) -> Path:
    values = {
        "title": "base",
        "teacher": "t",
        "student": "s",
        "rows": [{"train": {"recipe": "toy/sft"}}],
        "train": {"steps": 1, "limit": 8},
        "evaluate": {"limit": 2, "seeds": [10]},
        "results": "base-results",
        "models": "base-models",
        "tasks": ["dolly"],
    }
    return put(folder / "base.yaml", {**values, **more})


def test_keys_replace_those_of_the_base_whole(tmp_path: Path) -> None:
    base(tmp_path)
    upper = put(
        tmp_path / "upper.yaml",
        {"extends": "base.yaml", "title": "upper", "evaluate": {"seeds": [20]}},
    )
    spec = read_spec(upper)
    assert (spec.title, spec.train, spec.tasks) == ("upper", {"steps": 1, "limit": 8}, ("dolly",))
    assert spec.evaluate == {"seeds": [20], "metrics": ["all"]}  # no limit of the base's
    assert spec.models == Path("base-models")
    assert spec.results is None  # or two tables would write one TABLE.md


def test_a_chain_and_a_base_in_another_folder(tmp_path: Path) -> None:
    base(tmp_path / "sub", title="lowest")
    put(tmp_path / "sub" / "middle.yaml", {"extends": "base.yaml", "train": {"steps": 2}})
    upper = put(tmp_path / "upper.yaml", {"extends": "sub/middle.yaml", "tasks": ["vicuna"]})
    spec = read_spec(upper, {"evaluate.limit": "3", "train.steps": "5"})
    assert (spec.title, spec.tasks) == ("lowest", ("vicuna",))
    assert spec.evaluate["limit"] == 3  # the command line changes what is inherited
    assert spec.evaluate["seeds"] == [10]
    assert spec.train == {"steps": 5}


def test_a_base_can_be_bundled(tmp_path: Path) -> None:
    upper = put(tmp_path / "mine.yaml", {"extends": "toy", "title": "mine"})
    assert read_spec(upper) == read_spec(tables()["toy"]).model_copy(update={"title": "mine"})


@pytest.mark.parametrize(
    ("values", "changes", "message"),
    [
        ({"extends": "toyy"}, {}, "upper.yaml: extends: no table 'toyy', and no such file: did"),
        ({"extends": "bas.yaml"}, {}, "no such file; did you mean '.*/base.yaml'"),
        ({"extends": "upper.yaml"}, {}, "upper.yaml: is this file itself"),
        ({"extends": "base.yaml"}, {}, "^.*/base.yaml: train_seeds: must be a number"),
        ({"extends": "base.yaml", "train_seeds": -1}, {}, "^.*/upper.yaml: train_seeds: must"),
        ({"extends": "base.yaml"}, {"train_seeds": "-1"}, "^.*/upper.yaml: train_seeds: must"),
        ({"extends": "base.yaml", "train_seeds": 1, "row": 1}, {}, "^.*/upper.yaml: unknown key"),
    ],
)
def test_the_file_with_the_fault_is_named(
    tmp_path: Path, values: dict[str, Any], changes: dict[str, str], message: str
) -> None:
    base(tmp_path, train_seeds=0)
    upper = put(tmp_path / "upper.yaml", values)
    with pytest.raises(InputError, match=message) as caught:
        read_spec(upper, changes)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_of_the_base_is_the_bases(tmp_path: Path) -> None:
    base(tmp_path, tusks=1)
    upper = put(tmp_path / "upper.yaml", {"extends": "base.yaml"})
    with pytest.raises(InputError, match=r"base\.yaml: unknown key 'tusks': did you mean 'tasks'"):
        read_spec(upper)


def test_all_bundled_tables_are_read() -> None:
    specs = {name: read_spec(file) for name, file in tables().items()}
    skills, lower = specs["smollm2-135m-skills"], specs["smollm2-135m"]
    assert (skills.rows, skills.train, skills.train_seeds) == (
        lower.rows,
        lower.train,
        lower.train_seeds,
    )
    assert skills.models == Path("runs/smollm2-135m")
    titles = [spec.title for spec in specs.values() if not re.match("toy world", spec.title)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", sorted(tables()))
def test_every_training_of_a_bundled_table_has_a_recipe(name: str) -> None:
    spec = read_spec(tables()[name])
    for entry in filter(None, (spec.teacher, spec.student, *spec.rows)):
        row = spec_row(spec, entry)
        assert (row.method is None) == (entry.train is None)


def test_a_models_own_length_replaces_that_of_the_table(tmp_path: Path) -> None:
    file = base(tmp_path, rows=[{"train": {"recipe": "toy/sft", "epochs": 2}}])
    spec = read_spec(file)
    assert training_keys(spec, spec.rows[0]) == {"limit": 8, "recipe": "toy/sft", "epochs": 2}


def test_the_same_models_with_other_tasks_are_the_same_nodes(world: World, tmp_path: Path) -> None:
    lower = base(
        tmp_path,
        teacher=str(world.teacher),
        student=str(world.student),
        data=str(world.data),
        train_seeds=2,
        undistilled="SFT",
    )
    values = {"extends": "base.yaml", "tasks": ["skills"], "evaluate": {"protocol": "greedy"}}
    upper = put(tmp_path / "upper.yaml", values)
    places = Places(tmp_path / "models", tmp_path / "results", world.data)
    first, second = (Graph(read_spec(file), places) for file in (lower, upper))
    assert list(first.nodes) == list(second.nodes)
    for key in ("train SFT", "train SFT seed 11"):
        assert first.nodes[key].place == second.nodes[key].place
    assert first.nodes["evaluate SFT"].fingerprint != second.nodes["evaluate SFT"].fingerprint
