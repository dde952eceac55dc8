"""A curve of means over training seeds, with their intervals."""

from collections.abc import Mapping

from kdbench.stats.over_seeds import mean_over_seeds
from kdbench.store.conclusions import PanelCurve

BySeed = Mapping[int, float]
"""A number by training seed."""


def seed_curve(label: str, by_seed: Mapping[int, Mapping[int, float]]) -> PanelCurve:
    """The mean over training seeds at each place that all of them have.

    Args:
        label: Name of the curve.
        by_seed: Values by place, by training seed.
    """
    places = sorted(set.intersection(*(set(values) for values in by_seed.values())))
    means = [
        mean_over_seeds({seed: values[place] for seed, values in by_seed.items()})
        for place in places
    ]
    ends = [(found.low, found.high) for found in means]
    known = [(low, high) for low, high in ends if low is not None and high is not None]
    lows, highs = zip(*known, strict=True) if len(known) == len(ends) else ((), ())
    return PanelCurve(
        label=label,
        x=tuple(places),
        y=tuple(found.value for found in means),
        low=tuple(lows),
        high=tuple(highs),
    )
