"""EdgeFD; `seeds.md` 5.10."""

import torch

from kdbench.methods.edgefd import Familiar, distances
from tests.methods.hand_values import HandValue
from tests.methods.hand_values.knfu import answers, from_first, told

POINTS = torch.tensor([[1, 0], [2, 2], [4, 1]]).double()
CENTRES = torch.tensor([[0, 0], [4, 0]]).double()
# Own texts around the two centres, each as far from one as the filter of the example allows.
OWN = torch.tensor([[-1.5, 0], [1.5, 0], [2.5, 0], [5.5, 0]]).double()


def without_third():
    return told(Familiar(), answers(familiar=(1, 1, 0)))


def left_out():
    """The weights of a text that nobody answers."""
    return Familiar().weights(answers(familiar=(0, 0, 0)))[0, :, 0]


VALUES = [
    HandValue("distances", (1, 2.828427, 1), lambda: distances(POINTS, CENTRES)),
    HandValue("filter", (1, 0, 1), lambda: Familiar(2).familiar(OWN, POINTS, 0.0).double()),
    HandValue("average without client 3", (0.65, 0.25, 0.1), without_third),
    HandValue("KL of it from client 1", 0.007616, lambda: from_first(without_third())),
    HandValue("a text that nobody answers", (0, 0, 0), left_out),
]
