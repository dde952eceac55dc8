"""The facts that are tested for each term of a method, and the tests of them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kdbench.errors import InputError
from kdbench.methods import Method
from kdbench.testing import facts, through_models
from kdbench.testing.case import Case, cases_of
from kdbench.testing.changed import changes_of
from kdbench.training import StepObjective, Triple


def _always(_: Case) -> bool:
    return True


def _of_tokens(case: Case) -> bool:
    return not isinstance(case.term.objective, StepObjective)


def _whole(case: Case) -> bool:
    return not case.top_k


FACTS: dict[Callable[[Case], None], Callable[[Case], bool]] = {
    facts.chunks_do_not_change_loss_and_gradient: _always,
    facts.chunks_do_not_change_the_diagnostics: _whole,
    facts.micro_batches_add_up_to_the_step: _always,
    facts.loss_and_gradient_equal_plain_autograd: _always,
    facts.the_compiled_loss_is_equal_and_is_compiled_once: _of_tokens,
    facts.responses_of_other_origins_do_not_count: lambda case: bool(case.term.on),
    facts.no_gradient_flows_into_a_view: _always,
    facts.extreme_logits_give_a_finite_loss_and_gradient: _of_tokens,
    facts.logits_of_40_in_float16_give_a_finite_loss_and_gradient: _of_tokens,
    facts.a_student_equal_to_the_teacher_has_the_lowest_loss: lambda case: (
        case.term.objective.floor is not None and not case.top_k and not case.triple.parts
    ),
    facts.the_gradient_is_the_derivative: _always,
    facts.a_permuted_vocabulary_changes_nothing: _always,
    facts.a_constant_added_to_the_logits_changes_nothing: _whole,
    facts.every_number_of_the_objective_reaches_the_loss: lambda case: (
        bool(changes_of(case.term.objective)) and not case.top_k
    ),
    facts.every_part_gets_a_gradient: lambda case: bool(case.triple.parts) and not case.top_k,
    through_models.no_gradient_leaves_the_response_positions: _whole,
    through_models.content_and_length_of_padding_do_not_matter: _whole,
    through_models.a_longer_row_does_not_change_a_rows_share: _whole,
}


def conformance_tests(
    *tested: Method | Triple,
    fields: Mapping[str, Callable[[int], Any]] | None = None,
    recorded: Mapping[str, Callable[[Any], float]] | None = None,
    without: Sequence[str] = (),
    context: Any = None,
) -> Any:
    """A decorator that gives a test the checks of methods, one at a time, as `check`.

    Args:
        tested: Methods with their keys, or triples.
        fields: Makes a field of a row's example from the row's number, by name.
        recorded: Draws a scalar that the method's source records for a token, given a
            `random.Random`, by name.
        without: Names of facts that do not hold for these methods by design.
        context: What the objectives' `begin` is shown, such as an object with `statistics`; None
            does not call it.

    Raises:
        InputError: There is no such fact.
    """
    import pytest

    names = [fact.__name__ for fact in FACTS]
    for name in without:
        if name not in names:
            raise InputError(f"without: no fact is called '{name}'; there are {', '.join(names)}")
    cases = [
        case
        for number, one in enumerate(tested)
        for case in cases_of(one, f"{type(one).__name__}{number}", fields, recorded, context)
    ]
    return pytest.mark.parametrize(
        "check",
        [
            pytest.param(partial(fact, case), id=f"{case.name}-{fact.__name__}")
            for case in cases
            for fact, applies in FACTS.items()
            if applies(case) and fact.__name__ not in without
        ],
    )
