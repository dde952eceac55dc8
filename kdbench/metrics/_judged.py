"""The metrics that a judge gives, which are measured with `judge=` and not with `metrics=`."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class JudgedMetric(NamedTuple):
    """A metric that a judge gives.

    Attributes:
        unit: Unit of the number.
        direction: Which is better.
    """

    unit: str
    direction: Literal["higher", "lower", "none"]


GRADES: Mapping[str, JudgedMetric] = {
    "judge": JudgedMetric("percent", "higher"),
    "judge_score": JudgedMetric("1 to 10", "higher"),
    "judge_reference": JudgedMetric("1 to 10", "none"),
}
"""Metrics of graded responses."""

PREFERENCES: Mapping[str, JudgedMetric] = {
    "win_rate": JudgedMetric("rate", "higher"),
    "wins": JudgedMetric("rate", "higher"),
    "ties": JudgedMetric("rate", "none"),
    "losses": JudgedMetric("rate", "lower"),
    "judge_flips": JudgedMetric("rate", "none"),
    "words_ratio": JudgedMetric("ratio", "none"),
}
"""Metrics of compared responses; `@` and the opponent's name follow."""

WITHOUT_SCORE: Mapping[str, JudgedMetric] = {
    "judge_unparsable": JudgedMetric("rate", "none"),
    "judge_refused": JudgedMetric("rate", "none"),
}
"""Shares of judgements that give no score, of either kind."""

_ALL = {**GRADES, **PREFERENCES, **WITHOUT_SCORE}


def judged_metric(name: str) -> JudgedMetric | None:
    """Return the judge's metric of a name, such as `judge` or `win_rate@teacher`; None if none."""
    base, _, opponent = name.partition("@")
    if opponent and base in GRADES:
        return None
    return _ALL.get(base)
