"""What a plug-in returns is checked, as a wrong value would train something else without a word."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from kdbench.errors import InputError
from kdbench.training import (
    Chunk,
    CrossEntropy,
    HardSync,
    Match,
    MovingAverage,
    Objective,
    Part,
    SequenceObjective,
    Source,
    Term,
    Triple,
)
from kdbench.training.loss import distillation_loss
from kdbench.training.objective import StepObjective
from kdbench.training.schedule import Schedule
from kdbench.training.seen import check_values
from kdbench.training.stage import Stage, check_stages
from kdbench.views.rollout import Batch, Rollout, of_dataset
from kdbench.views.view import ModelView
from tests.helpers.small_context import EXAMPLES, V, tiny_llama

Function = Callable[[Any], Any]


class Token(Objective):
    views = ()

    def __init__(self, function: Function):
        self._function = function

    def token(self, chunk: Chunk) -> torch.Tensor:
        result: torch.Tensor = self._function(chunk)
        return result


class Sequence(SequenceObjective):
    views = ()

    def __init__(self, function: Function):
        self._function = function

    def sequence(self, responses: Any) -> torch.Tensor:
        result: torch.Tensor = self._function(responses)
        return result


class Step(StepObjective):
    views = ()

    def __init__(self, function: Function):
        self._function = function

    def step(self, whole: Any) -> torch.Tensor:
        result: torch.Tensor = self._function(whole)
        return result


def cross_entropy(chunk: Chunk) -> torch.Tensor:
    return -chunk.of_target(chunk.log_q)


def learn(term: Term) -> torch.Tensor:
    views = {"student": ModelView(tiny_llama(0), V)}
    return distillation_loss([term], Batch([of_dataset(row) for row in EXAMPLES]), views).value


WRONG: list[tuple[Term, str]] = [
    (Term(Token(lambda chunk: -chunk.log_q)), r"Token\.token returned the shape \(\d+, \d+\)"),
    (
        Term(Token(lambda chunk: cross_entropy(chunk).sum())),
        r"Token\.token returned the shape \(\)",
    ),
    (Term(Token(lambda chunk: cross_entropy(chunk)[1:])), "returned the shape"),
    (Term(Token(lambda _: 1.0)), r"Token\.token returned float"),
    (Term(Token(lambda chunk: cross_entropy(chunk).detach())), "without a gradient"),
    (Term(Token(lambda chunk: chunk.log_p.sum(-1))), "the view 'teacher', which its `views`"),
    (Term(Token(lambda chunk: chunk.hidden("student", 1))), "layer 1 of 'student'"),
    (Term(Sequence(lambda rows: rows.log_q.sum()), per="sequence"), r"sequence returned the shape"),
    (Term(Sequence(lambda rows: rows.log_q.detach()), per="sequence"), "without a gradient"),
    (Term(Step(lambda whole: whole.logits("student"))), r"Step\.step returned the shape .* scalar"),
    (Term(Step(lambda _: torch.tensor(1.0))), "without a gradient"),
]


@pytest.mark.parametrize(("term", "message"), WRONG)
def test_losses(term: Term, message: str) -> None:
    with pytest.raises(InputError, match=message):
        learn(term)


def test_zeros_may_have_no_gradient() -> None:
    assert learn(Term(Token(lambda chunk: torch.zeros(len(chunk.targets))))) == 0


class Given(Source):
    origins = ("dataset",)


ROW = of_dataset(EXAMPLES[0])
ROLLOUTS: list[tuple[Any, str]] = [
    (None, r"Given\.rollouts returned NoneType"),
    ([EXAMPLES[0]], r"Given\.rollouts returned Example"),
    ([replace(ROW, prompt_ids=())], "an empty prompt"),
    ([replace(ROW, response_ids=(V,))], f"the token {V}, and the vocabulary has {V}"),
    ([replace(ROW, response_ids=(-1,))], "the token -1"),
    ([replace(ROW, recorded={"x": (1.0,) * 99})], "recorded 99 values of 'x'"),
    ([replace(ROW, origin="mars")], "origin 'mars'"),
]


@pytest.mark.parametrize(("rollouts", "message"), ROLLOUTS)
def test_rollouts(rollouts: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Triple(CrossEntropy(), Given()).check_rollouts(rollouts, V)


def test_empty_responses_are_left_out() -> None:
    rows: list[Rollout] = [replace(ROW, response_ids=()), ROW]
    assert Triple(CrossEntropy(), Given()).check_rollouts(iter(rows), V) == [ROW]


class TextViews(Token):
    views = "teacher"  # type: ignore[assignment]


def part(_: Any) -> torch.nn.Module:
    return torch.nn.Linear(2, 2)


anything: Any = "hello"
TRIPLES: list[tuple[Triple, str]] = [
    (Triple([]), "no term"),
    (Triple(anything), "is no term"),
    (Triple([Term(CrossEntropy(), float("nan"))]), "the weight nan of CrossEntropy"),
    (Triple([Term(CrossEntropy(), per=anything)]), "per='hello'"),
    (Triple([Term(CrossEntropy(), on=anything)]), "on='hello'"),
    (Triple(TextViews(cross_entropy)), "is the text 'teacher'"),
    (Triple(CrossEntropy(), companions=[anything]), "'hello' is no companion"),
    (Triple(Match(view="optimizer"), companions=[MovingAverage("optimizer")]), "a file of that"),
    (Triple(Match(view="a"), companions=[MovingAverage("a", 1.5)]), "decay=1.5"),
    (Triple(Match(view="a"), companions=[HardSync("a", every=0)]), "every=0"),
    (Triple(CrossEntropy(), parts={"p": anything}), "parts: 'p'"),
    (Triple(CrossEntropy(), parts={"p": Part(part, rate=-1.0)}), "parts: 'p'"),
]


@pytest.mark.parametrize(("triple", "message"), TRIPLES)
def test_triples(triple: Triple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        triple.check()


class Values(Schedule):
    pass


@pytest.mark.parametrize("values", [None, {}, {"w": float("nan")}, {"w": "1"}])
def test_values_of_a_schedule_in_any_step(values: Any) -> None:
    triple = Triple([Term(CrossEntropy(), "w")], schedule=Values())
    with pytest.raises(InputError, match="Values"):
        check_values(triple, values)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Triple(CrossEntropy()), "returned Triple"),
        (Stage(Triple(CrossEntropy()), teacher=anything), "teacher='hello'"),
        (Stage(Triple(CrossEntropy()), student=anything), "student='hello'"),
        (Stage(Triple(CrossEntropy()), name="a\x1b[31m"), "control characters"),
    ],
)
def test_stages(stage: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_stages([stage])
