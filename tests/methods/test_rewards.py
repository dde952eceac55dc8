"""Methods on pairs and rewards: signs, what they learn, and what they refuse."""

import json
import math
from pathlib import Path

import pytest
import torch

import kdbench
from kdbench.errors import InputError
from kdbench.methods import methods
from kdbench.methods.distillm2 import Curricula
from kdbench.methods.trrd import RatioToMixture
from kdbench.training import Chunk, StepSignals
from kdbench.training.sources.groups import group_advantages
from kdbench.training.trainer import DistillationTrainer

SAMPLES = 100_000


def chunk(logits, actions, advantages, old, teacher):
    """A chunk of one-token responses to the same prompt."""
    count = len(actions)
    plan = {
        "advantage": torch.tensor(advantages, dtype=torch.float64),
        "log_sampled": old[actions],
    }
    views = {"teacher": teacher.expand(count, -1)}
    return Chunk(logits.expand(count, -1), views, torch.as_tensor(actions), plan=plan)


def policy_gradient(objective, logits, actions, advantages, old, teacher):
    """The gradient of the mean loss of responses by the student's logits."""
    leaf = logits.clone().requires_grad_()
    loss = objective.token(chunk(leaf, actions, advantages, old, teacher)).mean()
    return torch.autograd.grad(loss, leaf)[0]


def learned_arm(better, old_share, teacher):
    """The probability of a bandit's better arm, which wins 8 times of 10, after 200 updates."""
    draw = torch.Generator().manual_seed(better)
    logits = torch.zeros(2, dtype=torch.float64)
    objective = RatioToMixture(0.2, old_share)
    for _ in range(200):
        old = logits.log_softmax(-1)
        actions = torch.multinomial(old.exp(), 8, replacement=True, generator=draw)
        chance = [0.8 if action == better else 0.2 for action in actions]
        won = torch.rand(8, generator=draw) < torch.tensor(chance)
        advantages = group_advantages(won.double().tolist())
        slope = policy_gradient(objective, logits, actions, advantages, old, teacher)
        logits = logits - 0.2 * slope
    return float(logits.softmax(-1)[better])


@pytest.mark.parametrize("better", [0, 1])
@pytest.mark.parametrize(("old_share", "prefers"), [(1, 0), (1, -1), (0.5, 2)])
def test_the_better_arm_of_a_bandit_is_found(better, old_share, prefers):
    """Without the teacher's share whatever it prefers, and with it where it prefers that arm."""
    teacher = torch.zeros(2, dtype=torch.float64)
    teacher[better] = prefers
    assert learned_arm(better, old_share, teacher) > 0.9


def test_a_teacher_that_gives_little_to_the_better_arm_holds_the_student_back():
    """A right arm has a gradient until q is 1.2² p, a wrong one until it is .8² p."""
    for probability in (0.3, 0.5):
        teacher = torch.tensor([probability, 1 - probability], dtype=torch.float64).log()
        limit = max(1.44 * probability, 1 - 0.64 * (1 - probability))
        assert learned_arm(0, 0.5, teacher) == pytest.approx(limit, abs=0.02)


@pytest.mark.parametrize("old_share", [1.0, 0.5])
def test_leaving_out_a_response_moves_it_against_its_advantage(old_share):
    """A right response is likelier with itself in the group than without, a wrong one less so."""
    logits = torch.tensor([0.3, -0.2, 0.1, 0.0], dtype=torch.float64)
    teacher, old = torch.tensor([0.2, 0.1, -0.1, 0.0], dtype=torch.float64), logits.log_softmax(-1)
    actions = torch.arange(4)
    advantages = group_advantages([1, 0, 0, 1])
    objective = RatioToMixture(0.2, old_share)

    def after_step(kept):
        moved = logits - 0.01 * len(kept) * policy_gradient(
            objective, logits, actions[kept], [advantages[n] for n in kept], old, teacher
        )
        return moved.log_softmax(-1)

    whole = after_step([0, 1, 2, 3])
    for left_out in range(4):
        without = after_step([n for n in range(4) if n != left_out])
        gain = float(whole[left_out] - without[left_out])
        assert gain * advantages[left_out] > 0


def one_hot_gradients(loss_of_action, logits):
    """The gradient of the loss of each action by the logits, (V, V)."""
    rows = []
    for action in range(len(logits)):
        leaf = logits.clone().requires_grad_()
        rows.append(torch.autograd.grad(loss_of_action(leaf, action), leaf)[0])
    return torch.stack(rows)


def assert_within_three_sigma(by_action, probability, expected):
    draw = torch.Generator().manual_seed(5)
    actions = torch.multinomial(probability, SAMPLES, replacement=True, generator=draw)
    sampled = by_action[actions]
    error = sampled.std(0) / math.sqrt(SAMPLES)
    assert ((sampled.mean(0) - expected).abs() < 3 * error).all()


def test_opds_sampled_gradient_is_that_of_the_reverse_kl():
    student = torch.tensor([1, 1.5, 0, -0.5], dtype=torch.float64)
    teacher = torch.tensor([[2, 1, 0, -1]], dtype=torch.float64)
    objective = methods.get("opd")().triple().terms[0].objective

    def loss(leaf, action):
        at = Chunk(leaf[None], {"teacher": teacher}, torch.tensor([action]))
        return objective.token(at).sum()

    leaf = student.clone().requires_grad_()
    log_q = leaf.log_softmax(-1)
    kl = (log_q.exp() * (log_q - teacher[0].log_softmax(-1))).sum()
    (expected,) = torch.autograd.grad(kl, leaf)
    assert_within_three_sigma(one_hot_gradients(loss, student), student.softmax(-1), expected)


@pytest.mark.parametrize("old_share", [1.0, 0.5])
def test_trrds_sampled_gradient_is_the_analytic_one(old_share):
    """With two right tokens of four; the reward at q = q_old, where the clip cuts wrong tokens."""
    logits = torch.tensor([1, 1.5, 0, -0.5], dtype=torch.float64)
    teacher = torch.tensor([2, 1, 0, -1], dtype=torch.float64)
    old, advantages = logits.log_softmax(-1), torch.tensor([1.0, -1, -1, 1], dtype=torch.float64)
    objective = RatioToMixture(0.2, old_share)

    def loss(leaf, action):
        given = [float(advantages[action])]
        return objective.token(chunk(leaf, torch.tensor([action]), given, old, teacher)).sum()

    # -A ρ d log q, without the tokens beyond the clip, times q, where d log q_a = onehot - q.
    q, p = old.exp(), teacher.softmax(-1)
    ratio = (q / p) ** (1 - old_share)
    beyond = ((advantages > 0) & (ratio > 1.2)) | ((advantages < 0) & (ratio < 0.8))
    weight = -advantages * ratio * ~beyond
    expected = (q * weight) @ (torch.eye(4, dtype=torch.float64) - q)
    assert_within_three_sigma(one_hot_gradients(loss, logits), q, expected)


def test_a_ratio_beyond_any_float_has_a_finite_loss_and_gradient():
    logits = torch.tensor([0.0, 0.0])
    teacher, old = torch.tensor([-2e4, 0.0]), logits.log_softmax(-1)
    for advantage in (1.0, -1.0):
        leaf = logits.clone().requires_grad_()
        loss = RatioToMixture().token(chunk(leaf, torch.tensor([0]), [advantage], old, teacher))
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        assert torch.isfinite(loss).all()
        assert torch.isfinite(gradient).all()


def test_the_curricula_of_distillm2_go_on_from_a_state():
    schedule = Curricula(1.0, growing=True, diagnoses=True)
    signals = {"distillm2/lead_chosen": 0.25, "distillm2/lead_rejected": -0.5}
    schedule.after_step(StepSignals(1, 0.1, 1.0, {}, signals))
    again = Curricula(1.0, growing=True, diagnoses=True)
    again.restore(json.loads(json.dumps(schedule.state())))
    assert again.values(0.3) == schedule.values(0.3)
    assert schedule.values(0.3)["lead/rejected"] == -0.5


FEW = {
    "steps": 4,
    "batch_size": 4,
    "limit": 24,
    "max_new_tokens": 8,
    "validation_limit": 2,
    "validate_every": 100,
    "log_every": 1,
    "select": "last",
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="session")
def pairs(world, tmp_path_factory) -> Path:
    """The world's rows with a pair each: the last word is better than all."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = map(json.loads, (world.data / "dolly" / "train.jsonl").read_text().splitlines())
    texts = [
        {**row, "chosen": row["output"][0].split()[-1], "rejected": row["output"][0] + " Yes."}
        for row in rows
    ]
    file.write_text("\n".join(map(json.dumps, texts)))
    return file


def words(world, method, **settings):
    models = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return {**FEW, **models, "method": method, **settings}


def log_lines(folder):
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def test_adpa_learns_from_samples_and_chosen_responses_after_dckd(world, pairs, tmp_path):
    given = {"train_set": str(pairs), "valid_set": "dolly", "reference_model": str(world.teacher)}
    settings = words(world, "adpa", **given, dckd_share=0.5, anchor_weight=0.1)
    lines = log_lines(kdbench.train(out=tmp_path / "adpa", **settings).checkpoint)
    stages = [{name.partition("/")[0] for name in line} for line in lines if "loss" in line]
    assert len(stages) == 4
    assert ["adpa" in names for names in stages] == [False, False, True, True]
    # The teacher is its own reference: no token has an advantage.
    name = "loss/1.5 teacher_advantage on student"
    assert [line[name] for line in lines if name in line] == pytest.approx([0, 0], abs=1e-6)


def test_a_resume_within_the_curricula_gives_the_same_bits(world, tmp_path, monkeypatch):
    few = words(world, "distillm2", steps=3, save_every=1, adaptive_skew=True, growing_weight=True)
    whole = kdbench.train(out=tmp_path / "whole", **few).checkpoint
    learn = DistillationTrainer.training_step

    def stop(self, *arguments):
        if self.state.global_step == 2:
            raise KeyboardInterrupt
        return learn(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(DistillationTrainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            kdbench.train(out=tmp_path / "resumed", **few)
    resumed = kdbench.train(out=tmp_path / "resumed", **few).checkpoint
    weights = [(place / "model.safetensors").read_bytes() for place in (whole, resumed)]
    assert weights[0] == weights[1]
    (last,) = [line for line in log_lines(resumed) if line.get("step") == 3 and "loss" in line]
    assert last["schedule/lead/chosen"] != 0
    assert last["schedule/student_text"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("trrd", {}, r"^verifier= is missing: what rewards a response"),
        ("grpo", {}, r"^verifier= is missing"),
        ("trrd", {"verifier": "exact_mach"}, r"verifier=exact_mach: .*exact_match"),
        *(
            (name, {"verifier": "number", "limit": 16}, r"no reference has a number to compare")
            for name in ("grpo", "trrd", "sdpo")
        ),
        ("sdpo", {"verifier": "exact_mach"}, r"^verifier=exact_mach: .*exact_match"),
        ("trrd", {"verifier": "rougeL>=2"}, r"limit must be a number of 0 to 1"),
        ("adpa", {}, r"^reference_model= is missing: checkpoint of the teacher"),
        ("adpa", {"reference_model": "nowhere"}, r"reference_model=nowhere"),
        ("dckd", {}, r"train\.jsonl:1: the method needs the field 'chosen'"),
        ("dpo", {}, r"train\.jsonl:1: the method needs the field 'chosen'"),
        ("dpo", {"beta": 0}, r"beta=0"),
        ("trrd", {"verifier": "number", "sampling_temperature": 0.7}, r"sampling_temperature"),
    ],
)
def test_what_is_missing_or_wrong_is_named_before_a_model_is_loaded(
    world, tmp_path, monkeypatch, method, settings, message
):
    monkeypatch.setattr("kdbench.distillation.students.StudentSource.load", None)
    with pytest.raises(InputError, match=message):
        kdbench.train(out=tmp_path / "out", **words(world, method, **settings))
    assert not (tmp_path / "out").exists()
