"""ND; `seeds.md` 3.6. Values of a single aspect and gradients were worked out by hand."""

import torch

from kdbench.methods.nd import nd_loss
from tests.methods.hand_values import HandValue


def nd(students, teacher=(3, 4), direction=(1, 0), aspect="both"):
    students = torch.tensor(students, dtype=torch.float64)
    both = [
        torch.tensor(given, dtype=torch.float64).expand_as(students)
        for given in (teacher, direction)
    ]
    return nd_loss(students, *both, aspect)


def two():
    rows = [((1, 1), (2, 0), (1, 0)), ((4, 3), (0, 5), (0.6, 0.8))]
    return torch.stack([nd([s], t, e)[0] for s, t, e in rows])


def slope(student, aspect="both"):
    """The gradient of ND by s at t = (3, 4), e = (1, 0)."""
    leaf = torch.tensor([student], dtype=torch.float64, requires_grad=True)
    teacher, direction = (torch.tensor([x], dtype=torch.float64) for x in ((3, 4), (1, 0)))
    (found,) = torch.autograd.grad(nd_loss(leaf, teacher, direction, aspect).sum(), leaf)
    return found[0]


FIVE = [(1, 0), (5, 0), (6, 0), (0, 2), (-5, 0)]
VALUES = [
    HandValue("five states", (0.8, 0.0, 0.0, 1.0, 2.0), lambda: nd(FIVE)),
    HandValue("two tokens", (0.5, 0.04), two),
    HandValue("two tokens, mean", 0.270000, lambda: two().mean()),
    HandValue("student = teacher", (0.4,), lambda: nd([(3, 4)])),  # 1 - 3/5
    HandValue("direction", (0.0, 0.0, 0.0, 1.0, 2.0), lambda: nd(FIVE, aspect="direction")),
    HandValue("norm", (0.8, 0.0, 0.0, 0.6, 0.0), lambda: nd(FIVE, aspect="norm")),
    # Shorter than t: -e/‖t‖. Longer: -(e - s ⟨s, e⟩/‖s‖²)/‖s‖ at s = (6, 8).
    HandValue("gradient, shorter", (-0.2, 0.0), lambda: slope((1, 1))),
    HandValue("gradient, longer", (-0.064, 0.048), lambda: slope((6, 8))),
    HandValue("gradient of the norm", (-0.12, -0.16), lambda: slope((1.5, 2), "norm")),
]
