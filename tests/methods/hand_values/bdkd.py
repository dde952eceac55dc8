"""BD-KD; `seeds.md` 2.3 and 4.4."""

import torch

from kdbench.methods import methods
from kdbench.training import Chunk
from tests.methods.hand_values import (
    RESPONSE,
    STUDENT,
    TEACHER,
    HandValue,
    chunk,
    gradient,
    loss,
    objective_of,
    tokens,
)


def of(emphasis):
    return objective_of("bdkd", emphasis=emphasis)


def of_the_learning_teacher(**options):
    """The mean of its divergence; the teacher is the model that learns, the student a view."""
    (peer,) = methods.get("bdkd")(teacher_learns=True, **options).triple().companions
    objective = peer.terms[1].objective
    return objective.token(Chunk(TEACHER, {"student": STUDENT}, torch.tensor(RESPONSE))).mean()


VALUES = [
    HandValue("emphasis 1, which is Jeffreys'", (0.489666, 1.057615), lambda: tokens(of(1))),
    HandValue("emphasis 2", (0.734588, 1.620546), lambda: tokens(of(2))),
    HandValue("mean at 2", 1.177567, lambda: loss("bdkd", {})),
    HandValue("emphasis 3", (0.979509, 2.183477), lambda: tokens(of(3))),
    HandValue("mean at 3", 1.581493, lambda: loss("bdkd", {"emphasis": 3})),
    HandValue(
        "exchanged models",
        (0.734588, 1.620546),
        lambda: tokens(of(2), chunk(TEACHER, teacher=STUDENT)),
    ),
    HandValue("a student equal to its teacher", (0, 0), lambda: tokens(of(2), chunk(TEACHER))),
    HandValue(
        "gradient of the first token at 1",
        (-0.637810, 0.536542, 0.028654, 0.072613),
        lambda: gradient(of(1))[0],
    ),
    HandValue(
        "with cross-entropy", 1.177567 + 1.068666, lambda: loss("bdkd", {"ce_weight": 1}), 2e-6
    ),
    HandValue("the learning teacher's KL(p‖q)", 0.369714, of_the_learning_teacher),
    HandValue(
        "the learning teacher's KL(q‖p)",
        0.403926,
        lambda: of_the_learning_teacher(peer_divergence="forward"),
    ),
]
