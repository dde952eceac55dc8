"""TGeo-KD: its controller learns to lower the validation loss, and nothing else moves it."""

import json
from pathlib import Path

import pytest
import torch
from small_context import V, tiny_llama

import kdbench
from kdbench.methods.tgeo import Controlled, TGeo
from kdbench.toy.models import World
from kdbench.training import Chunk, CrossEntropy, Rollout, Sizes
from kdbench.training.gradients import StudentGradients
from kdbench.training.loss import distillation_loss
from kdbench.training.objective import Term
from kdbench.training.sources.bilevel import RECORDED, Mixed, mixing_gradients
from kdbench.training.trainer import DistillationTrainer
from kdbench.views.rollout import Batch
from kdbench.views.view import ModelView

ROWS = [
    Rollout("a", (3, 4), (5, 6, 2), "dataset"),
    Rollout("b", (3,), (7, 2), "dataset"),
    Rollout("c", (9, 8, 7), (4, 4, 5, 2), "dataset"),
]
VALID = [Rollout("d", (6, 3), (9, 1, 2), "dataset"), Rollout("e", (1,), (10, 2), "dataset")]
N = sum(len(row.response_ids) for row in ROWS)


class Given(Mixed):
    """The method's losses with shares that are recorded."""

    def gap(self, chunk: Chunk) -> torch.Tensor:
        return Controlled().gap(chunk)

    def token(self, chunk: Chunk) -> torch.Tensor:
        return chunk.plan["given"] * self.gap(chunk) - chunk.of_target(chunk.log_q)


def with_shares(shares: list[float]) -> list[Rollout]:
    given, rows = iter(shares), []
    for row in ROWS:
        rows.append(row.with_recorded(given=[next(given) for _ in row.response_ids]))
    return rows


def test_a_tokens_derivative_is_the_change_of_the_validation_loss() -> None:
    """By central differences in one share, with the whole virtual step made anew."""
    student = tiny_llama(1).double().eval()
    views = {"teacher": ModelView(tiny_llama(2).double(), V)}
    gradients = StudentGradients(student, ModelView(student, V), views, {}, "cpu")
    group, rate, width = gradients.chosen(""), 0.3, 0.1  # losses are float32
    shares = [0.2 + 0.6 * place / N for place in range(N)]
    found = mixing_gradients(group, Given(), with_shares(shares), CrossEntropy(), VALID, rate)

    def validation(shares: list[float]) -> float:
        rows = with_shares(shares)
        step = sum(len(row.response_ids) * group.mean(Given(), [row]) for row in rows) / N
        with group.virtual_step(step, rate):
            return sum(group.loss(CrossEntropy(), [row]) for row in VALID) / len(VALID)

    for token in (0, N // 2, N - 1):
        ends = []
        for way in (width, -width):
            moved = list(shares)
            moved[token] += way
            ends.append(validation(moved))
        derivative = (ends[0] - ends[1]) / (2 * width)
        assert float(found[token]) / N == pytest.approx(derivative, rel=2e-2, abs=5e-5)
    assert found.abs().max() > 0


def test_the_controllers_gradient_is_what_was_recorded_and_no_more() -> None:
    student = tiny_llama(1)
    views = {"student": ModelView(student, V), "teacher": ModelView(tiny_llama(2), V)}
    triple = TGeo().triple()
    controller = triple.parts["controller"].build(Sizes({}, {}, V))
    (term,) = triple.terms

    def gradient(value: float | None) -> torch.Tensor:
        rows = ROWS
        if value is not None:
            rows = [
                row.with_recorded(**{RECORDED: [value] * len(row.response_ids)}) for row in ROWS
            ]
        parts = {"controller": controller}
        loss = distillation_loss([term], Batch(rows), views, parts=parts).value
        found = torch.autograd.grad(
            loss, list(controller.parameters()), allow_unused=True, materialize_grads=True
        )
        return torch.cat([piece.flatten() for piece in found])

    assert not gradient(None).any()
    assert not gradient(0.0).any()
    assert gradient(1.0).abs().max() > 0
    torch.testing.assert_close(gradient(-2.0), -2 * gradient(1.0))


def test_the_shares_reach_the_students_loss() -> None:
    student, teacher = ModelView(tiny_llama(1), V), ModelView(tiny_llama(2), V)
    values = []
    for bias in (-30.0, 0.0, 30.0):
        controller = torch.nn.Linear(7, 1)
        torch.nn.init.zeros_(controller.weight)
        torch.nn.init.constant_(controller.bias, bias)
        terms, views = [Term(Controlled(1.0))], {"student": student, "teacher": teacher}
        parts = {"controller": controller}
        loss = distillation_loss(terms, Batch(ROWS), views, parts=parts)
        values.append(float(loss.value.detach()))
    assert values[1] == pytest.approx((values[0] + values[2]) / 2, rel=1e-5)
    assert values[0] != pytest.approx(values[2], rel=1e-3)


def test_a_run_trains_the_controller_and_resumes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "method": "tgeo",
        "student": str(world.student),
        "teacher": str(world.teacher),
        "data": world.data,
        "steps": 3,
        "batch_size": 4,
        "limit": 16,
        "controller_every": 2,
        "average_rows": 8,
        "validation_rows": 4,
        "validation_limit": 4,
        "validation_samples": 1,
        "save_every": 1,
        "log_every": 1,
        "device": "cpu",
    }
    controllers: list[dict[str, torch.Tensor]] = []
    learn = DistillationTrainer.training_step

    def remember(self: DistillationTrainer, *arguments: object) -> torch.Tensor:
        module = self.parts.modules["controller"]
        controllers.append({name: value.clone() for name, value in module.state_dict().items()})
        return learn(self, *arguments)

    monkeypatch.setattr(DistillationTrainer, "training_step", remember)
    whole = kdbench.train(out=tmp_path / "whole", **settings)
    first, second, _ = controllers
    assert all(not torch.equal(first[name], second[name]) for name in first)
    shares = [line["mixing/share"] for line in _lines(whole.checkpoint) if "mixing/share" in line]
    assert len(set(shares)) == 3

    def stop(self: DistillationTrainer, *arguments: object) -> torch.Tensor:
        if self.state.global_step == 1:
            raise KeyboardInterrupt
        return learn(self, *arguments)

    monkeypatch.setattr(DistillationTrainer, "training_step", stop)
    with pytest.raises(KeyboardInterrupt):
        kdbench.train(out=tmp_path / "resumed", **settings)
    monkeypatch.setattr(DistillationTrainer, "training_step", learn)
    resumed = kdbench.train(out=tmp_path / "resumed", **settings)
    weights = [(run.checkpoint / "model.safetensors").read_bytes() for run in (whole, resumed)]
    assert weights[0] == weights[1]


def _lines(checkpoint: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (checkpoint / "training.jsonl").read_text().splitlines()]
