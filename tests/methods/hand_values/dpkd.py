"""DPKD; `seeds.md` 8.6."""

import math

from tests.methods.hand_values import HandValue
from tests.methods.hand_values.dpo import SLOPE, at_reference, values_of

VALUES = [
    HandValue("margin .7", (0.658760, -SLOPE, -SLOPE, SLOPE), lambda: values_of("dpkd")),
    HandValue("student = teacher", math.log(2), lambda: at_reference("dpkd")),
]
