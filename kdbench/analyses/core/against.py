"""Several conditions against one, paired by training seed, with Holm's correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdbench.stats.over_seeds import (
    SeedMean,
    difference_over_seeds,
    ends_of,
    mean_over_seeds,
)
from kdbench.stats.paired import holm
from kdbench.stats.pooled_seeds import pooled_differences
from kdbench.store.conclusions import PanelCurve, Quantity

LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """A condition minus the one that all are compared with.

    Attributes:
        found: The mean difference over training seeds.
        p: Its p-value with Holm's correction; None with one training seed.
    """

    found: SeedMean
    p: float | None

    @property
    def direction(self) -> int:
        """1 above 0 at 5 % after the correction, -1 below, 0 where it is not told from 0."""
        if self.p is None or self.p > LEVEL:
            return 0
        return 1 if self.found.value > 0 else -1

    def quantity(self) -> Quantity:
        """The difference as a number of a table."""
        return Quantity.of(self.found, p=self.p)

    def text(self, decimals: int) -> str:
        """Its size with its interval, without its sign: `0.012 [0.004, 0.020]`."""
        value, ends = self.found.value, (self.found.low, self.found.high)
        if ends[0] is None or ends[1] is None:
            return f"{abs(value):.{decimals}f}"
        sizes = ends if value >= 0 else (-ends[1], -ends[0])
        return f"{abs(value):.{decimals}f} [{sizes[0]:.{decimals}f}, {sizes[1]:.{decimals}f}]"


def differences_from(
    reference: Mapping[int, float],
    conditions: Mapping[str, Mapping[int, float]],
    pooled: bool = False,
) -> dict[str, Difference]:
    """Each condition minus the reference.

    Args:
        reference: A number by training seed.
        conditions: The same number of other conditions, by name.
        pooled: Whether one deviation over seeds is taken for all, which must have the same seeds.

    Raises:
        ValueError: A condition shares no seed with the reference, or lacks one if pooled.
    """
    if pooled:
        found = pooled_differences(reference, conditions)
    else:
        found = {name: difference_over_seeds(of, reference) for name, of in conditions.items()}
    known = [name for name in found if found[name].p is not None]
    adjusted = dict(zip(known, holm([found[name].p or 0.0 for name in known]), strict=True))
    return {name: Difference(of, adjusted.get(name)) for name, of in found.items()}


def curve_of_means(
    label: str, x: Sequence[float], by_seed: Sequence[Mapping[int, float]], joined: bool = True
) -> PanelCurve:
    """A curve of means over training seeds, with their intervals if there are several seeds.

    Args:
        label: Its name.
        x: Where its points are.
        by_seed: The numbers at each point by training seed.
        joined: Whether a line joins the points.
    """
    means = [mean_over_seeds(of) for of in by_seed]
    low, high = ends_of((mean.low, mean.high) for mean in means)
    return PanelCurve(
        label=label,
        x=tuple(x),
        y=tuple(mean.value for mean in means),
        low=low,
        high=high,
        joined=joined,
    )


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: `a, b and c`."""
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last
