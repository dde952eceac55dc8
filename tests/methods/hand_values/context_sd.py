"""Context SD; `seeds.md` 4.2, with E2's teacher as the informed view.

The last values are a student of one binary token, whose teacher sees a context that adds 1 to the
first of two logits: six steps of gradient descent with the rate 2, the teacher refreshed every K.
"""

import torch

from tests.methods.hand_values import (
    TEACHER,
    HandValue,
    chunk,
    gradient,
    loss,
    objective_of,
    tokens,
)


def refreshed(every):
    """The losses of six steps, and the probability of the first token after them."""
    objective, losses = objective_of("context_sd"), []
    student = torch.zeros(1, 2, dtype=torch.float64)
    teacher, context = student, torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    for step in range(6):
        leaf = student.clone().requires_grad_()
        value = objective.token(chunk(leaf, (0,), informed=teacher + context)).sum()
        (slope,) = torch.autograd.grad(value, leaf)
        losses.append(float(value.detach()))
        student = student - 2 * slope
        if every and (step + 1) % every == 0:
            teacher = student
    return torch.tensor([*losses, float(student.softmax(-1)[0, 0])], dtype=torch.float64)


VALUES = [
    HandValue(
        "each token",
        (0.244922, 0.562931),
        lambda: tokens(objective_of("context_sd"), chunk(informed=TEACHER)),
    ),
    HandValue("mean", 0.403926, lambda: loss("context_sd", {}, "student", informed=TEACHER)),
    # seeds.md 4.1: the gradient of reverse KL in the first token.
    HandValue(
        "gradient of the first token",
        (-0.302563, 0.264518, 0.002246, 0.035799),
        lambda: gradient(objective_of("context_sd"), informed=TEACHER)[0],
    ),
    HandValue(
        "refreshed at every step",
        (0.120115, 0.082608, 0.048412, 0.032398, 0.024118, 0.019161, 0.955749),
        lambda: refreshed(1),
    ),
    HandValue("refreshed at every second step", 0.925570, lambda: refreshed(2)[-1]),
    HandValue("never refreshed", (0.120115, 0, 0, 0, 0, 0, 0.731059), lambda: refreshed(0)),
]
