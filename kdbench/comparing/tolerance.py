"""How much worse a metric may get: `rougeL:0.5`, `rougeL:2%`, `rougeL:0.5,empty:0`."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kdbench.errors import InputError

MAIN = "rougeL"
"""The metric of a tolerance that is only a number."""

# A name may hold commas (lm-eval's `exact_match,number`), so an entry ends after its number.
_ENTRY = re.compile(r"\s*([^:%\s][^:%]*?)\s*:\s*([0-9.eE+-]+)\s*(%?)\s*(?:,|$)")


@dataclass(frozen=True)
class Tolerance:
    """The largest acceptable loss of a metric.

    Attributes:
        amount: Loss in the metric's unit, or in percent of the base's mean.
        relative: Whether the amount is in percent.
    """

    amount: float
    relative: bool = False

    def __str__(self) -> str:
        return f"{self.amount:g}%" if self.relative else f"{self.amount:g}"

    def in_units(self, base_mean: float) -> float:
        """The loss in the metric's unit.

        Args:
            base_mean: Mean score of the base.
        """
        return abs(base_mean) * self.amount / 100 if self.relative else self.amount


DEFAULT: Mapping[str, Tolerance] = {MAIN: Tolerance(0.5)}


def parse_tolerances(text: str) -> dict[str, Tolerance]:
    """Tolerances by metric, in order.

    Args:
        text: Entries `METRIC:NUMBER` or `METRIC:NUMBER%`, separated by commas. `NUMBER` or
            `NUMBER%` alone is the tolerance of rougeL.

    Raises:
        InputError: The text has a different form, a negative number, or a metric twice.
    """
    if re.fullmatch(r"\s*[0-9.eE+-]+\s*%?\s*", text):
        text = f"{MAIN}:{text}"
    tolerances: dict[str, Tolerance] = {}
    start = 0
    while start < len(text):
        entry = _ENTRY.match(text, start)
        if entry is None:
            raise InputError(
                f"'{text[start:]}' is not METRIC:NUMBER or METRIC:NUMBER%, as in "
                "rougeL:0.5,empty:0 or rougeL:2%"
            )
        name = entry[1]
        if name in tolerances:
            raise InputError(f"'{name}' is given twice")
        tolerances[name] = Tolerance(_amount(entry[2]), bool(entry[3]))
        start = entry.end()
    if not tolerances:
        raise InputError("must not be empty; give METRIC:NUMBER, as in rougeL:0.5")
    return tolerances


def full_names(tolerances: Mapping[str, Tolerance], known: Collection[str]) -> dict[str, Tolerance]:
    """Return tolerances by the metrics' names in results: `acc,none` for `acc`.

    Args:
        tolerances: Tolerances by name; that of a task's own metric may lack its filter.
        known: Names of the metrics in results.
    """
    full = {}
    for name, tolerance in tolerances.items():
        filtered = sorted(other for other in known if other.startswith(f"{name},"))
        plain = f"{name},none"
        found = plain if plain in filtered else next(iter(filtered), name)
        full[name if name in known else found] = tolerance
    return full


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise InputError(f"'{text}' is not a number of 0 or more")
    return amount


def format_tolerances(tolerances: Mapping[str, Tolerance]) -> str:
    """The text that `parse_tolerances` reads back."""
    return ",".join(f"{metric}:{tolerance}" for metric, tolerance in tolerances.items())


def gain_sign(metric: str, direction: str) -> int:
    """The factor that turns a change into a gain: 1 if higher is better, -1 if lower is.

    Args:
        metric: Name of the metric, for messages.
        direction: Direction that is better, `higher` or `lower`.

    Raises:
        InputError: Neither direction is better.
    """
    if direction not in ("higher", "lower"):
        raise InputError(
            f"tolerance={metric}:…: neither direction of this metric is better, so it cannot be "
            "gated; remove it from tolerance="
        )
    return 1 if direction == "higher" else -1
