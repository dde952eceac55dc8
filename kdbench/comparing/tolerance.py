"""How much worse a metric may get: `rougeL:0.5`, `rougeL:2%`, `rougeL:0.5,empty:0`."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from kdbench.errors import InputError

MAIN = "rougeL"  # what a bare number is of
# A name may hold commas (`exact_match,number` of lm-eval), so an entry ends after its number.
_ENTRY = re.compile(r"\s*([^:%\s][^:%]*?)\s*:\s*([0-9.eE+-]+)\s*(%?)\s*(?:,|$)")


@dataclass(frozen=True)
class Tolerance:
    """How much worse is still fine.

    Attributes:
        amount: in the metric's unit, or in percent of the base's mean.
        relative: whether it is in percent.
    """

    amount: float
    relative: bool = False

    def __str__(self) -> str:
        return f"{self.amount:g}%" if self.relative else f"{self.amount:g}"

    def within(self, base: float) -> float:
        """In the metric's unit, where the base's mean is `base`."""
        return abs(base) * self.amount / 100 if self.relative else self.amount


DEFAULT: Mapping[str, Tolerance] = {MAIN: Tolerance(0.5)}


def read_tolerances(text: str) -> dict[str, Tolerance]:
    """Tolerances by metric, in order.

    Args:
        text: `METRIC:NUMBER` or `METRIC:NUMBER%`, more after commas; a bare `NUMBER` or `NUMBER%`
            is that of rougeL.

    Raises:
        InputError: something else, a negative number, or a metric twice.
    """
    if re.fullmatch(r"\s*[0-9.eE+-]+\s*%?\s*", text):
        text = f"{MAIN}:{text}"
    found: dict[str, Tolerance] = {}
    at = 0
    while at < len(text):
        entry = _ENTRY.match(text, at)
        if entry is None:
            raise InputError(
                f"'{text[at:]}' is not METRIC:NUMBER or METRIC:NUMBER%, as in "
                "rougeL:0.5,empty:0 or rougeL:2%"
            )
        name = entry[1]
        if name in found:
            raise InputError(f"'{name}' is given twice")
        found[name] = Tolerance(_amount(entry[2]), bool(entry[3]))
        at = entry.end()
    if not found:
        raise InputError("it is empty: give METRIC:NUMBER, as in rougeL:0.5")
    return found


def _amount(word: str) -> float:
    try:
        amount = float(word)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise InputError(f"'{word}' is not a number of 0 or more")
    return amount


def said_tolerances(tolerances: Mapping[str, Tolerance]) -> str:
    """What `read_tolerances` reads."""
    return ",".join(f"{name}:{one}" for name, one in tolerances.items())


def sign_of(metric: str, direction: str) -> int:
    """1 where higher is better, -1 where lower is: a change times it is a gain.

    Raises:
        InputError: neither is better.
    """
    if direction not in ("higher", "lower"):
        raise InputError(
            f"tolerance={metric}:…: the metric describes and does not judge, so no checkpoint is "
            "worse by it; leave it out"
        )
    return 1 if direction == "higher" else -1
