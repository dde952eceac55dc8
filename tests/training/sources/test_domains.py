"""Domains: drawn shares, order within a domain, processes, resume, and DDK's weights."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats

from kdbench.errors import InputError
from kdbench.training.schedule import ValidationSignals
from kdbench.training.source import keyed_uniform
from kdbench.training.sources.domains import DomainWeights, FromDomains
from kdbench.views.rollout import Example

SIZES = {"facts": 5, "lists": 40, "sums": 12}
TRAIN = [
    Example(f"{name}{n}", (n,), (n, 1), fields={"domain": name})
    for name, size in SIZES.items()
    for n in range(size)
]


@dataclass
class DomainDraw:
    step: int
    schedule: Mapping[str, float] = field(default_factory=dict)
    process: int = 0
    processes: int = 1
    size: int = 6
    examples: Sequence[Example] = ()

    def uniform(self, name: str) -> float:
        return keyed_uniform(3, self.step, name)


def begun(**settings: Any) -> FromDomains:
    source = FromDomains(**settings)
    source.check(TRAIN)
    source.begin(SimpleNamespace(train=TRAIN))
    return source


def names(source: FromDomains, draw: DomainDraw) -> list[str]:
    return [rollout.id for rollout in source.rollouts(draw)]


WEIGHTS = {"domain/facts": 0.2, "domain/lists": 0.1, "domain/sums": 0.7}


def test_drawn_shares_are_those_of_the_schedule() -> None:
    source = begun()
    for step in range(300):
        names(source, DomainDraw(step, WEIGHTS))
    assert sum(source.drawn.values()) == 1800
    expected = [1800 * WEIGHTS[f"domain/{name}"] for name in SIZES]
    assert stats.chisquare([source.drawn[name] for name in SIZES], expected).pvalue > 1e-3


def test_domains_are_drawn_alike_without_weights_and_never_with_a_weight_of_0() -> None:
    source = begun()
    for step in range(200):
        names(source, DomainDraw(step))
    assert stats.chisquare([source.drawn[name] for name in SIZES]).pvalue > 1e-3
    source = begun(weights={"facts": 0, "lists": 1, "sums": 0})
    for step in range(20):
        names(source, DomainDraw(step, WEIGHTS))
    assert set(source.drawn) == {"lists"}


def test_no_example_comes_twice_before_its_domain_is_used_up() -> None:
    source, order = begun(), []
    for step in range(150):
        order += names(source, DomainDraw(step, WEIGHTS))
    for name, size in SIZES.items():
        own = [one for one in order if one.startswith(name)]
        turns = [own[start : start + size] for start in range(0, len(own) - size + 1, size)]
        assert turns
        assert all(len(set(turn)) == size for turn in turns)
        if len(turns) > 1:
            assert turns[0] != turns[1]


@pytest.mark.parametrize("stop", [0, 1, 7, 19])
def test_a_resume_keeps_counts_and_order(stop: int) -> None:
    whole = [names(source, DomainDraw(step, WEIGHTS)) for source in [begun()] for step in range(20)]
    first, second = begun(), begun()
    before = [names(first, DomainDraw(step, WEIGHTS)) for step in range(stop)]
    second.restore(json.loads(json.dumps(first.state())))
    after = [names(second, DomainDraw(step, WEIGHTS)) for step in range(stop, 20)]
    assert before + after == whole


def test_the_number_of_processes_changes_no_draw() -> None:
    one, halves = begun(), [begun(), begun()]
    for step in range(20):
        parts = [
            names(half, DomainDraw(step, WEIGHTS, process, 2, 3))
            for process, half in enumerate(halves)
        ]
        assert parts[0] + parts[1] == names(one, DomainDraw(step, WEIGHTS))
    assert halves[0].drawn == halves[1].drawn == one.drawn


def test_wrong_domains_and_weights_are_refused() -> None:
    with pytest.raises(InputError, match="no training row has domain=poems; there are facts"):
        begun(weights={"poems": 1})
    with pytest.raises(InputError, match="domain=lists needs a weight"):
        begun(weights={"facts": 1})
    with pytest.raises(InputError, match="domain=lists needs a weight"):
        begun().rollouts(DomainDraw(0, {"domain/facts": 1, "domain/sums": 1}))
    with pytest.raises(InputError, match="all weights are 0"):
        begun().rollouts(DomainDraw(0, dict.fromkeys(WEIGHTS, 0.0)))
    with pytest.raises(InputError, match="row 'facts0' has no field 'topic'"):
        begun(name="topic")


def signals(student: Sequence[float], teacher: Sequence[float]) -> ValidationSignals:
    by_domain = {
        view: {name: math.log(value) for name, value in zip("ab", values, strict=True)}
        for view, values in (("student", student), ("teacher", teacher))
    }
    return ValidationSignals(0.0, {}, by_domain)


def test_ddks_weights() -> None:
    """Perplexities (10, 20) and (5, 16): softmax(2, 1.25), then the product with it, smoothed."""
    schedule = DomainWeights()
    assert schedule.values(0) == {}
    for expected in (0.679179, 0.658787, 0.651717):
        schedule.after_validation(signals((10, 20), (5, 16)))
        assert schedule.values(0)["domain/a"] == pytest.approx(expected, abs=1e-6)
        shares = [v for name, v in schedule.values(0).items() if name.startswith("domain/")]
        assert sum(shares) == pytest.approx(1)
        assert schedule.values(0)["worst_domain"] == pytest.approx(math.log(2))
    other = DomainWeights()
    other.restore(json.loads(json.dumps(schedule.state())))
    assert other.values(0) == schedule.values(0)
    schedule.weights = {"a": 0.7, "b": 0.3}
    schedule.after_validation(signals((4, 8), (2, 4)))
    assert schedule.weights == pytest.approx({"a": 0.6, "b": 0.4})
    schedule.after_validation(signals((1e300, 2), (1.5, 1.5)))
    assert schedule.weights == pytest.approx({"a": 0.75, "b": 0.25})


def test_every_domain_needs_a_validation_row() -> None:
    with pytest.raises(InputError, match="no validation row has domain=sums"):
        DomainWeights().check(TRAIN, TRAIN[:6])
    DomainWeights().check(TRAIN[:6], TRAIN)
    with pytest.raises(InputError, match="share="):
        DomainWeights(share=1)


def test_the_counts_of_a_step_are_the_number_of_its_examples() -> None:
    source = begun()
    assert Counter(name[:5] for name in names(source, DomainDraw(0))).total() == 6
