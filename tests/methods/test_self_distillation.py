"""Methods whose teacher is the student itself: what hand values do not show."""

import json

import pytest
import torch

import kdbench
from kdbench.cli.look.explain import _method_lines
from kdbench.errors import InputError
from kdbench.methods import methods

FEW = {
    "steps": 2,
    "batch_size": 4,
    "limit": 24,
    "learning_rate": 2e-3,
    "lr_schedule": "constant",
    "max_new_tokens": 6,
    "validation_limit": 4,
    "validation_samples": 1,
    "log_every": 1,
    "select": "last",
    "device": "cpu",
    "precision": "float32",
}


def run(world, out, **settings):
    return kdbench.train(
        **{**FEW, "student": str(world.student), "data": world.data, "out": out, **settings}
    )


def log_of(out):
    lines = (out / "training.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def with_field(world, folder, **fields):
    """The rows of Dolly with further columns."""
    for split in ("train", "valid"):
        text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
        rows = [{**json.loads(line), **fields} for line in text.splitlines()]
        place = folder / "dolly" / f"{split}.jsonl"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def test_without_a_context_there_is_nothing_to_learn_at_first(world, tmp_path):
    losses = {}
    for hint in ("", "Blue."):
        data, out = with_field(world, tmp_path / f"data{hint}", hint=hint), tmp_path / f"out{hint}"
        run(world, out, method="opsd", context_field="hint", data=data, steps=1)
        (losses[hint],) = [line["loss"] for line in log_of(out) if "loss" in line]
    assert abs(losses[""]) < 1e-7
    assert losses["Blue."] > 1e-5


def test_a_row_without_the_field_is_refused(world, tmp_path):
    with pytest.raises(InputError, match="hint"):
        run(world, tmp_path / "out", method="opsd", context_field="hint")


def test_a_context_that_does_not_fit_is_refused_before_the_first_step(world, tmp_path):
    with pytest.raises(InputError, match="lower max_length= or the limit of its context"):
        run(world, tmp_path / "out", method="sdpo", max_new_tokens=400, samples=2)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("opsd", {"form": "sampled", "sampling_temperature": 1.1}, "needs plain samples"),
        ("opsd", {"form": "sampled", "clip": 0.1}, "form=sampled has no"),
        ("opsd", {"context_template": "Look:"}, "has no {}"),
        ("sdft", {"context_template": "Look:"}, "has no {}"),
        ("sdpo", {"verifier": "exact"}, "unknown verifier 'exact'.*exact_match"),
        ("sdpo", {"verifier": "number"}, "no reference has a number"),
        ("sdpo", {"distillation_weight": 0.5, "sampling_top_p": 0.9}, "needs plain samples"),
        ("skd", {"sampling_top_p": 0.9}, "needs plain samples|teacher= is missing"),
        ("iterated", {"anchor_model": "x"}, "is for target=anchored"),
        ("iterated", {"target": "anchored", "begin": "last"}, "begin=last has no student"),
        ("iterated", {"target": "anchored", "truth_weight": 0}, "learns nothing without labels"),
        ("iterated", {"generations": 3}, "steps=2: too few for 3 stages"),
        ("context_sd", {"context_template": "{question}"}, "has no {response}"),
    ],
)
def test_what_cannot_be_served_is_one_line(world, tmp_path, method, options, message):
    with pytest.raises(InputError, match=message) as refused:
        run(world, tmp_path / "out", method=method, **options)
    assert "\n" not in str(refused.value)


def test_sampling_at_another_temperature_is_fine_for_a_divergence():
    assert not methods.get("opsd")().plain_sampling
    assert methods.get("opsd")(form="sampled").plain_sampling
    assert not methods.get("sdpo")().plain_sampling
    assert methods.get("sdpo")(distillation_weight=0).plain_sampling


def test_the_page_of_a_method_says_so_for_its_default_keys():
    said = {name: "plain samples: " in "\n".join(_method_lines(name)) for name in ("opsd", "skd")}
    assert said == {"opsd": False, "skd": True}


def test_generations_begin_at_the_student_and_learn_from_the_last_one():
    stages = methods.get("iterated")(generations=3).stages()
    assert [stage.teacher for stage in stages] == [None, "last student", "last student"]
    assert [stage.student for stage in stages[1:]] == ["initial", "initial"]
    kept = methods.get("iterated")(generations=3, begin="last").stages()
    assert [stage.student for stage in kept] == ["keep"] * 3


def test_an_anchor_is_learned_alone_and_then_mixed(world, tmp_path):
    options = {"target": "anchored", "truth_weight": 0, "anchor_model": world.teacher}
    method = methods.get("iterated")(generations=2, **options)
    texts = [stage.triple.describe()["objective"] for stage in method.stages()]
    assert texts == ["forward_kl(view=anchor)", "forward_kl(geometric anchor 0.3)"]
    run(world, tmp_path / "out", method="iterated", generations=2, **options)
    stages = [line["stage"] for line in log_of(tmp_path / "out") if "loss" in line]
    assert stages == ["generation 1", "generation 2"]


def test_the_policy_gradient_of_a_group_finds_the_better_of_two_arms():
    objective = methods.get("sdpo")(distillation_weight=0).triple().terms[0].objective
    from kdbench.training import Chunk
    from kdbench.training.sources.groups import group_advantages

    logits, draw = torch.zeros(2), torch.Generator().manual_seed(0)
    for _ in range(200):
        arms = logits.softmax(-1).multinomial(8, replacement=True, generator=draw)
        advantage = torch.tensor(group_advantages([float(arm == 1) for arm in arms]))
        leaf = logits.clone().requires_grad_()
        chunk = Chunk(leaf.repeat(8, 1), {}, arms, plan={"advantage": advantage})
        (slope,) = torch.autograd.grad(objective.token(chunk).mean(), leaf)
        logits = logits - 0.1 * slope
    assert float(logits.softmax(-1)[1]) > 0.9
