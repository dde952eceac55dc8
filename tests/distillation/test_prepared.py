"""The preparation before the first step: what it finds, and when it is made again."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import kdbench
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import make_recipe
from kdbench.methods import methods
from kdbench.toy.models import World
from kdbench.training import Preparation

EXAMPLES = Path(__file__).parents[1] / "training" / "examples"
FEW: dict[str, Any] = {
    "method": "class_means",
    "steps": 2,
    "batch_size": 4,
    "limit": 16,
    "max_new_tokens": 4,
    "validation_limit": 2,
    "device": "cpu",
    "precision": "float32",
    "plugins": EXAMPLES / "class_means.py",
}


def values(world: World, out: Path, **settings: Any) -> dict[str, Any]:
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return {**FEW, **both, "out": out, **settings}


def train(world: World, out: Path, **settings: Any) -> Any:
    return kdbench.train(**values(world, out, **settings))


def prepared(folder: Path) -> dict[str, Path]:
    return {file.parent.name: file for file in folder.glob("prepared/*/statistics.safetensors")}


@pytest.fixture(scope="module")
def once(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    train(world, folder / "out")
    return folder


def test_class_means_and_directions_are_those_of_the_teachers_states(
    once: Path, world: World
) -> None:
    """Against the model's own output_hidden_states, row by row."""
    (file,) = prepared(once).values()
    found = load_file(file)
    teacher = AutoModelForCausalLM.from_pretrained(world.teacher).eval()
    sums: dict[int, list[torch.Tensor]] = {}
    for example in Ingredients(make_recipe(values(world, once / "other"))).train.examples:
        ids = torch.tensor([[*example.context, *example.response_ids]])
        with torch.no_grad():
            states = teacher(ids, output_hidden_states=True).hidden_states[-1][0]
        for place, target in enumerate(example.response_ids, start=len(example.context)):
            sums.setdefault(target, []).append(states[place - 1])
    for target, states in sums.items():
        torch.testing.assert_close(found["means"][target], torch.stack(states).mean(0))
    absent = next(token for token in range(len(found["means"])) if token not in sums)
    assert not found["means"][absent].any()
    everything = torch.cat([torch.stack(states) for states in sums.values()])
    _, _, right = torch.linalg.svd(everything - everything.mean(0))
    overlap = torch.linalg.svdvals(right[:4] @ found["pca"])
    torch.testing.assert_close(overlap, torch.ones(4), atol=1e-3, rtol=0)


def test_a_later_run_shares_it_and_a_deleted_one_is_made_equal(
    once: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(once / "prepared", tmp_path / "prepared")
    ((name, file),) = prepared(tmp_path).items()
    before = file.read_bytes()
    kind = methods.get("class_means")
    made = []
    prepare = kind.prepare

    def counted(self: Any, preparation: Preparation) -> Any:
        made.append(1)
        return prepare(self, preparation)

    monkeypatch.setattr(kind, "prepare", counted)
    shared = train(world, tmp_path / "shared", steps=1).card
    assert not made
    assert shared["phases"]["prepare"]["tokens"] > 0  # the cost counts in each card
    shutil.rmtree(file.parent)
    again = train(world, tmp_path / "again", steps=1).card
    assert made
    assert prepared(tmp_path)[name].read_bytes() == before
    assert again["weights"] == shared["weights"]


@pytest.mark.parametrize(
    "change", [{"teacher": "student"}, {"limit": 8}, {"weight": 0.5}, {"seed": 3}]
)
def test_another_teacher_other_rows_or_keys_make_another(
    change: dict[str, Any], once: Path, world: World, tmp_path: Path
) -> None:
    shutil.copytree(once / "prepared", tmp_path / "prepared")
    if "teacher" in change:
        change = {"teacher": str(world.student)}
    train(world, tmp_path / "out", **change, steps=1)
    assert len(prepared(tmp_path)) == 2


def test_a_preparation_that_was_interrupted_is_made_again(
    once: Path, world: World, tmp_path: Path
) -> None:
    shutil.copytree(once / "prepared", tmp_path / "prepared")
    ((name, file),) = prepared(tmp_path).items()
    before = file.read_bytes()
    (file.parent / "prepared.json").unlink()
    file.write_bytes(before[:100])
    train(world, tmp_path / "out", steps=1)
    assert prepared(tmp_path)[name].read_bytes() == before
    file.write_bytes(before[:-1] + b"?")
    with pytest.raises(kdbench.InputError, match=r"statistics\.safetensors: missing or damaged"):
        train(world, tmp_path / "two", steps=1)
    assert not (tmp_path / "two.unfinished").exists()


RETURNS: list[tuple[Any, str]] = [
    (None, "returned NoneType: must return tensors by name"),
    ({"a": 1.0}, "'a' is float: must be a tensor"),
    ({1: torch.zeros(1)}, "'1' is Tensor"),
    ({"a": torch.tensor([float("nan")])}, "'a' has values that are not numbers"),
]


@pytest.mark.parametrize(("returned", "line"), RETURNS)
def test_what_is_no_tensor_is_refused_in_a_line(
    returned: Any, line: str, once: Path, world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(methods.get("class_means"), "prepare", lambda *_: returned)
    with pytest.raises(kdbench.InputError, match=line) as error:
        train(world, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_view_that_does_not_exist_yet_is_named(
    once: Path, world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    kind = methods.get("class_means")
    monkeypatch.setattr(kind, "prepare", lambda _, preparation: preparation.view("peer"))
    with pytest.raises(kdbench.InputError, match="asks for the view 'peer'"):
        train(world, tmp_path / "out")
