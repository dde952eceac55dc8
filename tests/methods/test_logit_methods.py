"""Methods on logits, against values worked out apart from kdbench in float64.

Two tokens of one response over four tokens of a vocabulary: in the first the response's token is
the teacher's first choice and not the student's, in the second it is the other way round.
"""

import pytest
import torch

from kdbench.methods import methods
from kdbench.methods.bild import LogitDifferences, knee
from kdbench.training import Batch, Chunk, Rollout
from kdbench.training.loss import distillation_loss
from kdbench.training.ranking import losses_of_places

TEACHER = torch.tensor([[2, 1, 0, -1], [0, 0.5, 3, 1]], dtype=torch.float64)
STUDENT = torch.tensor([[1, 1.5, 0, -0.5], [0.5, 0, 1, 1.2]], dtype=torch.float64)
RESPONSE = (0, 3)

# The loss of each token, and their mean.
VALUES = [
    ("pld", {"places": 4}, (0.870798, 0.702646)),
    ("pld", {"places": 4, "target_temperature": 2}, (0.698830, 0.699430)),
    ("pld", {"places": 4, "target_temperature": 4}, (0.595452, 0.682836)),
    ("pld", {"places": 2}, (0.829485, 0.639549)),
    ("bdkd", {"emphasis": 1}, (0.489666, 1.057615)),
    ("bdkd", {}, (0.734588, 1.620546)),
    ("bdkd", {"emphasis": 3}, (0.979509, 2.183477)),
    ("todi", {}, (0.489666, 1.057615)),
    ("bild", {"tokens": 3}, (0.092378, 0.236074)),
    ("bild", {"tokens": 3, "temperature": 1}, (0.645786, 1.107813)),
    ("bild", {"tokens": 4}, (0.076653, 0.191144)),
    ("bild", {"tokens": 3, "direction": "reverse"}, (0.094170, 0.262437)),
    ("first", {"top_k": 3}, (0.239401, 0.408944)),
    ("first", {"top_k": 3, "target_temperature": 2}, (0.116665, 0.137817)),
    ("first", {"top_k": 3, "target_temperature": 0.5}, (0.620294, 0.825297)),
]


class Given:
    """A view of given logits."""

    head_parameters = ()
    finish = staticmethod(lambda logits: logits)

    def __init__(self, logits):
        self.states = lambda batch: logits
        self.logits = self.raw = lambda states: states


def loss_of(name, options, student=STUDENT, teacher=TEACHER, origin="student"):
    terms = methods.get(name)(**options).triple().terms
    batch = Batch([Rollout("row", (0,), RESPONSE, origin)])
    views = {"student": Given(student), "teacher": Given(teacher)}
    return distillation_loss(terms, batch, views).value


def tokens_of(name, options, student=STUDENT, teacher=TEACHER):
    (term,) = methods.get(name)(**options).triple().terms
    return term.objective.token(Chunk(student, {"teacher": teacher}, torch.tensor(RESPONSE)))


def gradient_of(name, options, student=STUDENT):
    at = student.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(tokens_of(name, options, at).sum(), at)
    return gradient


@pytest.mark.parametrize(("name", "options", "expected"), VALUES)
def test_the_loss_of_each_token_is_the_one_worked_out(name, options, expected):
    assert tokens_of(name, options).tolist() == pytest.approx(expected, abs=1e-6)
    assert float(loss_of(name, options)) == pytest.approx(sum(expected) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("pld", {"places": 4}, (-0.445159, 0.265185, 0.079126, 0.100848)),
        ("todi", {}, (-0.484400, 0.412918, 0.015599, 0.055882)),
        ("bdkd", {"emphasis": 1}, (-0.637810, 0.536542, 0.028654, 0.072613)),
        ("bild", {"tokens": 3}, (-0.127269, 0.118557, 0.008712, 0)),
    ],
)
def test_the_gradient_of_the_first_token_is_the_one_worked_out(name, options, expected):
    assert gradient_of(name, options)[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("ofa", {}, 1.236265 + 1.068666),  # the second number is the cross-entropy
        ("ofa", {"power": 1}, (1.192281 + 1.224903) / 2 + 1.068666),
        ("eopd", {"top_k": 4}, 0.526298),
        ("eopd", {"top_k": 2}, (0.458816 + 2 * 0.403926) / 2),
        ("tsd", {"top_k": 3}, 1.447502),
        ("tsd", {"top_k": 3, "opener_share": 0.6}, 1.454361),
    ],
)
def test_the_mean_loss_is_the_one_worked_out(name, options, expected):
    assert float(loss_of(name, options, origin="dataset")) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["pld", "bdkd", "todi", "bild", "first", "eopd", "tsd"])
def test_constants_added_to_logits_change_nothing(name):
    options = {"tokens": 3} if name == "bild" else {}
    moved = loss_of(name, options, STUDENT + 5, TEACHER - 3)
    assert float(moved) == pytest.approx(float(loss_of(name, options)), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("pld", {"places": 4}, 0.387324),
        ("tsd", {"top_k": 3}, 1.019624),
        ("first", {"top_k": 3, "target_temperature": 2}, 0.099702),
    ],
)
def test_a_student_equal_to_its_teacher_has_the_loss_that_was_worked_out(name, options, expected):
    value = loss_of(name, options, TEACHER, TEACHER)
    assert float(value) == pytest.approx(expected, abs=1e-6)


def test_one_certain_place_is_cross_entropy():
    order = torch.tensor([[0], [3]])
    expected = -STUDENT.log_softmax(-1).gather(-1, order)
    torch.testing.assert_close(losses_of_places(STUDENT, order), expected)


def test_an_order_is_not_its_reverse():
    """A released trainer computes the loss of the reversed order: 5.296774."""
    logits = torch.tensor([[3.0, 1.0, 0.0]])
    assert float(losses_of_places(logits, torch.tensor([[0, 1, 2]])).sum()) == pytest.approx(
        0.483108, abs=1e-6
    )
    assert float(losses_of_places(logits, torch.tensor([[2, 1, 0]])).sum()) == pytest.approx(
        5.296774, abs=1e-6
    )


def test_exchanging_teacher_and_student_changes_no_value_of_both_directions():
    assert tokens_of("bdkd", {}, TEACHER, STUDENT).tolist() == pytest.approx(
        tokens_of("bdkd", {}).tolist()
    )


def test_the_knee_worked_out_by_hand():
    assert knee(torch.tensor([[10, 7, 2, 1, 0.5, 0]])).tolist() == [3]


def test_the_knee_leaves_out_the_differences_beyond_it():
    falling = torch.tensor([[10, 7, 2, 1, 0.5, 0]], dtype=torch.float64)
    student = falling + torch.tensor([[0.3, -0.2, 0.5, 0.0, 0.0, 0.0]], dtype=torch.float64)
    chunk = Chunk(student, {"teacher": falling}, torch.tensor([0]))
    by_knee, by_three = LogitDifferences("knee").token(chunk), LogitDifferences(3).token(chunk)
    torch.testing.assert_close(by_knee, by_three)


def test_the_gradient_is_0_at_the_enhanced_target():
    p = TEACHER.softmax(-1)
    enhanced = p**1.5
    enhanced[0, 0], enhanced[1, 3] = (1 + p[0, 0]) ** 1.5 - 1, (1 + p[1, 3]) ** 1.5 - 1
    student = (enhanced / enhanced.sum(-1, keepdim=True)).log().requires_grad_()
    objective = methods.get("ofa")().triple().terms[1].objective
    value = objective.token(Chunk(student, {"teacher": TEACHER}, torch.tensor(RESPONSE))).sum()
    (gradient,) = torch.autograd.grad(value, student)
    assert float(gradient.abs().max()) < 1e-12
