"""The choice of the rows with the best scores, also within groups."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.builders.selection.parts.counts import ColumnCounts
from kdbench.builders.selection.parts.pool import Pool, SelectionSize, best, shares
from kdbench.errors import InputError

SIZES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1)


@dataclass
class Source:
    rows: list = field(default_factory=list)


def pool_of(groups, total):
    return Pool(Source(), groups, shares(Counter(groups.values()), total))


@pytest.mark.parametrize(
    ("share", "rows", "count"),
    [(0.5, 5, 3), (0.07, 100, 7), (1, 9, 9), (0.01, 10, 1), (0.3, 10, 3)],
)
def test_a_share_is_rounded_up(share, rows, count):
    assert SelectionSize(share).of(rows) == count


def test_more_rows_than_there_are_are_refused():
    assert SelectionSize(rows=3).of(3) == 3
    with pytest.raises(InputError, match=r"rows=4: there are only 3 rows to choose from"):
        SelectionSize(rows=4).of(3)


def test_places_are_divided_in_proportion():
    assert shares({"a": 60, "b": 30, "c": 10}, 10) == {"a": 6, "b": 3, "c": 1}
    assert shares({"b": 5, "a": 5}, 3) == {"a": 2, "b": 1}  # of equal claims, the first name


@given(SIZES, st.integers(0, 100))
def test_shares_fit_and_a_larger_total_takes_nothing_away(sizes, total):
    total = min(total, sum(sizes.values()))
    given = shares(sizes, total)
    assert sum(given.values()) == total
    assert all(given[group] <= size for group, size in sizes.items())
    if total:
        fewer = shares(sizes, total - 1)
        assert all(fewer[group] <= given[group] for group in sizes)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=25), st.data())
def test_the_choice_is_monotone_and_blind_to_the_order_of_rows(values, data):
    scores = {f"r{place:02d}": float(value) for place, value in enumerate(values)}
    groups = {name: data.draw(st.sampled_from("xy")) for name in scores}
    total = data.draw(st.integers(0, len(scores)))
    chosen = best(pool_of(groups, total), scores).ids
    shuffled = list(scores)
    random.Random(1).shuffle(shuffled)
    again = best(
        pool_of({name: groups[name] for name in shuffled}, total),
        {name: scores[name] for name in shuffled},
    )
    assert again.ids == chosen
    assert len(chosen) == total
    for name in chosen:  # nobody in its group who was left out is better, or equal with a first id
        others = [other for other in scores.keys() - chosen if groups[other] == groups[name]]
        assert all((-scores[name], name) < (-scores[other], other) for other in others)
    assert best(pool_of(groups, max(total - 1, 0)), scores).ids <= chosen


def test_means_of_the_kept_and_the_others():
    choice = best(pool_of(dict.fromkeys("abcd", ""), 2), {"a": 1.0, "b": 4.0, "c": 2.0, "d": 2.0})
    assert choice.ids == {"b", "c"}
    assert choice.figures == {"mean score, kept": 3.0, "mean score, not chosen": 1.5}


def test_columns_with_few_values_are_counted():
    counts = ColumnCounts()
    for number in range(30):
        fields = {
            "category": "abc"[number % 3],
            "good": number % 2,
            "same": "x",
            "id_of_source": str(number),
            "weight": 0.5,
            "tags": ["a"],
        }
        counts.add(fields, number % 2 == 1 and number < 10)
    assert dict(counts.figures()) == {
        "category: values": 3,
        "category: values kept": 3,
        "category=a: share that is kept": 0.2,
        "category=b: share that is kept": 0.2,
        "category=c: share that is kept": 0.1,
        "good=0: share that is kept": 0.0,
        "good=0: share of kept": 0.0,
        "good=1: share that is kept": pytest.approx(1 / 3),
        "good=1: share of kept": 1.0,
    }
