"""A peer learns by its own terms, and no gradient crosses."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from small_context import EXAMPLES, outcome, tiny_context

from kdbench.divergence import forward_kl, reverse_kl
from kdbench.errors import InputError
from kdbench.training import CrossEntropy, Match, Peer, Rollout, Term, Triple
from kdbench.training.companions.peer import sum_gradients
from kdbench.training.loss import distillation_loss
from kdbench.views.rollout import Batch, of_dataset

BATCH = Batch([of_dataset(example) for example in EXAMPLES])
TOWARD_STUDENT = [Term(Match(forward_kl, view="student"))]


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(first, other):
    return all(torch.equal(ours, theirs) for ours, theirs in zip(first, other, strict=True))


def started(peer, made=None):
    made = made or tiny_context()
    made.context.views[peer.name] = peer.start(made.context)
    peer.begin(made.context)
    return made


def loss_of(made, name, terms):
    with torch.no_grad():
        return float(distillation_loss(terms, BATCH, made.context.views, learner=name).value)


def test_a_peer_learns_from_the_student_and_the_student_not_from_it() -> None:
    peer = Peer("friend", TOWARD_STUDENT, "teacher", validated=True)
    made = started(peer)
    student, teacher = weights(made.student), weights(made.teacher)
    before = loss_of(made, "friend", TOWARD_STUDENT)
    for number in range(1, 11):
        peer.after_step(outcome(number))
    assert loss_of(made, "friend", TOWARD_STUDENT) < before / 2
    assert same(weights(made.student), student)
    assert all(parameter.grad is None for parameter in made.student.parameters())
    assert same(weights(made.teacher), teacher)


def test_the_students_loss_gives_a_peer_no_gradient() -> None:
    peer = Peer("friend", TOWARD_STUDENT, "teacher", validated=True)
    made = started(peer)
    term = Term(Match(reverse_kl, view="friend"))
    distillation_loss([term], BATCH, made.context.views).value.backward()
    assert all(parameter.grad is None for parameter in peer.model().parameters())
    assert any(parameter.grad is not None for parameter in made.student.parameters())


def test_a_peer_rests_and_has_its_own_rate() -> None:
    peer = Peer("friend", TOWARD_STUDENT, every=2, rate=0.5, validated=True)
    peer.terms = [Term(CrossEntropy())]
    started(peer)
    before = weights(peer.model())
    peer.after_step(outcome(1))
    assert same(weights(peer.model()), before)
    peer.after_step(outcome(2))
    assert not same(weights(peer.model()), before)
    assert peer._optimizer.param_groups[0]["lr"] == 5e-3


def test_a_step_without_responses_changes_nothing() -> None:
    peer = Peer("friend", [Term(CrossEntropy())], validated=True)
    started(peer)
    before = weights(peer.model())
    peer.after_step(outcome(1, rollouts=[]))
    assert same(weights(peer.model()), before)


def test_a_peer_learns_from_what_it_is_told() -> None:
    """The responses of the step, or the data set's own to the same prompts."""
    sampled = [Rollout("a", (3, 4), (9, 9), "student", example=EXAMPLES[0])]
    step, dataset = (
        Peer("friend", [Term(CrossEntropy())], responses=kind, validated=True)
        for kind in ("step", "dataset")
    )
    outcomes = []
    for peer in (step, dataset):
        started(peer)
        peer.after_step(outcome(1, sampled))
        outcomes.append(weights(peer.model()))
    other = Peer("friend", [Term(CrossEntropy())], validated=True)
    started(other)
    other.after_step(outcome(1))
    assert same(outcomes[1], weights(other.model()))
    assert not same(outcomes[0], outcomes[1])


def gradients(rows, sum_over_processes):
    """Those of a peer's step, not clipped."""
    peer = Peer("friend", [Term(CrossEntropy())])
    made = tiny_context(sum_over_processes=sum_over_processes, max_grad_norm=1e9)
    started(peer, made)
    peer._optimizer.step = peer._optimizer.zero_grad = lambda: None
    peer.after_step(outcome(1, rows))
    return [parameter.grad for parameter in peer._model.parameters()]


def test_the_gradients_of_two_processes_add_up_to_those_of_one() -> None:
    rows = [of_dataset(example) for example in EXAMPLES]

    def first_sum_is_of_all_tokens(tensor):
        return torch.tensor([9, 9]) if tensor.dtype == torch.int64 else tensor

    alone = gradients(rows, torch.clone)
    first, second = (gradients(part, first_sum_is_of_all_tokens) for part in (rows[:1], rows[1:]))
    for whole, one, other in zip(alone, first, second, strict=True):
        torch.testing.assert_close(one + other, whole)


def test_a_process_without_a_gradient_takes_part_in_the_sum() -> None:
    one, two, never = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    one.grad = torch.ones(2)
    calls = []

    def total(tensor):
        calls.append(tensor)
        return torch.tensor([1, 1, 0]) if len(calls) == 1 else tensor + 3

    sum_gradients([one, two, never], total)
    assert one.grad.tolist() == [4, 4]
    assert two.grad.tolist() == [3, 3]
    assert never.grad is None


def test_a_peer_is_saved_and_restored(tmp_path: Path) -> None:
    peer = Peer("friend", TOWARD_STUDENT, "teacher", validated=True)
    other = deepcopy(peer)
    started(peer)
    started(other)
    peer.after_step(outcome(1))
    peer.save(tmp_path)
    other.restore(tmp_path)
    peer.after_step(outcome(2))
    other.after_step(outcome(2))
    assert same(weights(peer.model()), weights(other.model()))


def test_a_peer_may_be_the_teacher_itself() -> None:
    peer = Peer("teacher", TOWARD_STUDENT, "teacher", validated=True)
    triple = Triple(Match(forward_kl), companions=[peer])
    triple.check()
    assert triple.needs_teacher_model
    made = started(peer)
    assert peer.model() is made.teacher
    before = weights(made.teacher)
    peer.after_step(outcome(1))
    assert not same(weights(made.teacher), before)


def test_a_peer_without_terms_is_refused() -> None:
    with pytest.raises(InputError, match="'friend' has no terms"):
        Triple(Match(forward_kl), companions=[Peer("friend", [])]).check()
