"""MPDistil's second stage: the meta teacher, and the bandit over tasks."""

import pytest
import torch

from kdbench.methods import methods
from kdbench.testing import conformance_tests
from kdbench.training import Example, StepSignals, Term, Triple
from kdbench.training.bandit import FromTask, TaskBandit
from kdbench.training.source import keyed_uniform

CURRICULUM = methods.get("mpdistil")().stages()[1].triple
META, SURER = (term.objective for term in CURRICULUM.terms)


@conformance_tests(
    Triple([Term(META)], parts=CURRICULUM.parts),
    # Its head and projector see each other fixed, and the head has a row for each token.
    without=["the_gradient_is_the_derivative", "a_permuted_vocabulary_changes_nothing"],
)
def test_the_meta_teacher_conforms(check):
    check()


@conformance_tests(Triple([Term(SURER)]))
def test_the_curriculums_loss_conforms(check):
    check()


def rows(*tasks):
    return [
        Example(f"{task}-{n}", (1,), (2,), fields={"task": task}) for task in tasks for n in (0, 1)
    ]


class StepOfBandit:
    """What a source sees in a step."""

    process, processes, size = 0, 1, 2

    def __init__(self, step, bandit):
        self.step, self.schedule, self.examples = step, bandit.values(step / 1000), []

    def uniform(self, name):
        return keyed_uniform(3, self.step, name)


class OneProcess:
    """A run of one process."""

    student, valid, device = torch.nn.Linear(1, 1), rows("main"), "cpu"
    sum_over_processes = staticmethod(lambda tensor: tensor)

    def __init__(self):
        self.train, self.noted = rows("main", "other"), []

    def note(self, name, value):
        self.noted.append((name, value))


def played(steps, better, rate=1.0, restored_at=None):
    """A bandit whose reward is 1 for a task and 0 for another."""
    source = FromTask("task")

    def made():
        bandit = TaskBandit(
            source, "main", lambda *_: float(source.action == better), 0.0, 4, rate=rate
        )
        bandit.begin(OneProcess())
        return bandit

    bandit = made()
    source.begin(OneProcess())
    for step in range(steps):
        if step == restored_at:
            state = bandit.state()
            bandit = made()
            bandit.restore(state)
        learned = source.rollouts(StepOfBandit(step, bandit))
        assert {row.example.fields["task"] for row in learned} == {source.action}
        bandit.after_step(StepSignals(step + 1, (step + 1) / 1000, 0.0))
    return bandit.values(steps / 1000)


@pytest.mark.parametrize("better", ["main", "other"])
def test_the_policy_finds_the_better_of_two_tasks_in_200_steps(better):
    assert played(200, better)[f"policy/{better}"] > 0.9


def test_a_policy_with_rate_0_draws_all_tasks_alike():
    assert played(20, "main", rate=0)["policy/main"] == pytest.approx(0.5)


def test_a_restored_bandit_plays_on():
    assert played(30, "main", restored_at=10) == played(30, "main")


def test_the_student_learns_in_the_second_part_alone():
    bandit = CURRICULUM.schedule
    assert [bandit.values(0.29)[name] for name in ("first", "then")] == [1, 0]
    assert [bandit.values(0.31)[name] for name in ("first", "then")] == [0, 1]


def test_a_main_task_without_rows_is_refused():
    bandit = TaskBandit(FromTask("task"), "sort", lambda *_: 0.0)
    with pytest.raises(Exception, match="no training row has task=sort; there are main, other"):
        bandit.check(rows("main", "other"), rows("main"))
    bandit = TaskBandit(FromTask("task"), "other", lambda *_: 0.0)
    with pytest.raises(Exception, match="no validation row has task=other"):
        bandit.check(rows("main", "other"), rows("main"))
