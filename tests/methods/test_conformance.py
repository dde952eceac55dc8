"""Properties of every method's objective: chunks, masks, padding and extreme values."""

from dataclasses import is_dataclass

import pytest

from kdbench.methods import methods
from kdbench.testing import FACTS, cases_of
from kdbench.training import Sizes
from tests.methods.begun import begun
from tests.methods.by_design import BY_DESIGN, CONTEXTS, EXCEPT_KEYS, VARIANTS


def all_cases():
    """Each term of each method once: methods share many."""
    found = {}
    for name, options in [*((name, {}) for name in methods.names()), *VARIANTS]:
        written = ",".join(f"{key}={value}" for key, value in options.items())
        triple = begun(name, methods.get(name)(**options).triple())
        for case in cases_of(triple, f"{name}({written})", context=CONTEXTS.get(name)):
            kinds = [getattr(companion, "kind", "") for companion in case.triple.companions]
            found.setdefault((str(case.term), str(case.schedule), *kinds, case.top_k), case)
    return list(found.values())


def compiles_alike(case):
    """What the compiled code of a case depends on, but for numbers."""
    objective, companions = case.term.objective, case.triple.companions
    options = getattr(objective, "divergence", None), *getattr(objective, "options", {}).values()
    uniform = any(getattr(companion, "kind", "") == "uniform" for companion in companions)
    return type(objective), options, getattr(objective, "side", ""), uniform


CASES = all_cases()
FIRST = list({compiles_alike(case): case for case in reversed(CASES) if not case.top_k}.values())


def holds(fact, case):
    if fact.__name__ == "the_compiled_loss_is_equal_and_is_compiled_once":
        return case in FIRST
    text = str(case.term.objective)
    return not any(
        fact.__name__ in facts
        for beginning, facts in BY_DESIGN.items()
        if text.startswith(beginning) or case.name.startswith(beginning)
    )


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


def test_what_is_excepted_by_design_exists():
    known = {fact.__name__ for fact in FACTS}
    texts = [(str(case.term.objective), case.name) for case in CASES]
    for beginning, facts in BY_DESIGN.items():
        assert known.issuperset(facts)
        assert any(text.startswith(beginning) for pair in texts for text in pair), beginning


def numeric_keys():
    for name in methods.names():
        for key, field in methods.get(name).model_fields.items():
            if field.annotation in (int, float) and key not in EXCEPT_KEYS.get(name, ()):
                yield pytest.param(name, key, id=f"{name}-{key}")


def made_of(method):
    """The numbers and texts of all that a method trains with, and the shapes of its parts."""
    return [
        (
            stage.share,
            repr(stage.triple.terms),
            [list(numbers_of(part)) for part in parts_of(stage.triple)],
            list(shapes_of(stage.triple)),
        )
        for stage in method.stages()
    ]


def parts_of(triple):
    source = triple.source
    yield from (source, getattr(source, "source", source), triple.schedule)
    yield from (*triple.companions, *triple.prompts.values(), *triple.parts.values())


def numbers_of(part):
    for name, value in vars(part).items():
        if isinstance(value, int | float | str) or is_dataclass(value):
            yield name, repr(value)


def shapes_of(triple):
    widths = {"student": 8, "teacher": 8, **{c.name: 8 for c in triple.companions}}
    sizes = Sizes(widths, dict.fromkeys(widths, 2), 11)
    for part in triple.parts.values():
        yield [tuple(parameter.shape) for parameter in part.build(sizes).parameters()]


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
