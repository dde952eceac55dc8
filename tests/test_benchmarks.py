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


@pytest.fixture
def roofline(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT))
    names = ("benchmarks.roofline_limits", "benchmarks.roofline_sides")
    limits, sides = map(importlib.import_module, names)
    return limits, sides


@pytest.mark.parametrize("tied", [True, False])
def test_a_step_reads_each_weight_once_and_the_keys_and_values_of_each_row(
    roofline: tuple[ModuleType, ModuleType], tied: bool
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=10,
        hidden_size=8,
        intermediate_size=6,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    rows, tokens = 5, 4
    read, done = roofline[1]._least(LlamaForCausalLM(config), rows, tokens, 2)
    attention, feed_forward, norms = 8 * (8 + 4 + 4 + 8), 3 * 8 * 6, 2 * 8
    weights = 3 * (attention + feed_forward + norms) + 8 + 10 * 8  # the last norm, and one head
    cached = 3 * 2 * (2 * 2) * 6  # layers, keys and values, 2 heads of width 2, 4 + 4 / 2 columns
    assert read == 2 * (weights + rows * cached)
    assert done == 2 * rows * (weights + 2 * cached)  # each key serves two heads


def test_the_share_of_the_bandwidth_is_that_of_the_bytes_of_a_step(
    roofline: tuple[ModuleType, ModuleType],
) -> None:
    limits = roofline[0].Limits(bandwidth=100e9, operations=1e12)
    step = roofline[0].Step(
        rows=2, tokens_per_second=400.0, seconds=0.004, bytes=0.2e9, operations=1e9
    )
    assert step.text(limits) == ("400 tokens/s, 4 ms a step, 0.2 GB a step, 50.0% of the bandwidth")
    assert step.least(limits) == ("2 ms of reading, 1 ms of arithmetic: 50.0% of the limit reached")
