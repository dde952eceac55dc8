"""Behaviour of methods on logits; their values are in the folder `hand_values`."""

from types import SimpleNamespace

import pytest
import torch

from kdbench.errors import InputError
from kdbench.methods import methods
from kdbench.methods.bild import LogitDifferences
from kdbench.methods.first import FIRST, TopTokens
from kdbench.training import Chunk
from kdbench.training.ranking import losses_of_places
from tests.methods.hand_values import STUDENT, TEACHER, loss


@pytest.mark.parametrize(
    "name", ["pld", "bdkd", "todi", "bild", "first", "eopd", "tsd", "logit_std"]
)
def test_constants_added_to_logits_change_nothing(name):
    options = {"bild": {"tokens": 3}, "first": {"target_temperature": 2}}.get(name, {})
    plain = loss(name, options, "student")
    moved = loss(name, options, "student", STUDENT + 5, TEACHER - 3)
    assert moved == pytest.approx(plain, abs=1e-9)


def test_one_certain_place_is_cross_entropy():
    order = torch.tensor([[0], [3]])
    expected = -STUDENT.log_softmax(-1).gather(-1, order)
    torch.testing.assert_close(losses_of_places(STUDENT, order), expected)


def test_the_knee_leaves_out_the_differences_beyond_it():
    falling = torch.tensor([[10, 7, 2, 1, 0.5, 0]], dtype=torch.float64)
    student = falling + torch.tensor([[0.3, -0.2, 0.5, 0.0, 0.0, 0.0]], dtype=torch.float64)
    chunk = Chunk(student, {"teacher": falling}, torch.tensor([0]))
    by_knee, by_three = LogitDifferences("knee").token(chunk), LogitDifferences(3).token(chunk)
    torch.testing.assert_close(by_knee, by_three)


def test_the_keys_of_a_learning_teacher_reach_it():
    options = {"teacher_learns": True, "peer_weight": 0.3, "teacher_rate": 0.2}
    (peer,) = methods.get("bdkd")(**options).triple().companions
    assert (peer.rate, [term.weight for term in peer.terms]) == (0.2, [1.0, 0.3])
    assert peer.replaces_teacher
    assert peer.validated


def test_the_keys_of_exits_reach_them():
    from kdbench.training import Sizes

    method = methods.get("ofa")(exits=(1, 3), exit_weight=0.3, rank=5, part_rate=2)
    triple = method.triple()
    assert [term.weight for term in triple.terms] == [1, 1, 0.3, 0.3]
    assert [dict(term.objective.hidden) for term in triple.terms[2:]] == [
        {"student": (1,)},
        {"student": (3,)},
    ]
    assert [part.rate for part in triple.parts.values()] == [2, 2]
    module = triple.parts["exit_3"].build(Sizes({"student": 8}, {"student": 4}, 11))
    assert module.down.weight.shape == (5, 8)
    assert not methods.get("ofa")(exits=(1,), exit_weight=0).triple().parts


def test_more_tokens_than_the_models_have_are_refused():
    few = SimpleNamespace(vocabulary=8)
    TopTokens(8).begin(few)
    with pytest.raises(InputError, match=r"^top_k=9: student and teacher share 8 tokens"):
        TopTokens(9).begin(few)
    with pytest.raises(InputError, match=r"^top_k=9: "):
        FIRST(top_k=9).prepare(few)
