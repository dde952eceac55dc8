"""Every method's formula, against values that were worked out apart from kdbench.

`python -m tests.methods.test_hand_values` prints how many there are, and the greatest difference.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator

import pytest
import torch

from kdbench.methods import methods
from tests.methods import hand_values
from tests.methods.hand_values import HandValue


def all_values() -> Iterator[tuple[str, HandValue]]:
    for module in pkgutil.iter_modules(hand_values.__path__):
        name = module.name
        for value in importlib.import_module(f"{hand_values.__name__}.{name}").VALUES:
            yield name, value


def difference(value: HandValue) -> float:
    found = torch.as_tensor(value.compute(), dtype=torch.float64).detach()
    expected = torch.tensor(value.expected, dtype=torch.float64)
    assert found.shape == expected.shape, (found, expected)
    return float((found - expected).abs().max())


@pytest.mark.parametrize(
    "value", [pytest.param(value, id=f"{name}: {value.what}") for name, value in all_values()]
)
def test_a_value_is_the_one_worked_out(value):
    assert difference(value) <= value.tolerance


def test_every_method_has_values():
    own = {name for name in methods.names() if methods.get(name).__module__.startswith("kdbench.")}
    assert {name for name, _ in all_values()} == own


def summary() -> str:
    differences = {f"{name}: {value.what}": difference(value) for name, value in all_values()}
    numbers = sum(torch.tensor(value.expected).numel() for _, value in all_values())
    known = len({name for name, _ in all_values()})
    furthest = max(differences, key=differences.__getitem__)
    return (
        f"{len(differences)} tests of {numbers} numbers of {known} methods\n"
        f"greatest difference: {differences[furthest]:.2g} ({furthest})\n"
    )


if __name__ == "__main__":
    sys.stdout.write(summary())
