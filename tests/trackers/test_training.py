"""A training in trackers: the log under transformers' names, each step once, then the card."""

import json

import pytest

import kdbench

FEW = {
    "method": "kd",
    "steps": 6,
    "batch_size": 4,
    "limit": 16,
    "max_new_tokens": 6,
    "validation_limit": 2,
    "validate_every": 3,
    "log_every": 1,
    "save_every": 3,
    "device": "cpu",
    "precision": "float32",
    "report_to": "memory",
}


def train(world, out, **settings):
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return kdbench.train(**{**FEW, **both, "out": out, **settings})


def logged(memory):
    """Step and name of each number that was logged."""
    return [(call[2], name) for call in memory.calls if call[0] == "log" for name in call[1]]


def test_losses_validations_and_the_card_are_logged_once(world, tmp_path, memory):
    trained = train(world, tmp_path / "out", report_group="g", label="Mine")
    run = memory.calls[0][1]
    assert (run.kind, run.name, run.group) == ("train", "Mine", "g")
    assert json.loads(json.dumps(run.config["training"])) == trained.card["training"]
    log = (tmp_path / "out/training.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    told = [call for call in memory.calls if call[0] == "log" and "train/loss" in call[1]]
    assert {step: numbers["train/loss"] for _, numbers, step in told} == losses
    validations = {line["step"]: line["eval_loss"] for line in lines if "eval_loss" in line}
    entries = [call for call in memory.calls if call[0] == "log" and "eval/loss" in call[1]]
    assert {step: numbers["eval/loss"] for _, numbers, step in entries} == validations
    assert len(set(logged(memory))) == len(logged(memory))
    (summary,) = [call[1] for call in memory.calls if call[0] == "summarise"]
    assert summary["selected/loss"] == trained.card["selected"]["loss"]
    assert summary["phases/validate_seconds"] == trained.card["phases"]["validate"]["seconds"]
    assert memory.calls[-1] == ("close", False)
    memory.calls = []
    train(world, tmp_path / "out")
    assert memory.calls == []


def test_a_resumed_training_continues_its_run_without_logging_a_step_twice(
    world, tmp_path, memory, monkeypatch
):
    from kdbench.training.trainer import DistillationTrainer

    step = DistillationTrainer.training_step

    def stop(self, *arguments):
        if self.state.global_step >= 5:  # after the log of step 5; the last state is that of step 3
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(DistillationTrainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(world, tmp_path / "out")
    assert memory.calls[-1] == ("close", True)
    before = logged(memory)
    assert max(before)[0] == 5
    memory.calls = []
    train(world, tmp_path / "out")
    (opened,) = [call for call in memory.calls if call[0] == "open"]
    assert opened[2] == "id-out"
    both = before + logged(memory)
    assert len(set(both)) == len(both)
    memory.calls = []
    train(world, tmp_path / "whole")
    assert sorted(logged(memory)) == sorted(both)


def test_a_tracker_that_fails_does_not_stop_a_training(world, tmp_path, memory, capsys):
    memory.fails = "log"
    trained = train(world, tmp_path / "out", steps=2)
    assert trained.steps == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning: " in line]
    assert lines == [
        "warning: report_to=memory: no network at all, token=***; the log is in "
        f"{tmp_path / 'out' / 'training.jsonl'}"
    ]
