"""StudentGradients of single responses on a group of parameters, and a step that is taken back."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.distributed.fsdp import FSDPModule
from transformers import GPT2Config, GPT2LMHeadModel

import kdbench
from kdbench.divergence import forward_kl
from kdbench.training import CrossEntropy, Match, Rollout, Term
from kdbench.training.gradients import StudentGradients
from kdbench.views.view import ModelView

ROWS = [
    Rollout("a", (3, 4, 5), (6, 7, 1), "dataset"),
    Rollout("b", (8,), (9, 2, 2, 4, 1), "dataset"),
    Rollout("c", (5, 5), (3, 1), "dataset"),
]
LOSS = [Term(CrossEntropy(), 0.5), Term(Match(forward_kl), 0.5)]


def model(seed: int) -> Any:
    """A model that is float64 throughout; it has dropout, which must not show."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=11,
        n_embd=8,
        n_inner=12,
        n_layer=2,
        n_head=2,
        n_positions=16,
        initializer_range=0.5,
        tie_word_embeddings=False,
        eos_token_id=1,
        bos_token_id=0,
    )
    return GPT2LMHeadModel(config).double()


@dataclass
class Setup:
    student: Any
    teacher: Any
    gradients: StudentGradients


@pytest.fixture
def setup() -> Setup:
    student, teacher = model(1), model(2).eval()
    view = ModelView(student, 11)
    views = {"student": None, "teacher": ModelView(teacher, 11)}
    return Setup(student, teacher, StudentGradients(student, view, views, {}, "cpu"))  # type: ignore[arg-type]


def loss_of(setup: Setup, row: Rollout) -> torch.Tensor:
    """The loss of a row by the models' own logits."""
    ids = torch.tensor([[*row.prompt_ids, *row.response_ids]])
    places = slice(len(row.prompt_ids) - 1, -1)
    log_q = setup.student(ids).logits[0, places].log_softmax(-1)
    log_p = setup.teacher(ids).logits[0, places].log_softmax(-1)
    targets = torch.tensor(row.response_ids)
    own = -log_q.gather(-1, targets[:, None])[:, 0]
    divergence = (log_p.exp() * (log_p - log_q)).sum(-1)
    return (0.5 * own + 0.5 * divergence).mean()


GROUPS = [("lm_head.weight",), ("*ln_f.weight",), ("*h.1.*",), ("*mlp*", "*ln*")]


@pytest.mark.parametrize("patterns", GROUPS)
def test_vectors_are_those_of_autograd_row_by_row(patterns: tuple[str, ...], setup: Setup) -> None:
    group = setup.gradients.group(*patterns)
    setup.student.train()
    found = group.vectors(LOSS, ROWS)
    assert setup.student.training
    setup.student.eval()
    parameters = list(group.parameters.values())
    for row, vector in zip(ROWS, found, strict=True):
        pieces = torch.autograd.grad(loss_of(setup, row), parameters)
        torch.testing.assert_close(vector, torch.cat([piece.flatten() for piece in pieces]))
    assert all(parameter.grad is None for parameter in setup.student.parameters())
    torch.testing.assert_close(group.mean(LOSS, ROWS), found.mean(0))
    torch.testing.assert_close(group.products(LOSS, ROWS, found[1]), found @ found[1])
    assert group.vectors(LOSS, []).shape == (0, group.size)


def test_a_product_is_the_derivative_of_a_loss_after_a_virtual_step(setup: Setup) -> None:
    """d L_c(θ - η g_a) / dη = -g_c(θ - η g_a) · g_a, by central differences in float64."""
    group = setup.gradients.group("*h.1.*", "*ln_f.weight")
    setup.student.eval()
    step, rate, width = group.vectors(LOSS, ROWS[:1])[0], 0.05, 1e-5
    after = []
    for learning_rate in (rate - width, rate + width):
        with group.virtual_step(step, learning_rate):
            after.append(float(loss_of(setup, ROWS[2]).detach()))  # the models' own, in float64
            assert group.loss(LOSS, ROWS[2:]) == pytest.approx(after[-1], rel=1e-6)
    with group.virtual_step(step, rate):
        product = group.products(LOSS, ROWS[2:], step)[0]
    assert float(product) == pytest.approx(-(after[1] - after[0]) / (2 * width), rel=1e-5)


def test_a_virtual_step_is_taken_back_to_the_last_bit(setup: Setup) -> None:
    before = {name: value.clone() for name, value in setup.student.state_dict().items()}
    group = setup.gradients.group("*h.0.*")
    gradient = group.mean(LOSS, ROWS)

    def step() -> None:
        with group.virtual_step(gradient, 0.3):
            moved = torch.cat([p.detach().flatten() for p in group.parameters.values()])
            start = torch.cat([before[name].flatten() for name in group.parameters])
            torch.testing.assert_close(moved, start - 0.3 * gradient)
            others = [name for name in before if name not in group.parameters]
            now = setup.student.state_dict()
            assert all(torch.equal(now[name], before[name]) for name in others)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step()
    assert all(torch.equal(v, before[n]) for n, v in setup.student.state_dict().items())


def test_a_group_is_refused_in_a_line(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(kdbench.InputError, match=r"no trained parameter is called head; the first"):
        setup.gradients.group("head")
    with pytest.raises(kdbench.InputError, match=r"called \(no pattern\)"):
        setup.gradients.group()
    monkeypatch.setattr("kdbench.training.gradients._MOST_NUMBERS", 87)
    with pytest.raises(kdbench.InputError, match="has 88 numbers, and a group may have 87"):
        setup.gradients.group("lm_head.weight")
    group = setup.gradients.group("*ln_f.weight")
    for gradient in (torch.zeros(3), torch.full((8,), float("nan"))):
        with pytest.raises(kdbench.InputError, match="must be finite, of shape"):
            group.virtual_step(gradient, 0.1).__enter__()
    with pytest.raises(kdbench.InputError, match="there is no response"):
        group.mean(LOSS, [])


@pytest.mark.parametrize("sharing", ["FSDP2", "ZeRO-3"])
def test_a_student_that_is_spread_is_refused_even_while_it_is_gathered(
    setup: Setup, sharing: str
) -> None:
    """`begin` asks for a group while the weights are whole, and the steps come later."""
    if sharing == "FSDP2":
        setup.student.__class__ = type("Spread", (FSDPModule, GPT2LMHeadModel), {})
    else:
        for parameter in setup.student.parameters():
            parameter.ds_id = 0
    for ask in (setup.gradients.group, setup.gradients.chosen):
        with pytest.raises(kdbench.InputError, match=r"need whole weights: leave out FSDP and"):
            ask("*ln_f.weight")


def test_token_products_are_those_of_autograd_token_by_token(setup: Setup) -> None:
    group, loss = setup.gradients.group("*h.1.*"), CrossEntropy()
    vector = group.mean(LOSS, ROWS[:1])
    parameters = list(group.parameters.values())
    expected = []
    setup.student.eval()
    for row in ROWS:
        ids = torch.tensor([[*row.prompt_ids, *row.response_ids]])
        places = slice(len(row.prompt_ids) - 1, -1)
        log_q = setup.student(ids).logits[0, places].log_softmax(-1)
        own = -log_q.gather(-1, torch.tensor(row.response_ids)[:, None])[:, 0]
        for value in own:
            pieces = torch.autograd.grad(value, parameters, retain_graph=True)
            expected.append(float(torch.cat([p.flatten() for p in pieces]) @ vector))
    found = group.token_products(loss.token, ROWS, vector)
    torch.testing.assert_close(
        found.double(), torch.tensor(expected).double(), rtol=2e-2, atol=2e-3
    )
    torch.testing.assert_close(
        group.token_values(loss.token, ROWS), -torch.tensor(values_of(setup)), rtol=1e-5, atol=1e-5
    )
    assert not group.token_products(loss.token, ROWS, torch.zeros_like(vector)).any()


def values_of(setup: Setup) -> list[float]:
    """The log-probability of each token by the student's own logits."""
    found: list[float] = []
    for row in ROWS:
        ids = torch.tensor([[*row.prompt_ids, *row.response_ids]])
        log_q = setup.student(ids).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
        found += log_q.gather(-1, torch.tensor(row.response_ids)[:, None])[:, 0].tolist()
    return found
