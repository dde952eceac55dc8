"""A server's log-probabilities in the cache's form: exact, or refused with what is wrong."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.scores.served.apis import Position
from kdbench.scores.served.columns import ScoresError, columns_of

V = 12
logits = st.lists(st.floats(-8, 8, width=32), min_size=V, max_size=V)


def position(log_p: list[float], token: int, k: int) -> Position:
    """What a server says: the k likeliest, and the text's own token."""
    likeliest = sorted(enumerate(log_p), key=lambda item: -item[1])[:k]
    listed = dict([*likeliest, (token, log_p[token])])
    return Position(token, log_p[token], list(listed.items()))


@settings(max_examples=60, deadline=None)
@given(st.lists(logits, min_size=1, max_size=4), st.integers(1, V), st.data())
def test_the_likeliest_and_the_rest_are_the_distribution(rows, k, data) -> None:
    p = torch.tensor(rows, dtype=torch.float64).softmax(-1)
    tokens = data.draw(st.lists(st.integers(0, V - 1), min_size=len(rows), max_size=len(rows)))
    log_p = p.log().tolist()
    positions = [position(at, token, k) for at, token in zip(log_p, tokens, strict=True)]
    columns = columns_of(positions, tokens, k, V)
    for n, at in enumerate(p.tolist()):
        kept = sorted(at, reverse=True)
        assert columns["log_p"][n].tolist() == pytest.approx([math.log(x) for x in kept[:k]], 1e-5)
        ids = columns["ids"][n].tolist()
        assert len(set(ids)) == k
        assert [at[i] for i in ids] == pytest.approx(kept[:k])
        rest = max(math.fsum(kept[k:]), 1e-6)
        # The k log-probabilities are float32, so their sum is known up to about 1e-7.
        assert math.exp(columns["tail"][n]) == pytest.approx(rest, rel=1e-4, abs=1e-6)
        assert float(columns["target"][n]) == pytest.approx(log_p[n][tokens[n]], rel=1e-5)
    assert torch.isnan(columns["entropy"]).all()
    assert columns["ids"].dtype == torch.int32


def good() -> Position:
    return Position(3, -1.0, [(5, -0.7), (3, -1.0), (1, -3.0)])


@pytest.mark.parametrize(
    ("at", "line"),
    [
        (good()._replace(token=4), "sent as 3 came back as 4"),
        (good()._replace(token=None), "sent as 3 came back as none"),
        (good()._replace(log_p=math.nan), "own token is nan"),
        (good()._replace(log_p=None), "own token is None"),
        (good()._replace(log_p="-1"), "own token is -1"),
        (good()._replace(log_p=-9999.0), "minus infinity"),
        (good()._replace(likeliest=[(5, -0.7), (3, -math.inf)]), "minus infinity"),
        (good()._replace(likeliest=[(5, 0.7), (3, -1.0)]), "is 0.7, above 0"),
        (good()._replace(likeliest=[(5, -0.7), (5, -0.8)]), "the same token twice"),
        (good()._replace(likeliest=[(5, -0.7)]), "1 likely tokens at a position instead of 2"),
        (good()._replace(likeliest=[(5, -0.1), (3, -0.1)], log_p=-0.1), "sum to 1.8097"),
        (good()._replace(likeliest=[(5, -0.7), (3, -1.2)]), "two log-probabilities of token 3"),
        (good()._replace(likeliest=[(V, -0.7), (3, -1.0)]), "token 12 is likely"),
    ],
)
def test_what_is_no_distribution_is_named(at: Position, line: str) -> None:
    columns_of([good()], [3], 2, V)
    with pytest.raises(ScoresError, match=line):
        columns_of([at], [3], 2, V)


def test_a_list_of_another_length_is_refused() -> None:
    with pytest.raises(ScoresError, match="1 positions for 2 tokens of the response"):
        columns_of([good()], [3, 3], 2, V)
