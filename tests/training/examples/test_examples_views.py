"""Methods with views of their own, each in one short file, that move what they should."""

import importlib.util
import json
from pathlib import Path

import pytest

import kdbench
from kdbench.divergence import forward_kl, reverse_kl
from kdbench.methods import Method, methods
from kdbench.training import (
    FromStudent,
    Frozen,
    HardSync,
    Match,
    MovingAverage,
    Peer,
    Prefixed,
    Term,
    Triple,
)

HERE = Path(__file__).parent
FEW = {
    "steps": 16,
    "batch_size": 8,
    "limit": 96,
    "learning_rate": 2e-3,
    "lr_schedule": "constant",
    "max_new_tokens": 8,
    "validation_limit": 12,
    "validation_samples": 2,
    "log_every": 4,
    "select": "last",
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(autouse=True)
def _own_methods(monkeypatch) -> None:
    """What a test registers is forgotten after it."""
    methods.names()
    monkeypatch.setattr(methods, "_parts", dict(methods._parts))


def load(name: str) -> None:
    file = HERE / f"{name}.py"
    lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    assert len(lines) <= 60
    spec = importlib.util.spec_from_file_location(name, file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def run(world, out: Path, **settings: object):
    both = {"student": str(world.student), "data": world.data}
    return kdbench.train(**{**FEW, **both, "out": out, **settings})


def log_of(trained, name: str) -> list[float]:
    lines = (trained.checkpoint / "training.jsonl").read_text().splitlines()
    return [line[name] for line in map(json.loads, lines) if name in line]


def test_a_gate_finds_the_better_of_two_teachers(world, tmp_path: Path) -> None:
    load("two_teachers")
    settings = {"method": "two_teachers", "teacher": world.teacher}
    trained = run(world, tmp_path / "x", **settings, second_model=world.student)
    gate, loss = log_of(trained, "gate/teacher"), log_of(trained, "loss")
    assert gate[0] == pytest.approx(0.5)
    assert gate[-1] > 0.55
    assert loss[-1] < loss[0]
    validations = trained.card["validations"]
    assert validations[-1]["loss"] < validations[0]["loss"]


def test_a_student_learns_what_it_says_when_it_sees_the_answer(world, tmp_path: Path) -> None:
    load("privileged")
    trained = run(world, tmp_path / "x", method="privileged")
    loss = log_of(trained, "loss")
    assert loss[-1] < 0.8 * loss[0]
    assert trained.card["training"]["teacher"] is None


# All kinds of companions together


class Everything(Method):
    """Every kind of companion, with a teacher that learns."""

    title = "Everything"
    paper = cost = "-"

    def triple(self) -> Triple:
        """The student learns from all of them."""
        friends = [
            Frozen("start"),
            MovingAverage("slow", 0.9, every=2),
            HardSync("old", every=3),
            Peer("friend", [Term(Match(reverse_kl, view="student"))], every=2, validated=True),
            Peer("teacher", [Term(Match(forward_kl, view="student"))], "teacher", rate=0.1),
        ]
        names = [friend.name for friend in friends]
        terms = [Term(Match(forward_kl, view=name)) for name in names]
        prompts = {"slow": Prefixed(lambda example: example.references[0], 16)}
        return Triple(terms, FromStudent(0.5), companions=friends, prompts=prompts)


def test_companions_resume_to_the_last_bit(world, tmp_path: Path, monkeypatch) -> None:
    from kdbench.training.trainer import DistillationTrainer

    methods.register("everything")(Everything)
    before = {file.name: file.read_bytes() for file in world.teacher.iterdir()}
    settings = {
        "method": "everything",
        "teacher": world.teacher,
        "steps": 5,
        "save_every": 1,
        "log_every": 1,
        "validation_limit": 2,
    }
    undisturbed = run(world, tmp_path / "one", **settings)
    train = DistillationTrainer.training_step
    for stop in (2, 3):

        def killed(self, *arguments, stop=stop):
            if self.state.global_step >= stop:
                raise KeyboardInterrupt
            return train(self, *arguments)

        monkeypatch.setattr(DistillationTrainer, "training_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run(world, tmp_path / "two", **settings)
    monkeypatch.setattr(DistillationTrainer, "training_step", train)
    resumed = run(world, tmp_path / "two", **settings)
    ours, theirs = (made.checkpoint / "model.safetensors" for made in (undisturbed, resumed))
    assert ours.read_bytes() == theirs.read_bytes()
    assert resumed.card["validations"] == undisturbed.card["validations"]
    assert "friend_loss" in resumed.card["validations"][0]
    assert log_of(resumed, "loss") == log_of(undisturbed, "loss")
    assert {file.name: file.read_bytes() for file in world.teacher.iterdir()} == before
