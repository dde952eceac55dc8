"""The test of a row over training seeds and prompts, for two recipes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt

import numpy as np

from kdbench.comparing.pairing import PairedScores
from kdbench.stats.defaults import POWER
from kdbench.stats.paired import standard_error
from kdbench.stats.variances import Variances, variances

_MOST = 1e9  # times as many prompts; what they do not show, none do
_CLOSE = 1 + 1e-6


@dataclass(frozen=True)
class TrainingTest:
    """The test of a mean gain over crossed training seeds and prompts.

    The trainings are paired, so the gains of each pair take the place of single trainings.

    Attributes:
        variances: Variances of the mean gain; None if a task has a single prompt, on which nothing
            can be rejected.
        n: Number of prompts.
    """

    variances: Variances | None
    n: int

    def p(self, shift: float = 0.0) -> float:
        """The two-sided p-value of the null hypothesis that the mean gain is `shift`."""
        return 1.0 if self.variances is None else self.variances.test.p_value(shift)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The shifts whose p-value exceeds alpha.

        Args:
            alpha: 1 - coverage.
        """
        return (-inf, inf) if self.variances is None else self.variances.test.interval(alpha)

    def least(self, alpha: float) -> float | None:
        """The smallest change that the test detects with 80 % power.

        Args:
            alpha: Level of the test.
        """
        return None if self.variances is None else self.variances.test.detectable(alpha, POWER)

    def needed(self, tolerance: float, alpha: float) -> int | None:
        """The number of prompts that detects a change of the tolerance.

        Args:
            tolerance: Change to detect.
            alpha: Level of the test.

        Returns:
            The number; None if no number of prompts is enough with these training seeds.
        """
        found = self.variances
        if found is None:
            return None

        def is_enough(share: float) -> bool:
            test = found.with_trainings(found.trained, share)
            return test.detectable(alpha, POWER) <= tolerance

        if not is_enough(_MOST):
            return None
        few, many = 1 / self.n, _MOST
        while many > few * _CLOSE:
            middle = sqrt(few * many)
            few, many = (few, middle) if is_enough(middle) else (middle, many)
        return ceil(self.n * many)


@dataclass(frozen=True)
class Deviations:
    """How much the difference of two means varies, as standard deviations.

    Attributes:
        prompts: Other prompts, as many as there are; None for one prompt.
        training: Another pair of trainings, one of each recipe; None unless both are recipes.
        sampling: Another sampling seed; None if it is unknown.
    """

    prompts: float | None
    training: float | None
    sampling: float | None


def training_test(pairs: Sequence[PairedScores], sign: int) -> TrainingTest | None:
    """The test of a row; None unless both sides are recipes.

    Args:
        pairs: Paired scores of the row's tasks.
        sign: Factor that turns a change into a gain.
    """
    gaps = [paired.by_training for paired in pairs]
    known = [gap for gap in gaps if gap is not None]
    if len(known) < len(gaps):
        return None
    n = sum(gap.shape[1] for gap in known)
    if any(gap.shape[1] < 2 for gap in known):
        return TrainingTest(None, n)
    return TrainingTest(variances([sign * gap[:, None, :] for gap in known]), n)


def deviations(pairs: Mapping[str, PairedScores], test: TrainingTest | None) -> Deviations:
    """The three deviations of a row's difference.

    Args:
        pairs: Paired scores of the row's tasks.
        test: Test over training seeds, if both sides are recipes.
    """
    sampling = [paired.sd_sampling for paired in pairs.values()]
    known = [sd for sd in sampling if sd is not None]
    of_sampling = None
    if len(known) == len(sampling):
        of_sampling = sqrt(sum(sd**2 for sd in known)) / len(known)
    if test is not None:
        found = test.variances
        if found is None:
            return Deviations(None, None, of_sampling)
        return Deviations(found.prompts, found.training, of_sampling)
    errors = [standard_error(paired.new - paired.base) for paired in pairs.values()]
    sizes = [error for error in errors if error is not None]
    of_prompts = float(np.linalg.norm(sizes)) / len(errors) if len(sizes) == len(errors) else None
    return Deviations(of_prompts, None, of_sampling)
