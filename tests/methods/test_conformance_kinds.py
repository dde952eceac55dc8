"""The conformance suite on objectives of every kind that a method may have, and its own teeth."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.divergence import forward_kl, reverse_kl, skew_kl
from kdbench.methods import methods
from kdbench.testing import cases_of, conformance_tests, facts
from kdbench.testing.table import TableView
from kdbench.training import (
    CrossEntropy,
    FromDataset,
    Frozen,
    Match,
    Objective,
    Part,
    Schedule,
    SequenceObjective,
    StepObjective,
    Term,
    Triple,
)
from kdbench.training.loss import amounts_of, distillation_loss
from kdbench.training.step import micro_batches
from kdbench.views.rollout import Batch, Rollout
from tests.methods.begun import begun
from tests.methods.by_design import CONTEXTS


@dataclass(frozen=True)
class Hidden(Objective):
    """A distance of layers, without logits, through a projector."""

    views = ()
    hidden = {"student": (1, -1), "teacher": (2,)}  # noqa: RUF012
    needs_logits = False
    floor = None
    scale: float = 0.5

    def token(self, chunk):
        theirs = chunk.hidden("teacher", 2)
        near = (chunk.parts["projector"](chunk.hidden("student", 1)) - theirs).square().mean(-1)
        return near + self.scale * chunk.hidden("student", -1).square().mean(-1)


@dataclass(frozen=True)
class Gated(Objective):
    """Two views mixed by a gate that sees the student's states."""

    views = ("teacher", "second")
    hidden = {"student": (-1,)}  # noqa: RUF012
    floor = None

    def token(self, chunk):
        gate = chunk.parts["gate"](chunk.hidden("student", -1)).sigmoid()[:, 0]
        first = forward_kl(chunk.log_p, chunk.log_q)
        return gate * first + (1 - gate) * reverse_kl(chunk.log_prob("second"), chunk.log_q)


@dataclass(frozen=True)
class Planned(Objective):
    """A weight that needs the whole response, a field and two views."""

    floor = None

    def plan(self, plan):
        gate = plan.entropy("teacher") + plan.log_prob("student")
        return {"gate": plan.field("label") * gate / plan.mask.sum(-1, keepdim=True)}

    def token(self, chunk):
        return chunk.plan["gate"] * forward_kl(chunk.log_p, chunk.log_q)


@dataclass(frozen=True)
class Preference(SequenceObjective):
    """DPO against the teacher as the reference."""

    floor = None
    beta: float = 0.3

    def sequence(self, rows):
        better, worse = rows.pairs()
        margin = rows.log_q - rows.log_prob("teacher")
        loss = -torch.nn.functional.logsigmoid(self.beta * (margin[better] - margin[worse]))
        return torch.zeros_like(margin).index_add(0, better, loss)


@dataclass(frozen=True)
class Regression(SequenceObjective):
    """A learned reward from log q(y), lengths, fields and recorded scalars."""

    views = ()
    floor = None

    def sequence(self, rows):
        inputs = torch.stack([rows.log_q, rows.lengths.to(rows.log_q.dtype)], -1)
        reward = torch.tensor(rows.field("label"), dtype=rows.log_q.dtype)
        guess = rows.parts["value"](inputs / 10)[:, 0] + rows.recorded("advantage").sum(-1)
        return (guess - reward).square()


@dataclass(frozen=True)
class Relations(StepObjective):
    """The distance of the states' means by row."""

    floor = None

    def step(self, whole):
        ours, theirs = whole.states("student"), whole.states("teacher")
        pairs = zip(ours.split(whole.batch.lengths), theirs.split(whole.batch.lengths), strict=True)
        weights = [row.weight for row in whole.batch.rollouts]
        rows = [(a.mean(0) - b.mean(0)).square().sum() for a, b in pairs]
        return sum(w * row for w, row in zip(weights, rows, strict=True))


class Moving(Schedule):
    """Two values."""

    def values(self, progress):
        return {"weight": 0.5 + progress, "skew": 0.25 + progress}


@dataclass(frozen=True)
class Skewed(Objective):
    """A divergence whose skew moves."""

    def token(self, chunk):
        return skew_kl(chunk.log_p, chunk.log_q, chunk.schedule["skew"])


class Pairs(FromDataset):
    origins = ("chosen", "rejected")


def linear(out):
    return lambda sizes: torch.nn.Linear(sizes.widths["student"], out or sizes.widths["teacher"])


PROJECTOR = {"projector": Part(linear(None))}
LABEL = {"label": lambda row: row % 3 + 0.5}
NO_MODELS = ["a_longer_row_does_not_change_a_rows_share"]  # a loss of rows together


@conformance_tests(
    Triple([Term(Hidden())], parts=PROJECTOR),
    Triple([Term(Hidden(), 0.5), Term(Match(forward_kl))], parts=PROJECTOR),
    Triple(
        [Term(Gated(), per="sequence")],
        parts={"gate": Part(linear(1))},
        companions=[Frozen("second")],
    ),
    Triple([Term(Skewed(), "weight", per="group")], schedule=Moving()),
    Triple([Term(CrossEntropy(), "weight", per="sequence")], schedule=Moving()),
    Triple(Match(reverse_kl, view="second"), companions=[Frozen("second")]),
)
def test_objectives_of_tokens(check):
    check()


@conformance_tests(
    Triple(Planned()), fields=LABEL, without=["the_gradient_is_the_derivative"]
)  # the plan is detached
def test_an_objective_with_a_plan(check):
    check()


@conformance_tests(
    Triple([Term(Preference(), per="group")], Pairs()),
    Triple([Term(Preference(), 2.0, on=("chosen", "rejected"), per="group")], Pairs()),
)
def test_losses_of_pairs(check):
    check()


@conformance_tests(
    Triple(
        [Term(Regression(), per="sequence")],
        parts={"value": Part(lambda sizes: torch.nn.Linear(2, 1))},
    ),
    fields=LABEL,
)
def test_losses_of_whole_responses(check):
    check()


@conformance_tests(Triple([Term(Relations(), per="sequence")]))
def test_losses_of_a_micro_batch(check):
    check()


@pytest.mark.parametrize("name", methods.names())
def test_every_method_takes_pretraining_texts_in_the_same_micro_batch(name):
    triple = begun(name, methods.get(name)().triple()).with_pretraining([(1, 2, 3)], 0.7)
    text = Rollout("text-0", (1,), (2, 3), "pretraining")
    (case, *_) = cases_of(triple, name)
    for term in triple.terms:
        if name in CONTEXTS:
            term.objective.begin(CONTEXTS[name])
    responses = [row for row in case.rollouts() if row.origin != "pretraining"]
    rows = [*responses, text]
    views = {
        view: TableView(rows, seed, 2, torch.float64)
        for seed, view in enumerate(("student", *sorted(triple.views)))
    }
    counts, parts = amounts_of(triple.terms, rows), case.parts()
    schedule = triple.schedule.values(0.0)

    def value(some):
        return distillation_loss(
            triple.terms, Batch(some), views, counts, schedule, parts=parts
        ).value

    if name != "mst":  # whose balance is that of the responses of a micro-batch
        torch.testing.assert_close(value(rows), value(responses) + value([text]))
    log_q = views["student"].logits(views["student"].states(Batch([text]))).log_softmax(-1)
    torch.testing.assert_close(value([text]), -0.7 * (log_q[0, 2] + log_q[1, 3]) / 2)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.tuples(st.sampled_from("abcd-"), st.integers(1, 9)), max_size=12),
    size=st.integers(1, 5),
)
def test_a_group_is_never_split(groups, size):
    rows = [
        Rollout(str(n), (0,), (1,) * length, "student", group=None if name == "-" else name)
        for n, (name, length) in enumerate(groups)
    ]
    batches = micro_batches(rows, size)
    assert sorted(row.id for batch in batches for row in batch) == sorted(row.id for row in rows)
    for name in "abcd":
        assert sum(any(row.group == name for row in batch) for batch in batches) <= 1
    for batch in batches:
        assert len(batch) <= size or len({row.group for row in batch}) == 1


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=2, max_size=7),
    size=st.integers(1, 4),
    per=st.sampled_from(["token", "sequence"]),
)
def test_micro_batches_add_up_to_the_whole_step_however_they_are_split(lengths, size, per):
    (case,) = cases_of(Triple([Term(CrossEntropy(), per=per)]), "split")
    rows, views = case.rollouts(lengths), case.views(case.rollouts(lengths))
    amounts = amounts_of([case.term], rows)
    whole = case.loss(rows, views, {}).value
    cut = sum(case.loss(some, views, {}, amounts).value for some in micro_batches(rows, size))
    torch.testing.assert_close(cut, whole)


# Each fact is seen to fail on an objective that breaks it.


@dataclass(frozen=True)
class Broken(Objective):
    """Cross-entropy with a fault."""

    views = ()
    floor = None
    kind: str = ""
    unused: float = 1.0

    def token(self, chunk):  # noqa: PLR0911
        loss = -chunk.of_target(chunk.log_q)
        if self.kind == "mean":
            return loss - loss.mean()
        if self.kind == "first token":
            return loss * (chunk.targets < 6)
        if self.kind == "logits":
            return -chunk.of_target(chunk.logits)
        if self.kind == "infinite":
            return chunk.logits.exp().sum(-1)
        if self.kind == "detached":
            return loss * loss.detach()
        if self.kind == "branch":
            return loss if bool(loss.detach().sum() > 0) else -loss
        return loss


@pytest.mark.parametrize(
    ("kind", "fact"),
    [
        ("mean", facts.chunks_do_not_change_loss_and_gradient),
        ("mean", facts.micro_batches_add_up_to_the_step),
        ("mean", facts.loss_and_gradient_equal_plain_autograd),
        ("first token", facts.a_permuted_vocabulary_changes_nothing),
        ("logits", facts.a_constant_added_to_the_logits_changes_nothing),
        ("infinite", facts.extreme_logits_give_a_finite_loss_and_gradient),
        ("detached", facts.the_gradient_is_the_derivative),
        ("branch", facts.the_compiled_loss_is_equal_and_is_compiled_once),
        ("", facts.every_number_of_the_objective_reaches_the_loss),
        ("", facts.every_part_gets_a_gradient),
    ],
)
def test_a_broken_objective_is_seen(kind, fact):
    triple = Triple([Term(Broken(kind))], parts={"idle": Part(lambda _: torch.nn.Linear(1, 1))})
    (case,) = cases_of(triple, "broken")
    with pytest.raises(AssertionError):
        fact(case)


def test_a_fact_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="chunks_do_not_change_loss_and_gradient"):
        conformance_tests(Triple(CrossEntropy()), without=["chunks"])
