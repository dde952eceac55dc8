"""The Pareto front: by hand, and against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from kdbench.stats.pareto import pareto_front, times_on_front


def test_a_front_by_hand():
    # 1 costs more than 0 and is better; 2 costs more than 1 and is worse; 3 is best and dearest.
    assert pareto_front([1, 2, 3, 9], [50, 55, 54, 60]) == [0, 1, 3]
    assert pareto_front([2, 1], [50, 50]) == [1]  # as good for less
    assert pareto_front([1, 1], [50, 60]) == [1]  # better for as much
    assert pareto_front([1, 1], [50, 50]) == [0, 1]
    assert pareto_front([], []) == []


few = st.integers(0, 4).map(float)


@given(st.lists(st.tuples(few, few), max_size=8))
def test_a_choice_is_on_the_front_unless_another_one_dominates_it(choices):
    costs, qualities = [c for c, _ in choices], [q for _, q in choices]

    def dominated(cost, quality):
        return any(c <= cost and q >= quality and (c < cost or q > quality) for c, q in choices)

    expected = {place for place, one in enumerate(choices) if not dominated(*one)}
    front = pareto_front(costs, qualities)
    assert set(front) == expected
    assert len(front) == len(expected)
    assert [costs[place] for place in front] == sorted(costs[place] for place in front)


def test_the_front_is_counted_by_draw():
    # With the second draw, 1 is worse than 0, so it leaves the front.
    assert times_on_front([1, 2], [[50, 55], [50, 49], [50, 51]]) == [3, 2]
