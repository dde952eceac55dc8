"""Properties of every method's objective: chunks, masks, padding and extreme values."""

import pytest

from kdbench.methods import methods
from kdbench.testing import FACTS, cases_of
from kdbench.training.federated import FusionRule
from tests.methods.begun import begun

VARIANTS = [
    ("abkd", {"alpha": 0, "beta": 1}),
    *[("abkd", {"alpha": a, "beta": b}) for a, b in ((0.5, 0), (0, 0.5), (0.5, -0.5), (0, 0))],
    ("akl", {"head_mass": 0.8}),
    ("akl", {"boundary": "head"}),
    ("classmate", {"plausibility": 0}),
    ("classmate", {"divergence": "jsd"}),
    ("classmate", {"divergence": "reverse_kl"}),
    ("classmate", {"form": "subtract"}),
    ("classmate", {"form": "subtract", "strength": 1.0, "clamp": 0.5}),
    *[("classmate", {"classmate": kind}) for kind in ("frozen", "ema", "teacher", "uniform")],
    ("dho", {"heads": 1}),
    ("dho", {"label_field": "label"}),
    ("distillm", {"direction": "forward"}),
    ("distillm", {"skew": 0}),
    ("gkd", {"teacher_weight": 0}),
    ("gkd", {"teacher_weight": 0.1}),
    ("gkd", {"teacher_weight": 1}),
    ("kd", {"temperature": 2}),
    ("kd", {"kd_ratio": 1}),
    ("minillm", {"clip": 0.05}),
    ("minillm", {"single_step": 0}),
    ("rkl", {"student_fraction": 1}),
    ("seqkd", {"kd_ratio": 0.5}),
    ("taid", {"start": 0}),
    ("taid", {"start": 1}),
]
# Part of these losses is detached on purpose (the reward of `opd`, the student's part of `taid`'s
# target, the weights of `akl`), so their gradients are not the derivatives of their values.
DETACHED = (
    "cross_entropy(interpolated)",
    "sampled_reverse_kl",
    "forward_kl(interpolated)",
    "adaptive_kl",
    "token_wise_kl",
    "token_selective",
)
# Some tokens are the words of labels, and a head of the method's own has a row for each token.
ORDERED = ("dho(label_field", "dho()-1", "dho()-2")


def all_cases():
    """Each term of each method once: methods share many."""
    found = {}
    for name, options in [*((name, {}) for name in methods.names()), *VARIANTS]:
        written = ",".join(f"{key}={value}" for key, value in options.items())
        triple = begun(name, methods.get(name)(**options).triple())
        for case in cases_of(triple, f"{name}({written})"):
            kinds = [getattr(companion, "kind", "") for companion in case.triple.companions]
            found.setdefault((str(case.term), str(case.schedule), *kinds, case.top_k), case)
    return list(found.values())


def compiles_alike(case):
    """What the compiled code of a case depends on, but for numbers."""
    objective, kind = case.term.objective, case.triple.companions
    options = getattr(objective, "divergence", None), *getattr(objective, "options", {}).values()
    return type(objective), options, bool(kind) and getattr(kind[0], "kind", "") == "uniform"


CASES = all_cases()
FIRST = list({compiles_alike(case): case for case in reversed(CASES) if not case.top_k}.values())


def holds(fact, case):
    if fact.__name__ == "the_gradient_is_the_derivative":
        return not str(case.term.objective).startswith(DETACHED)
    if fact.__name__ == "the_compiled_loss_is_equal_and_is_compiled_once":
        return case in FIRST
    if fact.__name__ == "every_number_of_the_objective_reaches_the_loss":
        # `plausibility` of the subtracted form is in its diagnostics alone, and a classmate that
        # is the teacher changes nothing. The vocabulary here is smaller than the numbers of tokens.
        few = case.name.startswith(("pld", "eopd"))
        return "subtract" not in case.name and "teacher" not in case.name and not few
    if fact.__name__ == "a_permuted_vocabulary_changes_nothing":
        return not case.name.startswith(ORDERED)
    return True


@pytest.mark.parametrize(
    "check",
    [
        pytest.param((fact, case), id=f"{case.name}-{fact.__name__}")
        for case in CASES
        for fact, applies in FACTS.items()
        if applies(case) and holds(fact, case)
    ],
)
def test_a_methods_objective(check):
    fact, case = check
    fact(case)


# Keys that a method uses when it samples, tested with its formula in test_formulas.py, and one of a
# form that is not the default.
# The mixture of `dho` is measured, or merged into the finished head, and its `heads` is 1 or 2.
EXCEPT = {
    "minillm": {"discount", "reward_scale", "reward_clip"},
    "classmate": {"clamp"},
    "dho": {"mixture_weight", "mixture_temperature", "heads"},
}


def numeric_keys():
    for name in methods.names():
        for key, field in methods.get(name).model_fields.items():
            if field.annotation in (int, float) and key not in EXCEPT.get(name, ()):
                yield pytest.param(name, key, id=f"{name}-{key}")


def made_of(method):
    """The numbers and texts of all that a method trains with."""
    return [(stage.share, *made_of_triple(stage.triple)) for stage in method.stages()]


def made_of_triple(triple):
    parts = (triple.source, triple.schedule, *triple.companions, *triple.parts.values())
    plain = [
        {
            key: repr(value)
            for key, value in vars(part).items()
            if isinstance(value, int | float | str | FusionRule)
        }
        for part in parts
    ]
    return repr(triple.terms), plain


@pytest.mark.parametrize(("name", "key"), list(numeric_keys()))
def test_every_numeric_key_of_a_method_reaches_what_it_trains_with(name, key):
    kind = methods.get(name)
    value = kind.model_fields[key].default
    changed = [value + 1, value / 2 + 0.01] if isinstance(value, float) else [value + 1]
    others = []
    for other in changed:
        try:
            others.append(made_of(kind(**{key: other})))
        except ValueError:  # out of its bounds
            continue
    assert others
    assert any(other != made_of(kind()) for other in others)
