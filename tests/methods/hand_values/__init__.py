"""Values of methods that were worked out apart from kdbench, one file for each method.

A file `METHOD.py` has `VALUES`, of which `test_hand_values.py` makes the tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import LlamaConfig

from kdbench.methods import methods
from kdbench.training import Batch, Chunk, Objective, Rollout
from kdbench.training.loss import distillation_loss

# Example E2: two tokens of one response over a vocabulary of four. In the first the response's
# token is the teacher's first choice and not the student's, in the second the other way round.
TEACHER = torch.tensor([[2, 1, 0, -1], [0, 0.5, 3, 1]], dtype=torch.float64)
STUDENT = torch.tensor([[1, 1.5, 0, -0.5], [0.5, 0, 1, 1.2]], dtype=torch.float64)
RESPONSE = (0, 3)


@dataclass(frozen=True)
class HandValue:
    """A number, or several, and the code that must give it.

    Attributes:
        what: A few words, which name the test: `temperature 2, each token`.
        expected: What was worked out, to six digits.
        compute: Returns what kdbench has.
        tolerance: The largest difference; half of the last digit that is written.
    """

    what: str
    expected: float | Sequence[float]
    compute: "Callable[[], float | Sequence[float] | torch.Tensor]"
    tolerance: float = 6e-7


class Given:
    """A view of given logits, (N, V)."""

    head_parameters = ()
    finish = staticmethod(lambda logits: logits)

    def __init__(self, logits):
        self.states = lambda batch: logits
        self.logits = self.raw = lambda states: states


class WithHead(torch.nn.Module):
    """A model of which nothing but the head is known."""

    def __init__(self, head):
        super().__init__()
        self.head, self.config = head, LlamaConfig()

    def get_output_embeddings(self):
        return self.head


def chunk(student=STUDENT, targets=RESPONSE, plan=None, schedule=None, **views):
    """A chunk of E2; other views than the teacher by name."""
    views = {"teacher": TEACHER, **views}
    return Chunk(student, views, torch.tensor(targets), plan=plan, schedule=schedule)


def tokens(objective: Objective, at=None):
    """The loss of each token of E2."""
    return objective.token(at or chunk())


def gradient(objective: Objective, student=STUDENT, **given):
    """The gradient of the summed loss by the student's logits, (n, V)."""
    leaf = student.clone().requires_grad_()
    (found,) = torch.autograd.grad(objective.token(chunk(leaf, **given)).sum(), leaf)
    return found


def loss(name, options, origin="dataset", student=STUDENT, teacher=TEACHER, **views):
    """The mean loss of a method on E2 through the trainer's own code."""
    terms = methods.get(name)(**options).triple().terms
    batch = Batch([Rollout("row", (0,), RESPONSE, origin)])
    given = {name: Given(logits) for name, logits in views.items()}
    given |= {"student": Given(student), "teacher": Given(teacher)}
    return float(distillation_loss(terms, batch, given).value)


def objective_of(name, number=0, **options) -> Objective:
    """The objective of a method's term."""
    return methods.get(name)(**options).triple().terms[number].objective
