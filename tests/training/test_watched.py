"""Watched models: the logged distance against one computed with transformers alone."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

import kdbench
from kdbench.errors import InputError
from kdbench.training import watched


def run(world, out, **keys):
    return kdbench.train(
        student=world.student,
        data=world.data,
        out=out,
        steps=1,
        batch_size=2,
        limit=2,
        validation_limit=3,
        validation_samples=1,
        max_new_tokens=8,
        select="last",
        device="cpu",
        **keys,
    )


def logged(out):
    lines = map(json.loads, (out / "training.jsonl").read_text().splitlines())
    return {line["step"]: line for line in lines if "eval_loss" in line}


def plain_kl(teacher, student, rollouts):
    """The mean over tokens of KL(teacher‖student), one response at a time."""
    total, tokens = 0.0, 0
    models = [AutoModelForCausalLM.from_pretrained(path).eval() for path in (teacher, student)]
    for one in rollouts:
        ids = torch.tensor([[*one.prompt_ids, *one.response_ids]])
        start = len(one.prompt_ids) - 1
        with torch.no_grad():
            log_p, log_q = (m(ids).logits[0, start:-1].double().log_softmax(-1) for m in models)
        total += float((log_p.exp() * (log_p - log_q)).sum())
        tokens += len(one.response_ids)
    return total / tokens


def test_the_distance_is_the_mean_kl_on_the_models_own_responses(world, tmp_path, monkeypatch):
    seen = {}
    measure = watched.Watch.measure

    def noting(self, student):
        seen.update({name: list(model.rollouts) for name, model in self._models.items()})
        return measure(self, student)

    monkeypatch.setattr(watched.Watch, "measure", noting)
    models = {"gold": str(world.teacher), "teacher": "teacher", "me": str(world.student)}
    run(world, tmp_path / "kd", method="kd", teacher=world.teacher, watch=models)
    start = logged(tmp_path / "kd")[0]
    assert {name: len(rollouts) for name, rollouts in seen.items()} == dict.fromkeys(models, 3)
    expected = plain_kl(world.teacher, world.student, seen["gold"])
    assert start["eval_kl_gold"] == pytest.approx(expected, rel=1e-4)
    assert start["eval_kl_teacher"] == start["eval_kl_gold"]  # the same model and responses
    assert start["eval_kl_me"] == 0
    assert logged(tmp_path / "kd")[1]["eval_kl_me"] > 0


def test_watching_changes_no_student_and_is_part_of_what_a_run_is(world, tmp_path):
    watch = {"me": str(world.student)}
    plain = run(world, tmp_path / "plain", method="sft")
    seen = run(world, tmp_path / "watched", method="sft", watch=watch)
    weights = [(one.checkpoint / "model.safetensors").read_bytes() for one in (plain, seen)]
    assert weights[0] == weights[1]
    assert "watch" not in plain.card["training"]["settings"]
    assert len(seen.card["training"]["settings"]["watch"]["me"]) == 64  # content, not place
    with pytest.raises(InputError, match="watch"):
        run(world, tmp_path / "plain", method="sft", watch=watch)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"teacher": "teacher"}, "method=sft has no teacher in memory"),
        ({"gold": "nowhere"}, "watch=nowhere"),
        ({"a b": "x"}, "letters, digits"),
        ({"gold": 3}, "gold: must be a checkpoint"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_training(value, message, world, tmp_path):
    with pytest.raises(InputError, match=message):
        run(world, tmp_path / "out", method="sft", watch=value)
    assert not (tmp_path / "out").exists()
