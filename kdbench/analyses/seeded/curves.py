"""A curve of means over training seeds, with their intervals."""

from collections.abc import Mapping

from kdbench.analyses.core.against import curve_of_means
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
    at = [{seed: values[place] for seed, values in by_seed.items()} for place in places]
    return curve_of_means(label, places, at)
