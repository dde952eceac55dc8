"""Parameters that no optimiser would see are found wherever a part of a method holds them."""

from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import kdbench
from kdbench.training import Match, Objective, Schedule, Source, Term
from kdbench.training.hidden_parameters import refuse_hidden_parameters


def context(**parts: Any) -> Any:
    return SimpleNamespace(student=torch.nn.Linear(2, 2), teacher=None, parts=parts, views={})


@dataclass
class Inner:
    layer: Any


@dataclass
class Holder(Objective):
    held: Any = field(default=None)


class Plain:
    def __init__(self, held: Any):
        self.held = held


def closing_over(module: Any) -> Any:
    def divergence(log_p: Any, log_q: Any) -> Any:
        return module(log_p - log_q)

    return divergence


LAYER = torch.nn.Linear(2, 2)
FREE = torch.zeros(2, requires_grad=True)
HIDDEN: list[tuple[Any, str]] = [
    (LAYER, r"Holder\.held"),
    (FREE, r"Holder\.held"),
    ([0, LAYER], r"Holder\.held\[1\]"),
    ({"a": (FREE,)}, r"Holder\.held\['a'\]\[0\]"),
    (Inner([LAYER]), r"Holder\.held\.layer\[0\]"),
    (Match(closing_over(LAYER)), r"Holder\.held\.divergence\.module"),
    (Term(Match(partial(torch.add, FREE))), r"Holder\.held\.objective\.divergence\[0\]"),
    (LAYER.forward, r"Holder\.held"),
    (Plain(LAYER), r"Holder\.held\.held"),
]


@pytest.mark.parametrize(("held", "place"), HIDDEN)
def test_they_are_refused_by_their_place(held: Any, place: str) -> None:
    with pytest.raises(kdbench.InputError, match=f"^{place}: parameters held here") as error:
        refuse_hidden_parameters([Holder(held)], context())
    assert "\n" not in str(error.value)


class Shared(Objective):
    gate = FREE


def test_those_of_a_class_are_found() -> None:
    with pytest.raises(kdbench.InputError, match=r"^Shared\.gate: parameters held here"):
        refuse_hidden_parameters([Shared()], context())


class Remembering(Source):
    def __init__(self, held: Any):
        self.memory = {"one": held}


class Controlled(Schedule):
    def __init__(self, held: Any):
        self.controller = held


@pytest.mark.parametrize("kind", [Remembering, Controlled])
def test_sources_and_schedules_too(kind: Any) -> None:
    with pytest.raises(kdbench.InputError, match=kind.__name__):
        refuse_hidden_parameters([kind(LAYER)], context())


def test_models_and_parts_of_the_run_and_what_does_not_train_may_be_held() -> None:
    known = context(gate=LAYER)
    frozen = torch.nn.Linear(2, 2).requires_grad_(False)
    circle: list[Any] = [1]
    circle.append(circle)
    for held in (known.student, [LAYER], LAYER.weight, frozen, torch.nn.GELU(), FREE.detach()):
        refuse_hidden_parameters([Holder(held), Remembering(held)], known)
    refuse_hidden_parameters([Holder(circle), Holder(list(range(10**6)))], known)
