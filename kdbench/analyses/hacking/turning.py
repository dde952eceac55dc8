"""Turning points of curves over training seeds, without the bias of a curve's own minimum."""

from collections.abc import Mapping

from kdbench.stats.over_seeds import SeedMean, mean_over_seeds

SeedCurves = Mapping[int, Mapping[int, float]]
"""Values by step, by training seed."""


def turning_step(curves: SeedCurves, without: int | None = None) -> int:
    """The step at which the mean curve is lowest; the first of several.

    Args:
        curves: SeedCurves with the same steps.
        without: Training seed to leave out, unless it is the only one.

    Raises:
        ValueError: The curves have different steps.
    """
    used = [curve for seed, curve in curves.items() if seed != without] or list(curves.values())
    steps = sorted(used[0])
    if any(sorted(curve) != steps for curve in curves.values()):
        raise ValueError("the curves have different steps")
    return min(steps, key=lambda step: (sum(curve[step] for curve in used), step))


def turning_steps(curves: SeedCurves) -> dict[int, int]:
    """For each training seed the step at which the mean curve of the other seeds is lowest."""
    return {seed: turning_step(curves, without=seed) for seed in curves}


def changes_since(curves: SeedCurves, since: Mapping[int, int]) -> dict[int, float]:
    """How much each curve changes from a step to its end.

    Args:
        curves: SeedCurves.
        since: The step, by training seed.
    """
    return {seed: curve[max(curve)] - curve[since[seed]] for seed, curve in curves.items()}


def mean_curve(curves: SeedCurves) -> dict[int, SeedMean]:
    """The mean over training seeds at each step."""
    steps = sorted(next(iter(curves.values())))
    return {
        step: mean_over_seeds({seed: curve[step] for seed, curve in curves.items()})
        for step in steps
    }
