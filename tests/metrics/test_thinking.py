"""The metrics of the thinking, and when they are measured."""

import pytest

from kdbench.metrics import Answer, make_metrics, metrics, thinking_metrics


@pytest.mark.parametrize(
    ("tokens", "unclosed", "scores"),
    [(None, None, (None, None)), (0, False, (0.0, 0.0)), (7, True, (7.0, 1.0))],
)
def test_tokens_and_unclosed_thinking(tokens, unclosed, scores):
    answer = Answer("x", (), n_thinking_tokens=tokens, unclosed=unclosed)
    names = ("thinking_tokens", "unclosed_thinking")
    assert tuple(metrics.get(name)().score(answer) for name in names) == scores


def test_they_are_measured_only_where_there_is_a_thinking():
    names = {metric.name for metric in thinking_metrics()}
    assert names == {"thinking_tokens", "unclosed_thinking"}
    assert not names & {metric.name for metric in make_metrics()}
    assert names <= {metric.name for metric in make_metrics(["all"])}
