"""The sides of the benchmark of the loss compute the same loss and the same gradients."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delenv("KDBENCH_BENCH_DEVICE", raising=False)
    return importlib.import_module("benchmarks.loss_sides")


@pytest.mark.parametrize("number", range(7))
def test_every_side_gives_the_loss_and_the_gradients_of_float64(
    sides: ModuleType, number: int
) -> None:
    measured = sides.OBJECTIVES[number]
    inputs = sides.Inputs(70, (16, 24), 40, torch.float32)
    value, gradient = sides.reference(measured, inputs)
    weight = None
    for make in (sides.kdbench_side, sides.recomputed, sides.full_logits, sides.trl_kernels):
        try:
            side = make(measured, inputs)
        except sides.PeerMissingError:
            continue
        inputs.clear()
        assert float(side()) == pytest.approx(float(value), rel=1e-5)
        torch.testing.assert_close(inputs.states[0].grad.double(), gradient, rtol=1e-4, atol=1e-7)
        weight = inputs.heads[0].weight.grad if weight is None else weight
        torch.testing.assert_close(inputs.heads[0].weight.grad, weight, rtol=1e-4, atol=1e-7)
