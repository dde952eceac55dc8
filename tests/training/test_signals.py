"""What schedules learn of steps and validations, in one process and in two, and after a resume."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from several_processes import train_together
from transformers import AutoModelForCausalLM

import kdbench
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import make_recipe
from kdbench.toy.models import World
from kdbench.training import Constant, CrossEntropy, Schedule, Term, Triple
from kdbench.training.memory import plain_state
from kdbench.training.seen import check_schedule
from kdbench.training.state import checkpoints

EXAMPLES = Path(__file__).parent / "examples"
FEW: dict[str, Any] = {
    "method": "watched",
    "steps": 3,
    "batch_size": 8,
    "limit": 24,
    "learning_rate": 1e-3,
    "max_new_tokens": 4,
    "validation_limit": 5,
    "validate_every": 2,
    "select": "loss",
    "save_every": 1,
    "log_every": 1,
    "device": "cpu",
    "precision": "float32",
    "plugins": str(EXAMPLES / "watched.py"),
}


def values(world: World, out: Path, **settings: Any) -> dict[str, Any]:
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return {**FEW, **both, "out": out, **settings}


def domain_of(world: World) -> str | None:
    """A column of the rows by which validation is split; None if rows have lost their columns."""
    fields = Ingredients(make_recipe(values(world, Path("out")))).valid.examples[0].fields
    return "category" if "category" in fields else None


def stopped(world: World, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train all steps, and leave the states as they are."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kdbench.distillation.train._finish", stop)
        with pytest.raises(KeyboardInterrupt):
            kdbench.train(**values(world, out, domain=domain_of(world)))


def seen(out: Path) -> list[dict[str, Any]]:
    last = checkpoints(out.with_name(f"{out.name}.unfinished"))[-1]
    found: list[dict[str, Any]] = json.loads((last / "kdbench_state.json").read_text())["schedule"][
        "seen"
    ]
    return found


@pytest.fixture(scope="module")
def alone(world: World, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("alone") / "out"
    with pytest.MonkeyPatch.context() as monkeypatch:
        stopped(world, out, monkeypatch)
    return seen(out)


def test_the_first_step_and_validation_are_those_of_the_models(
    alone: list[dict[str, Any]], world: World, tmp_path: Path
) -> None:
    """Against plain forward passes, row by row."""
    recipe = make_recipe(values(world, tmp_path / "out"))
    ingredients = Ingredients(recipe)
    models = {
        name: AutoModelForCausalLM.from_pretrained(getattr(world, name)).eval()
        for name in ("student", "teacher")
    }

    def loss(model: Any) -> float:
        total, count = 0.0, 0
        for example in ingredients.valid.examples:
            ids = torch.tensor([[*example.context, *example.response_ids]])
            with torch.no_grad():
                log_q = model(ids).logits[0].log_softmax(-1)
            for place, token in enumerate(example.response_ids, start=len(example.context) - 1):
                total, count = total - float(log_q[place, token]), count + 1
        return total / count

    validation, step = alone[:2]
    assert validation["by_view"]["student"] == pytest.approx(loss(models["student"]), rel=1e-4)
    assert validation["by_view"]["teacher"] == pytest.approx(loss(models["teacher"]), rel=1e-4)
    assert validation["loss"] == pytest.approx(validation["by_view"]["student"], rel=1e-5)
    assert step["number"] == 1
    assert step["progress"] == pytest.approx(1 / 3)
    names = ["cross_entropy", "matching reverse_kl"]
    assert list(step["terms"]) == names
    assert step["loss"] == pytest.approx(sum(step["terms"].values()), rel=1e-5)
    assert math.exp(-step["terms"]["cross_entropy"]) <= step["diagnostics"]["probability"] <= 1
    second = alone[2]  # with half the weight
    weighted = second["terms"][names[0]] + 0.5 * second["terms"][names[1]]
    assert second["loss"] == pytest.approx(weighted, rel=1e-5)


def flat(seen: Any, place: str = "") -> dict[str, float]:
    """All numbers by their place."""
    if isinstance(seen, int | float):
        return {place: float(seen)}
    inner = seen.items() if isinstance(seen, dict) else enumerate(seen)
    return {
        name: number
        for key, value in inner
        for name, number in flat(value, f"{place}/{key}").items()
    }


def test_two_processes_tell_what_one_does(
    alone: list[dict[str, Any]], world: World, tmp_path: Path
) -> None:
    job = values(world, tmp_path / "out", domain=domain_of(world))
    job = {key: str(value) if isinstance(value, Path) else value for key, value in job.items()}
    train_together({2: [{**job, "kind": "whole", "stop": 2}]}, tmp_path)
    together, expected = flat(seen(tmp_path / "out")), flat(alone[:-2])
    assert together.keys() == expected.keys()
    assert together == pytest.approx(expected, rel=2e-3)


def test_a_resumed_schedule_has_seen_the_same(
    alone: list[dict[str, Any]],
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kdbench.training.trainer import DistillationTrainer

    step = DistillationTrainer.training_step

    def stop(self: Any, *arguments: Any) -> Any:
        if self.state.global_step >= 2:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(DistillationTrainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            kdbench.train(**values(world, tmp_path / "out", domain=domain_of(world)))
    assert seen(tmp_path / "out") == alone[:-2]  # the third step and its validation are to come
    stopped(world, tmp_path / "out", monkeypatch)
    assert seen(tmp_path / "out") == alone


def test_a_value_that_the_schedule_lacks_is_a_line_before_the_first_step(
    world: World, tmp_path: Path
) -> None:
    with pytest.raises(kdbench.InputError, match="weight 'wait', and Watching gives matching"):
        kdbench.train(**values(world, tmp_path / "out", weight="wait"))
    assert not (tmp_path / "out.unfinished").exists()


class Given(Schedule):
    def __init__(self, kept: Any):
        self.kept = kept

    def state(self) -> Any:
        return self.kept


@pytest.mark.parametrize("value", [math.nan, math.inf, "a", None, True])
def test_a_value_that_is_no_number_is_refused(value: Any) -> None:
    triple = SimpleNamespace(terms=(), schedule=Constant(), source=Given({}))
    with pytest.raises(kdbench.InputError, match=r"Constant: the value 'w' is .*finite number"):
        check_schedule(triple, {"w": value})  # type: ignore[arg-type]
    check_schedule(Triple([Term(CrossEntropy(), "w")]), {"w": 0.5})


PLAIN: list[Any] = [{}, {"a": [1, {"b": None}], "c": "x", "d": True}, {"a": [[1.5], []]}]
NOT_PLAIN: list[Any] = [{"a": (1,)}, {1: 2}, {"a": math.nan}, {"a": torch.zeros(1)}, {"a": {1}}]


@pytest.mark.parametrize("state", PLAIN + NOT_PLAIN)
def test_a_state_that_json_would_change_is_refused(state: Any) -> None:
    if any(state is one for one in PLAIN):
        assert plain_state(Given(state)) == state
        return
    with pytest.raises(kdbench.InputError, match=r"Given\.state\(\) is not plain JSON"):
        plain_state(Given(state))
