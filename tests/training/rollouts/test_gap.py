"""The gap between two distributions, against hand values and sums over whole distributions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdbench.training.chunk import Chunk
from kdbench.training.loss import distillation_loss
from kdbench.training.objective import CrossEntropy, Objective, Term
from kdbench.training.rollouts.gap import ROLLOUT_WEIGHT, gap_of, weights_of
from kdbench.views.rollout import Batch, Rollout

log_probabilities = st.lists(st.floats(-30, 0), min_size=1, max_size=6)


def test_the_gap_of_three_tokens_is_the_one_worked_by_hand() -> None:
    own = [[math.log(0.5), math.log(0.1)], [math.log(0.3)]]
    engine = [[math.log(0.25), math.log(0.2)], [math.log(0.3)]]
    gap = gap_of(own, engine)
    assert gap.tokens == 3
    assert gap.absolute == pytest.approx(2 * math.log(2))
    assert gap.largest == pytest.approx(math.log(2))
    assert gap.k1 == pytest.approx(0, abs=1e-12)  # -log 2 + log 2
    # exp(d) - 1 - d: 2 - 1 - log 2, and 1/2 - 1 + log 2
    assert gap.k3 == pytest.approx(1 - math.log(2) - 0.5 + math.log(2))


def test_both_estimates_are_the_divergence_in_expectation() -> None:
    """Over the whole distribution of the engine, the weighted means are KL(engine‖own)."""
    engine = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    own = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    exact = float((engine * (engine / own).log()).sum())
    gaps = [
        gap_of([[q]], [[mu]])
        for q, mu in zip(own.log().tolist(), engine.log().tolist(), strict=True)
    ]
    for name in ("k1", "k3"):
        mean = sum(float(p) * getattr(gap, name) for p, gap in zip(engine, gaps, strict=True))
        assert mean == pytest.approx(exact)


@given(log_probabilities, st.floats(0.1, 10), st.randoms(use_true_random=False))
def test_weights_are_ratios_up_to_the_clip(own, clip, rng) -> None:
    engine = [rng.uniform(-30, 0) for _ in own]
    (weights,) = weights_of([own], [engine], clip)
    for weight, q, mu in zip(weights, own, engine, strict=True):
        assert weight == pytest.approx(min(math.exp(q - mu), clip))
    gap = gap_of([own], [engine])
    assert gap.k3 >= -1e-9
    assert gap.largest <= gap.absolute + 1e-12


class TokenLoss(Objective):
    """-log q(y), as of a policy gradient with the advantage 1."""

    views = ()

    def __init__(self, weighs: bool):
        self.weighs_rollouts = weighs

    def token(self, chunk: Chunk) -> torch.Tensor:
        return -chunk.of_target(chunk.log_q)


class TableView:
    """A student whose logits are a table by position, without a model."""

    vocabulary = 5

    def __init__(self, table: torch.Tensor):
        self.table = table

    def states(self, batch: Batch) -> torch.Tensor:
        return self.table[: len(batch.targets)]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        return states


def loss_of(rollouts, table, objective, per="token"):
    terms = [Term(objective, per=per)]
    return distillation_loss(terms, Batch(rollouts), {"student": TableView(table)})


def rows(weights):
    first = Rollout("a", (1,), (2, 3), "student")
    other = Rollout("b", (1,), (4,), "student")
    given = [first.with_recorded(**{ROLLOUT_WEIGHT: weights}), other]
    return given, torch.tensor([2, 3, 4])


@pytest.mark.parametrize("per", ["token", "sequence"])
def test_the_gradient_of_each_token_has_its_weight(per) -> None:
    """A row that no engine drew has the weight 1."""
    given, targets = rows([0.5, 1.75])
    table = torch.randn(3, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    loss_of(given, table, TokenLoss(weighs=True), per).value.backward()
    weights = torch.tensor([0.5, 1.75, 1.0])
    shares = torch.tensor([1 / 3] * 3) if per == "token" else torch.tensor([1 / 4, 1 / 4, 1 / 2])
    one_hot = torch.nn.functional.one_hot(targets, 5)
    expected = (table.detach().softmax(-1) - one_hot) * (weights * shares)[:, None]
    assert torch.allclose(table.grad, expected, atol=1e-6)


def test_an_objective_that_needs_no_weights_has_none() -> None:
    given, _ = rows([0.5, 1.75])
    plain = [Rollout("a", (1,), (2, 3), "student"), Rollout("b", (1,), (4,), "student")]
    table = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))
    for objective in (TokenLoss(weighs=False), CrossEntropy()):
        assert float(loss_of(given, table, objective).value) == pytest.approx(
            float(loss_of(plain, table, objective).value)
        )


def test_weighted_samples_of_another_distribution_give_the_students_gradient() -> None:
    """Without a clip, the expectation over the engine's tokens is that over the student's."""
    logits = torch.tensor([0.3, -1.0, 0.8], dtype=torch.float64, requires_grad=True)
    engine = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    reward = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    log_q = logits.log_softmax(-1)
    (exact,) = torch.autograd.grad((log_q.exp() * reward).sum(), logits, retain_graph=True)
    weights = [
        weights_of([[float(q)]], [[math.log(mu)]], 1e9)[0][0]
        for q, mu in zip(log_q.detach(), engine.tolist(), strict=True)
    ]
    sampled = (engine * torch.tensor(weights) * reward * log_q).sum()
    (estimate,) = torch.autograd.grad(sampled, logits)
    assert torch.allclose(estimate, exact)
