"""All builders: those of the reference are there, lists say what they are, and a user adds one."""

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kdbench.builders import FAMILIES, Builder, builders
from kdbench.builders.selection import selection_rules
from kdbench.builders.workshop.build import build
from kdbench.builders.workshop.recipe import make_build
from kdbench.errors import InputError
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import tables
from kdbench.registry.plugins import load_plugins
from kdbench.toy.models import World

ROOT = Path(__file__).parents[2]
REFERENCE = {
    *("teacher_responses", "compute_optimal", "evol_instruct", "symbolic", "select"),
    "decontaminate",
}
RULES = {"pcoreset", "robust", "kd3", "disagreement", "miniplm", "random", "length"}


def kinds() -> list[type[Builder]]:
    """Every class that builds something."""
    found = [builders.get(name) for name in builders.names()]
    variants = [variant for kind in found for variant in kind.variants().values()]
    return [*(kind for kind in found if not kind.variants()), *variants]


def test_every_builder_of_the_reference_is_there() -> None:
    assert set(builders.names()) >= REFERENCE
    assert set(selection_rules.names()) >= RULES


def test_the_page_names_every_builder_and_rule() -> None:
    text = (ROOT / "docs" / "builders.md").read_text("utf-8")
    for name in (*builders.names(), *selection_rules.names()):
        assert re.search(rf"`(by=)?{name}`", text), name


def test_the_toy_table_measures_every_builder_and_rule() -> None:
    spec = read_spec(tables()["toy-builders"])
    used = {(keys["builder"], keys.get("by")) for keys in spec.data_sets.values()}
    assert {builder for builder, _ in used} >= REFERENCE
    assert {rule for _, rule in used} >= RULES
    learned = {str((row.train or {})["train_set"]).removeprefix("built:") for row in spec.rows}
    read = {str(keys.get("train_set")).removeprefix("built:") for keys in spec.data_sets.values()}
    assert set(spec.data_sets) == (learned | read) & set(spec.data_sets)  # none for nothing
    by_label = {row.label: row for row in spec.rows}
    for row in spec.rows:
        if row.against is not None:
            assert by_label[row.against].label in {"Random", "Random noisy", "Random pool"}


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_each_says_what_it_is(kind: type[Builder]) -> None:
    assert kind.family in FAMILIES
    facts = kind.describe()
    assert {"paper", "cost"} <= set(facts)
    assert set(kind.models) | set(kind.files) <= set(kind.model_fields)
    if "(adapted)" in kind.title:
        assert kind.adapted
    for field in kind.model_fields.values():
        assert field.description


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"title": None}, "Wrong: title: is missing"),
        ({"cost": 3}, "Wrong: cost: is missing"),
        ({"family": "slect"}, "Wrong: family 'slect': did you mean 'select'"),
        ({"models": ("teacher",)}, "Wrong: models: 'teacher' is none of its keys"),
        ({"files": ("lik",)}, "Wrong: files: 'lik' is none of its keys: did you mean 'like'"),
    ],
)
@pytest.mark.parametrize("registry", [builders, selection_rules])
def test_a_builder_that_lacks_something_is_refused_at_once(registry, wrong, fault) -> None:
    base = selection_rules.get("length") if registry is selection_rules else Builder
    facts = {"title": "T", "paper": "P", "cost": "C", **wrong, "like": None}
    annotations = dict.fromkeys(facts, ClassVar[Any]) | {"like": str | None}
    kind = type(base)("Wrong", (base,), {"__annotations__": annotations, **facts})
    with pytest.raises(InputError, match=fault):
        registry.register("wrong")(kind)
    assert "wrong" not in registry.names()


def test_the_builder_of_the_page_works(world: World, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "builders.md").read_text("utf-8")
    (code,) = re.findall(r"^```python file other_answers\.py\n(.*?)^```$", text, re.M | re.S)
    (tmp_path / "other_answers.py").write_text(code)
    load_plugins([tmp_path / "other_answers.py"])
    keys = {"builder": "other_answers", "limit": 6, "max_new_tokens": 8}
    places = {"teacher": str(world.teacher), "data": str(world.data), "out": tmp_path / "out"}
    built = build(make_build({**keys, **places}))
    removed = built.card.figures.get("removed: the teacher says the same", 0)
    assert built.card.rows_out + removed == 6
    assert built.card.cost["teacher"]["responses"] == 6
    rows = [json.loads(line) for line in built.train_file.read_text("utf-8").splitlines()]
    assert len(rows) == built.card.rows_out
