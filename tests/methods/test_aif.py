"""KD-AIF: a response whose absence raises the validation loss weighs more."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_context import V, tiny_llama

from kdbench.errors import InputError
from kdbench.training import CrossEntropy, Match, Term
from kdbench.training.gradients import StudentGradients
from kdbench.training.sources.influence import FromInfluence, influence_weights
from kdbench.views.rollout import Example, of_dataset
from kdbench.views.view import ModelView

ROWS = [of_dataset(Example(str(n), (3, n), (n + 1, (5 * n) % V, 2))) for n in range(6)]
VALID = [Example(f"valid {n}", (3, n), (n + 1, 7, 2)) for n in range(3)]


class OneProcess:
    process, processes = 0, 1

    def uniform(self, _: str) -> float:
        return 0.0

    def sum_over_processes(self, numbers: list[float]) -> list[float]:
        return list(numbers)


class Given:
    """A context with a student, its gradients, and the validation rows."""

    def __init__(self) -> None:
        student = tiny_llama(1).double()
        views = {"teacher": ModelView(tiny_llama(2).double(), V)}
        self.gradients = StudentGradients(student, ModelView(student, V), views, {}, "cpu")
        self.valid = VALID


def test_the_sign_is_that_of_leaving_one_out() -> None:
    terms, context, rate = [Term(CrossEntropy(), 0.5), Term(Match(), 0.5)], Given(), 1e-3
    group: Any = context.gradients.chosen("")
    source = FromInfluence(terms=terms, validation_rows=3)
    source.begin(context)  # type: ignore[arg-type]
    chosen = source.choose(OneProcess(), ROWS)  # type: ignore[arg-type]
    weights = torch.tensor([weight for _, weight in chosen])
    assert [place for place, _ in chosen] == list(range(6))
    assert float(weights.mean()) == pytest.approx(1)

    vectors, valid = group.vectors(terms, ROWS), [of_dataset(one) for one in context.valid]

    def validation(step: torch.Tensor) -> float:
        with group.virtual_step(step, rate):
            return sum(group.loss(CrossEntropy(), [row]) for row in valid) / len(valid)

    everything = validation(vectors.sum(0))
    # By how much the validation loss rises where a response is left out.
    missed = [validation(vectors.sum(0) - vector) - everything for vector in vectors]
    assert torch.tensor(missed).argsort().tolist() == weights.argsort().tolist()
    assert max(missed) > 0 or min(missed) < 0


def test_a_gradient_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="learning_rate="):
        influence_weights([1.0, float("nan")])


def test_the_last_layer_is_the_one_of_the_largest_number() -> None:
    layers = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(11))
    model = torch.nn.ModuleDict({"layers": layers, "norm": torch.nn.Linear(2, 2)})
    gradients = replace(Given().gradients, model=model)
    last = ["layers.10.weight", "layers.10.bias"]
    assert list(gradients.chosen("").parameters) == last
    assert list(gradients.chosen("norm.*,layers.1.bias").parameters) == [
        "layers.1.bias",
        "norm.weight",
        "norm.bias",
    ]
    layers[10].requires_grad_(False)
    assert list(gradients.chosen("").parameters) == ["layers.9.weight", "layers.9.bias"]
    with pytest.raises(InputError, match="is called nothing"):
        gradients.chosen("nothing")
