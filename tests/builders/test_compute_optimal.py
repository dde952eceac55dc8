"""Compute-optimal sampling: coverage, budgets, and what is kept."""

import math
from itertools import combinations
from pathlib import Path

import pytest
from built_sets import lines_of, rows_of, write_rows
from hypothesis import given
from hypothesis import strategies as st

from kdbench.builders.compute_optimal import coverage
from kdbench.builders.workshop.models import find_models
from kdbench.builders.workshop.questions import ModelResponse
from kdbench.builders.workshop.recipe import make_build
from kdbench.builders.workshop.workshop import Workshop
from kdbench.errors import InputError
from kdbench.toy.models import World

ROWS = [
    {"id": "even", "prompt": "Say 2", "response": ["two"], "kind": "word"},
    {"id": "odd", "prompt": "Say 3", "response": ["three"], "kind": "word"},
    {"id": "list", "prompt": "Say b a", "response": ["a b", "b a"], "kind": "list"},
]


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 8))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


def test_coverage_of_the_reference() -> None:
    assert coverage(4, 1, 2) == 0.5


@given(counts())
def test_coverage_is_the_share_of_draws_with_a_right_one(case: tuple[int, int, int]) -> None:
    n, right, k = case
    draws = list(combinations([True] * right + [False] * (n - right), k))
    assert coverage(n, right, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)


@pytest.fixture
def keys(world: World, told, tmp_path: Path) -> dict[str, str]:
    """The keys of a build that asks the scripted backend."""
    file = write_rows(tmp_path / "mine.jsonl", ROWS)
    models = {"weak": str(world.student), "strong": str(world.teacher)}
    return {"train_set": str(file), "backend": "told", **models}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch):
    """Have models say given texts: by model and id, in the order of the samples."""

    texts: dict[str, dict[str, list[str]]] = {}

    def sample(self, key, questions, samples, step):
        assert all(len(texts[key][q.id]) == samples for q in questions)
        return {
            q.id: [ModelResponse(text, "stop", 1) for text in texts[key][q.id]] for q in questions
        }

    monkeypatch.setattr(Workshop, "sample", sample)
    return texts


def test_right_responses_are_kept_once_with_their_figures(build_it, keys, said) -> None:
    said["weak"] = {
        "even": ["two", "Two.", "three", " two "],
        "odd": ["two", "", "2", "two"],
        "list": ["b a", "a b", "x", "a b"],
    }
    built = build_it("compute_optimal", **keys, ratio=2, responses=2, by="kind")
    assert [(row["id"], row["response"]) for row in rows_of(built)] == [
        ("even#weak-1", ["two"]),
        ("even#weak-2", ["Two."]),
        ("list#weak-1", ["b a"]),
        ("list#weak-2", ["a b"]),
    ]
    assert all(row["kind"] in ("word", "list") for row in rows_of(built))
    assert [line["id"] for line in lines_of(built.folder / "removed.jsonl")] == ["odd"]
    figures = built.card.figures
    assert figures["weak responses to a prompt"] == 4
    assert figures["weak coverage@1"] == pytest.approx((3 / 4 + 0 + 3 / 4) / 3)
    assert figures["weak coverage@2"] == pytest.approx((1 + 0 + 1) / 3)
    assert figures["weak coverage@4 of word"] == 0.5
    assert figures["weak coverage@4 of list"] == 1
    assert figures["weak right responses"] == 6
    assert figures["weak different right responses to a prompt"] == pytest.approx(4 / 3)
    assert "weak false positives" not in figures
    again = build_it("compute_optimal", "again", **keys, ratio=2, responses=2, repeats="keep")
    assert len(rows_of(again)) == 6


def test_what_a_stricter_rule_refuses_is_a_false_positive(build_it, keys, said) -> None:
    said["strong"] = {
        "even": ["two", "two and more"],
        "odd": ["four", "x"],
        "list": ["a b c", "b a"],
    }
    rules = {"verifier": "rougeL>=0.5", "checker": "exact_match"}
    built = build_it("compute_optimal", **keys, sampler="strong", responses=2, **rules)
    assert built.card.figures["strong right responses"] == 4
    assert built.card.figures["strong false positives"] == 0.5
    assert len(rows_of(built)) == 4  # which are kept


def test_both_models_get_half_of_the_budget(build_it, keys, said) -> None:
    said["weak"] = {"even": ["x"] * 4, "odd": ["three"] * 4, "list": ["b a"] * 4}
    said["strong"] = {"even": ["two"] * 2, "odd": ["three"] * 2, "list": ["a b"] * 2}
    built = build_it("compute_optimal", **keys, sampler="both", responses=4, ratio=2)
    assert [(row["id"], row["sampler"]) for row in rows_of(built)] == [
        ("even#strong-1", "strong"),
        ("odd#weak-1", "weak"),
        ("list#weak-1", "weak"),
        ("list#strong-1", "strong"),
    ]


def test_budgets_become_numbers_of_responses(build_it, keys, told) -> None:
    """The scripted backend's responses are all wrong, so that none is kept."""
    recipe = make_build({"builder": "compute_optimal", **keys, "backend": "hf"})
    models = find_models(recipe.settings, recipe.builder)
    weak, strong = (models[key].parameters for key in ("weak", "strong"))

    def asked(**budget: object) -> int:
        told.reset()
        with pytest.raises(InputError, match="kept none of 3 rows"):
            build_it("compute_optimal", f"{budget}", **keys, **budget)
        return len(told.asked) // 3

    assert asked(responses=1) == math.floor(strong / weak)
    assert asked(responses=3, sampler="strong") == 3
    assert asked(responses=3, ratio=2.5) == 7
    assert asked(responses=100, ratio=1.15) == 115  # of which floats make 114.999…
    flops = 2 * weak * 16 * 5
    assert asked(budget=flops, max_new_tokens=16) == 5
    assert asked(budget=flops - 1, max_new_tokens=16) == 4
    assert asked(budget=2 * strong * 16 * 2, max_new_tokens=16, sampler="strong") == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weak": None}, "sampler=weak needs weak=: name a checkpoint"),
        ({"sampler": "both", "strong": None}, "sampler=both needs strong="),
        ({"strong": None}, "responses= are those of the strong model: name it with strong="),
        ({"responses": 2, "budget": 1e9}, "responses= and budget= are two budgets"),
        ({"verifier": "exact"}, "verifier"),
        ({"checker": "rougeL>=2"}, "checker"),
        ({"temperature": 0}, "sampler=weak: temperature=0 is greedy decoding"),
        ({"budget": 1.0}, "the budget pays no response of weak="),
        ({"by": "colour"}, "row 'even' has no column 'colour', which by= names"),
        ({"verifier": "number"}, "row 'even': no reference has a number"),
    ],
)
def test_bad_keys(build_it, keys, changed: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        build_it("compute_optimal", **{**keys, **changed})
    assert not (tmp_path / "out").exists()


def test_a_weak_model_that_is_the_larger_one_is_refused(build_it, keys) -> None:
    swapped = {**keys, "weak": keys["strong"], "strong": keys["weak"]}
    with pytest.raises(InputError, match="weak= has more parameters than strong=: exchange"):
        build_it("compute_optimal", **swapped)


def test_a_killed_build_resumes_with_the_same_bytes(world: World, build_killed_and_resumed) -> None:
    words = ["compute_optimal", f"weak={world.student}", f"strong={world.teacher}", "sampler=both"]
    words += [f"data={world.data}", "limit=5", "responses=2", "ratio=2", "max_new_tokens=6"]
    build_killed_and_resumed([*words, "verifier=rougeL>=0", "by=category", "batch_size=4"])
