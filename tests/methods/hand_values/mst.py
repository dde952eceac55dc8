"""MST-Distill; `seeds.md` 3.8: the two tokens of E2 as a response each, and two teachers."""

import torch

from kdbench.methods import methods
from kdbench.training import Batch, Rollout
from kdbench.training.loss import distillation_loss
from tests.methods.hand_values import RESPONSE, STUDENT, TEACHER, Given, HandValue

SECOND = torch.tensor([[0, 2, 0, 0], [1, 1, 2, 0]], dtype=torch.float64)
GATES = torch.tensor([[1, 0], [0, 0.5]], dtype=torch.float64)


class OfRows(Given):
    """A view of given logits by row."""

    def __init__(self, logits):
        super().__init__(logits)
        self.states = lambda batch: torch.cat([logits[int(row.id)][None] for row in batch.rollouts])


class FixedGate(torch.nn.Module):
    """Gate logits of each of the two responses, which it knows by their first state."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(GATES.clone())

    def forward(self, states):
        return self.logits[(states[:, 0] == STUDENT[1, 0]).long()]


def value(terms=(0, 1, 2), **options):
    """The loss of some terms of the method, and its gradient by the gate's logits."""
    method = methods.get("mst")(**options)
    chosen = [method.triple().terms[n] for n in terms]
    origin = "validation" if 3 in terms else "dataset"
    rows = [Rollout(str(n), (0,), (RESPONSE[n],), origin) for n in range(2)]
    views = {"student": OfRows(STUDENT), "t1": OfRows(TEACHER), "t2": OfRows(SECOND)}
    gate = FixedGate()
    loss = distillation_loss(chosen, Batch(rows), views, parts={"gate": gate}).value
    if not loss.requires_grad:
        return loss.detach(), torch.zeros_like(GATES)
    (found,) = torch.autograd.grad(loss, gate.logits, allow_unused=True)
    return loss.detach(), torch.zeros_like(GATES) if found is None else found


def single(view, place):
    from kdbench.divergence import forward_kl
    from kdbench.training.target import tempered

    logits = {"t1": TEACHER, "t2": SECOND}[view]
    return 16 * forward_kl(tempered(logits, 4.0), tempered(STUDENT, 4.0))[place]


VALUES = [
    HandValue("first teacher", (0.215375, 0.535270), lambda: [single("t1", n) for n in (0, 1)]),
    HandValue("second teacher", (0.185178, 0.378388), lambda: [single("t2", n) for n in (0, 1)]),
    HandValue("balance", 0.005932, lambda: value((2,))[0]),
    HandValue("hard", 0.296882, lambda: value((1,), routing="hard")[0]),
    HandValue("soft", 0.322436, lambda: value((1,))[0]),
    HandValue("hard, all terms", 1.371480, lambda: value(routing="hard")[0]),
    # (.215375 + .535270 + .185178 + .378388)/4
    HandValue("average", 0.328553, lambda: value((1,), routing="average")[0]),
    # By responses; the mean over two is half of it. Toward the teacher that is easier to match.
    HandValue(
        "gate=student, gradient of the first response's gate",
        (0.005937, -0.005937),
        lambda: 2 * value((1,), gate="student")[1][0],
    ),
    HandValue("soft, gradient of the gate", (0.0, 0.0), lambda: value((1,))[1][0]),
    HandValue("hard, gradient of the gate", (0.0, 0.0), lambda: value((1,), routing="hard")[1][0]),
    # By numpy, with -log p(y) .440190 and 2.340753 in the first response and 2.236816 and 2.626523
    # in the second: toward the teacher that predicts it.
    HandValue("chosen teachers' loss", 1.715361, lambda: value((3,))[0]),
    HandValue(
        "its gradient by the first response's gate",
        (-0.186837, 0.186837),
        lambda: value((3,))[1][0],
    ),
]
