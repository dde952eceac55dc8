"""Methods with layers, parts and terms of every kind, trained through the public function."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import kdbench
from kdbench.methods import Method, methods
from kdbench.registry import plugins
from kdbench.testing import FACTS, conformance_tests
from kdbench.training import (
    CrossEntropy,
    FromDataset,
    Match,
    Objective,
    Part,
    Schedule,
    SequenceObjective,
    Term,
    Triple,
)

EXAMPLES = Path(__file__).parent / "examples"
FEW = {
    "steps": 4,
    "batch_size": 8,
    "limit": 24,
    "learning_rate": 1e-2,
    "validation_limit": 4,
    "validate_every": 2,
    "max_new_tokens": 8,
    "log_every": 1,
    "save_every": 1,
    "device": "cpu",
    "precision": "float32",
}


def run(world, out, method, **options):
    models = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return kdbench.train(**{**FEW, **models, "out": out, "method": method, **options})


def made(triple_of, name="made"):
    """A registered method of a triple."""

    class Made(Method):
        """Made for a test."""

        title, paper, cost = "Made", "none", "none"

        def triple(self):
            return triple_of()

    Made.__module__ = "__main__"
    kdbench.register(name)(Made)
    return name


def log_of(folder, name):
    lines = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def weights(folder):
    return load_file(folder / "model.safetensors")


def equal(first, other):
    ours, theirs = weights(first), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def interrupted_after(monkeypatch, step):
    """Interrupt in the step after the given one, whose state is then on disk."""
    from kdbench.training.trainer import DistillationTrainer

    train = DistillationTrainer.training_step

    def stop(self, *arguments):
        if self.state.global_step >= step:
            raise KeyboardInterrupt
        return train(self, *arguments)

    monkeypatch.setattr(DistillationTrainer, "training_step", stop)


def parts_of(folder):
    (file,) = folder.glob("checkpoint-*/parts.pt")
    return torch.load(file, weights_only=True)


def assert_resumes_to_the_last_bit(world, tmp_path, monkeypatch, method, **options):
    whole = run(world, tmp_path / "one", method, **options)
    states = []
    for stop in (1, 2, 3):
        with monkeypatch.context() as patch:
            interrupted_after(patch, stop)
            with pytest.raises(KeyboardInterrupt):
                run(world, tmp_path / "two", method, **options)
        if list((tmp_path / "two.unfinished").glob("checkpoint-*/parts.pt")):
            states.append(parts_of(tmp_path / "two.unfinished"))
    resumed = run(world, tmp_path / "two", method, **options)
    assert equal(whole.checkpoint, resumed.checkpoint)
    assert log_of(whole.checkpoint, "loss") == log_of(resumed.checkpoint, "loss")
    return states


# The projector


def test_a_hidden_layer_approaches_the_teachers_and_its_projector_is_dropped(
    world, tmp_path, monkeypatch
):
    file = EXAMPLES / "projector.py"
    code = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    assert len(code) <= 60
    trained = run(world, tmp_path / "p", "projector", plugins=str(file), steps=12)
    near = log_of(trained.checkpoint, "loss/near")
    assert near[-1] < 0.8 * near[0]
    assert weights(trained.checkpoint).keys() == weights(world.student).keys()
    assert not list(trained.checkpoint.rglob("parts.pt"))
    assert trained.card["triple"]["parts"] == "projector"
    states = assert_resumes_to_the_last_bit(
        world, tmp_path, monkeypatch, "projector", plugins=str(file)
    )
    matrices = [state["modules"]["projector"]["weight"] for state in states]
    assert not torch.equal(matrices[0], matrices[1])
    assert not torch.equal(matrices[1], matrices[2])
    assert states[0]["optimizers"]["projector"]["state"]


@pytest.fixture(name="projector")
def _projector():
    plugins.load_plugins([str(EXAMPLES / "projector.py")])
    return methods.get("projector")


def test_the_projector_conforms(projector):
    for mark in conformance_tests(projector()).mark.args[1]:
        if "compiled" not in mark.id:
            mark.values[0]()


# Kinds of terms and of states


@dataclass(frozen=True)
class Learned(SequenceObjective):
    """A regression of log q(y) by a part."""

    views = ()
    floor = None

    def sequence(self, rows):
        inputs = torch.stack([rows.log_q, rows.lengths.float()], -1) / 10
        return (rows.parts["value"](inputs)[:, 0] + 1).square()


class Rising(Schedule):
    """A weight that remembers the loss, and what it saw of terms."""

    def __init__(self):
        self.weight = 0.1

    def values(self, progress):  # noqa: ARG002
        return {"weight": self.weight}

    def after_step(self, signals):
        assert set(signals.terms) == {"forward_kl", "weight Learned per sequence"}
        self.weight += 0.1 * min(1.0, signals.terms["forward_kl"])

    def state(self):
        return {"weight": self.weight}

    def restore(self, state):
        self.weight = state["weight"]

    def __str__(self):
        return "rising"


def test_a_loss_of_responses_with_a_moving_weight_and_a_part_resumes(world, tmp_path, monkeypatch):
    class Named(Learned):
        def __str__(self):
            return "Learned"

    def triple():
        terms = [Term(Match()), Term(Named(), "weight", per="sequence")]
        parts = {"value": Part(lambda sizes: torch.nn.Linear(2, 1), rate=2.0)}
        return Triple(terms, schedule=Rising(), parts=parts)

    states = assert_resumes_to_the_last_bit(world, tmp_path, monkeypatch, made(triple))
    assert len(states) == 3
    moved = log_of(tmp_path / "one", "schedule/weight")
    assert moved == sorted(moved)
    assert moved[-1] > moved[0]


class Empty(FromDataset):
    """No response in every second step."""

    def rollouts(self, draw):
        return [] if draw.step % 2 else super().rollouts(draw)


def test_an_empty_step_moves_no_weight(world, tmp_path, monkeypatch):
    from kdbench.training.trainer import DistillationTrainer

    after, seen = DistillationTrainer.after_step, []

    def keep(self, outcome):
        seen.append([p.detach().clone() for p in self.model.parameters()])
        return after(self, outcome)

    monkeypatch.setattr(DistillationTrainer, "after_step", keep)
    run(world, tmp_path / "x", made(lambda: Triple(Match(), Empty())), weight_decay=0.1)
    changed = [
        any(not torch.equal(a, b) for a, b in zip(*pair, strict=True)) for pair in pairwise(seen)
    ]
    assert changed == [False, True, False]


def test_a_term_of_weight_0_costs_nothing(world, tmp_path):
    @dataclass(frozen=True)
    class Never(Objective):
        views = ()

        def token(self, chunk):  # noqa: ARG002
            raise AssertionError("a term without weight was computed")

    run(world, tmp_path / "a", made(lambda: Triple([Term(Match()), Term(Never(), 0.0)])), steps=2)
    run(world, tmp_path / "b", made(lambda: Triple(Match())), steps=2)
    assert equal(tmp_path / "a", tmp_path / "b")


# What is refused


def test_an_objective_that_holds_a_module_is_refused_by_its_name(world, tmp_path):
    class Holder(CrossEntropy):
        def __init__(self):
            object.__setattr__(self, "gate", torch.nn.Linear(2, 2))

    name = made(lambda: Triple(Holder()))
    with pytest.raises(kdbench.InputError, match=r"^Holder\.gate: .*Triple\(parts="):
        run(world, tmp_path / "x", name)
    assert not (tmp_path / "x").exists()


def test_a_term_on_an_origin_that_never_occurs_is_refused_before_anything_is_loaded(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text(
        "import kdbench\n"
        "from kdbench.methods import Method\n"
        "from kdbench.training import Match, Term, Triple\n\n\n"
        '@kdbench.register("wrong")\n'
        "class Wrong(Method):\n"
        '    """A term that never learns."""\n\n'
        '    title, paper, cost = "Wrong", "none", "none"\n\n'
        "    def triple(self):\n"
        '        return Triple([Term(Match(), on=("studnet",))])\n'
    )
    words = ["method=wrong", f"plugins={file}", "student=no/student", "teacher=no/teacher"]
    done = subprocess.run(
        [sys.executable, "-m", "kdbench", "train", *words, f"out={tmp_path / 'out'}"],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "on 'studnet', and its source gives dataset: it would never learn" in line
    assert not (tmp_path / "out").exists()


def test_a_step_objective_that_reads_logits_it_does_without_is_refused():
    @dataclass(frozen=True)
    class Without(Objective):
        views = ()
        needs_logits = False

        def token(self, chunk):
            return chunk.logits.sum(-1)

    (check, *_) = [
        mark.values[0]
        for mark in conformance_tests(Triple(Without())).mark.args[1]
        if next(iter(FACTS)).__name__ in mark.id
    ]
    with pytest.raises(kdbench.InputError, match="needs_logits=False"):
        check()
