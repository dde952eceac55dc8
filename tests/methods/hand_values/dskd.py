"""DSKD; `seeds.md` 8.4: states of two numbers, three tokens, the response's token is 1."""

import torch

from kdbench.methods.dskd import TwoSpaces
from kdbench.training import Chunk
from kdbench.training.chunk import FrozenHead
from tests.methods.hand_values import HandValue

OF_TEACHER, OF_STUDENT = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[0.5, -0.5]]).double()
STUDENT_HEAD = torch.tensor([[1, 0], [0, 1], [-1, -1]]).double()
TEACHER_HEAD = torch.tensor([[1, 1], [0, 1], [-1, 0]]).double()


def linear(*diagonal):
    """A projector without bias."""
    module = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
    module.weight.data = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    return module


def parts():
    """Both projectors."""
    return {"to_student": linear(1, 0.5), "to_teacher": linear(2, 1)}


def chunk(states=OF_STUDENT, modules=None):
    """The token, with what both models give there."""
    return Chunk(
        states @ STUDENT_HEAD.T,
        {"teacher": OF_TEACHER @ TEACHER_HEAD.T},
        torch.tensor([1]),
        hidden={("student", -1): states, ("teacher", -1): OF_TEACHER},
        parts=modules or parts(),
        heads={
            "student": FrozenHead(STUDENT_HEAD, None),
            "teacher": FrozenHead(TEACHER_HEAD, None),
        },
    )


def spaces(temperature=1.0, at=None):
    """The loss of both spaces."""
    return TwoSpaces(temperature).token(at or chunk())[0]


def gradient(name):
    """The gradient of the student's states, or of a projector's weights."""
    states, modules = OF_STUDENT.clone().requires_grad_(), parts()
    spaces(at=chunk(states, modules)).backward()
    return states.grad[0] if name == "states" else modules[name].weight.grad.flatten()


def of_token():
    """Half of the cross-entropy and half of both spaces, as the method weighs them."""
    at = chunk()
    return 0.5 * -at.of_target(at.log_q)[0] + 0.5 * spaces()


# Gradients and temperature 2 are from numpy, the gradients by central differences.
VALUES = [
    HandValue("with cross-entropy", 1.446223, of_token),
    HandValue("both spaces", 1.212177, spaces),
    HandValue("both spaces, temperature 2", 0.967368, lambda: spaces(2.0)),
    HandValue(
        "gradient of the student's states", (-0.704080, -0.711470), lambda: gradient("states")
    ),
    HandValue(
        "gradient of the projector to the student",
        (0.463567, 0.927133, -0.536433, -1.072867),
        lambda: gradient("to_student"),
    ),
    HandValue(
        "gradient of the projector to the teacher",
        (-0.109949, 0.109949, -0.063516, 0.063516),
        lambda: gradient("to_teacher"),
    ),
]
