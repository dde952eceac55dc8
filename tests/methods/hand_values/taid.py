"""TAID; t = 1 is `seeds.md` 2.7 at ε = 1, the rest is by numpy.

On the logits (2, 0) and (0, 2) at t = .4 the target is softmax(1.2, .8), and so the loss .929553.
"""

import torch

from tests.methods.hand_values import HandValue, chunk, gradient, objective_of, tokens


def at(teacher_weight):
    return tokens(objective_of("taid"), chunk(schedule={"teacher_weight": teacher_weight}))


def of_two_tokens():
    student, teacher = torch.tensor([[[2.0, 0.0]], [[0.0, 2.0]]], dtype=torch.float64)
    schedule = {"teacher_weight": 0.4}
    return tokens(objective_of("taid"), chunk(student, (0,), schedule=schedule, teacher=teacher))


VALUES = [
    HandValue("t = .4", (1.165755, 1.271664), lambda: at(0.4)),
    HandValue("t = 1, the cross-entropy to p", (1.192281, 1.224903), lambda: at(1.0)),
    HandValue("two tokens", [0.929553], of_two_tokens),
    HandValue(
        "gradient of the first token, the target constant",
        (-0.131107, 0.110982, 0.005105, 0.015020),
        lambda: gradient(objective_of("taid"), schedule={"teacher_weight": 0.4})[0],
    ),
]
