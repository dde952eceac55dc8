"""Repeated sampling: what k responses to a prompt achieve, from n of them.

Metric: with c of n responses right, `avg@k` is c / n, the expected share of right answers.
        `pass@k` is the chance that at least one of k responses is right, 1 - C(n-c, k) / C(n, k).
        `maj@k` is the chance that the most frequent final answer of k responses is right. Right
        answers count as one answer, and wrong ones as the same by the rules of `answer_agreement`;
        a response without a final answer does not vote; t answers with equally many votes win with
        chance 1 / t. All three are exact means over the C(n, k) ways to choose k of the n
        responses, so they do not favour a k, and n > k lowers their variance. By hand: of the
        answers 7 (right), 8, 8 and none, pass@2 is 1 - C(3, 2) / C(4, 2) = 1/2. maj@2 is 1/3: of
        the six pairs {7, none} is right, the two {7, 8} are half right.
Source: Chen et al. 2021 (arXiv 2107.03374) for pass@k; Wang et al. 2022 (arXiv 2203.11171) for the
        majority vote.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import comb

from kdbench.errors import InputError
from kdbench.metrics import Answer, PromptMetric, metrics
from kdbench.metrics.answers import same_answer

_LARGEST = 1000  # beyond it, numbers of ways overflow a float


class _RepeatedMetric(PromptMetric):
    unit = "rate"
    direction = "higher"
    undefined = "not a task whose answers are known to be right or wrong"


@metrics.register("avg")
class MeanOfK(_RepeatedMetric):
    """Expected share of right answers."""

    name = "avg"

    def usual(self, responses: int) -> tuple[int, ...]:
        """Return n alone: the expected share does not depend on k."""
        return (responses,)

    def score(self, answers: Sequence[Answer], k: int) -> float | None:  # noqa: ARG002 - the same for every k
        """Return the share; None if it is not known whether a response is right."""
        right = _right(answers)
        return None if right is None else right / len(answers)


@metrics.register("pass")
class PassAtK(_RepeatedMetric):
    """Chance that at least one of k responses is right (unbiased)."""

    name = "pass"

    def score(self, answers: Sequence[Answer], k: int) -> float | None:
        """Return the chance; None if it is not known whether a response is right."""
        right, n = _right(answers), len(answers)
        return None if right is None else 1 - comb(n - right, k) / comb(n, k)


@metrics.register("maj")
class MajorityOfK(_RepeatedMetric):
    """Chance that the most frequent answer of k responses is right (unbiased)."""

    name = "maj"

    def score(self, answers: Sequence[Answer], k: int) -> float | None:
        """Return the chance; None if it is not known whether a response is right."""
        right = _right(answers)
        if right is None:
            return None
        if len(answers) > _LARGEST:
            raise InputError(f"metric 'maj': takes {_LARGEST} responses to a prompt at most")
        wrong = _votes([a.final for a in answers if not a.right and a.final is not None])
        silent = len(answers) - right - sum(wrong)
        return majority_chances(right, tuple(sorted(wrong)), silent)[k - 1]


def _right(answers: Sequence[Answer]) -> int | None:
    """The number of right responses; None if that of one is not known."""
    known = [answer.right for answer in answers if answer.right is not None]
    return sum(known) if len(known) == len(answers) else None


def _votes(finals: Sequence[str]) -> list[int]:
    """The number of votes of each wrong answer."""
    groups: list[list[str]] = []
    for final in finals:
        group = next((group for group in groups if same_answer(final, group[0])), None)
        if group is None:
            groups.append(group := [])
        group.append(final)
    return [len(group) for group in groups]


@lru_cache(maxsize=4096)  # many prompts have the same votes
def majority_chances(right: int, wrong: tuple[int, ...], silent: int) -> tuple[float, ...]:
    """The chance that the right answer wins the vote of k responses, for k = 1 … n.

    A sum over the number r of right answers among the k. `ways[t][s]` counts the choices of s wrong
    answers of which none has more than r votes and t have exactly r, and so tie with the right one.

    Args:
        right: Number of right responses among all n.
        wrong: Number of responses with each wrong answer.
        silent: Number of responses without an answer.
    """
    import numpy as np

    n = right + sum(wrong) + silent
    wins = np.zeros(n + 1)
    without_vote = np.array([comb(silent, s) for s in range(silent + 1)], dtype=float)
    for r in range(1, right + 1):
        ways = np.zeros((sum(votes >= r for votes in wrong) + 1, sum(wrong) + 1))
        ways[0, 0] = 1.0
        for votes in wrong:
            chosen = np.zeros_like(ways)
            for s in range(min(r, votes) + 1):
                tie = int(s == r)
                chosen[tie:, s:] += comb(votes, s) * ways[: len(ways) - tie, : ways.shape[1] - s]
            ways = chosen
        shared = (ways / np.arange(1, len(ways) + 1)[:, None]).sum(axis=0)
        others = np.convolve(shared, without_vote)
        wins[r : r + len(others)] += comb(right, r) * others
    return tuple(float(wins[k]) / comb(n, k) for k in range(1, n + 1))
