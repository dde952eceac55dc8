"""Federated rounds: who sees which text, and when."""

from types import SimpleNamespace

import pytest
import torch

from kdbench.errors import InputError
from kdbench.methods import methods
from kdbench.methods.edgefd import Familiar
from kdbench.training import Example
from kdbench.training.chunk import TopK
from kdbench.training.federated import FusionRule, dense, federation
from kdbench.training.source import keyed_uniform

VOCABULARY = 7
SHARDS = ("alps", "bees", "cats")


def rows(shards=SHARDS, public=6):
    own = [Example(f"{s}-{n}", (1,), (2, 3), fields={"shard": s}) for s in shards for n in range(5)]
    shared = [
        Example(f"public-{n}", (1,), (4, 5), fields={"shard": "public"}) for n in range(public)
    ]
    return own + shared


class Watched:
    """A client's model, which remembers the rows that it was asked about."""

    def __init__(self, number):
        self.number, self.seen = number, set()

    def states(self, batch):
        self.seen |= {rollout.id for rollout in batch.rollouts}
        return torch.full((len(batch.targets), 4), float(self.number))

    def logits(self, states):
        return torch.eye(VOCABULARY)[states[:, 0].long()] * 3


class StepOf:
    process, processes, size, examples = 0, 1, 2, ()

    def __init__(self, step):
        self.step, self.notes = step, {}

    def uniform(self, name):
        return keyed_uniform(1, self.step, name)

    def note(self, name, value):
        self.notes[name] = value


class Average(FusionRule):
    def weights(self, answers):
        clients, texts = len(answers.tokens), answers.familiar.shape[-1]
        return torch.full((clients, clients, texts), 1 / clients)


def started(rule=None, clients=3, train=None):
    """A source of rounds of 2 + 2 steps, and its clients."""
    triple = federation(rule or Average(), "shard", clients, 2, 2, 4)
    triple.check()
    views = [Watched(number) for number in range(clients)]
    context = SimpleNamespace(
        train=train or rows(SHARDS[:clients]),
        gradients=SimpleNamespace(student=views[0]),
        views={f"client-{n}": view for n, view in enumerate(views)},
        student=torch.nn.Linear(1, 1),
        vocabulary=VOCABULARY,
        micro_batch_size=4,
        device="cpu",
    )
    triple.source.check(context.train)
    triple.source.begin(context)
    return triple, views


@pytest.mark.parametrize("rule", [Average(), Familiar()])
def test_no_text_of_a_client_leaves_its_shard(rule):
    triple, views = started(rule)
    for step in range(8):
        triple.source.rollouts(StepOf(step))
        for client, shard in enumerate(SHARDS):
            place = shard if step % 4 < 2 else "public"
            learned = {rollout.id for rollout in triple.source.drawn[client]}
            assert all(name.startswith(place) for name in learned)
    for view, shard in zip(views, SHARDS, strict=True):
        assert view.seen
        assert all(name.startswith((shard, "public")) for name in view.seen)


def test_what_others_are_told_does_not_depend_on_the_text_of_a_shard_but_by_its_model():
    told = []
    for poison in (2, 6):
        train = rows()
        changed = [
            Example(r.id, r.prompt_ids, (poison, 3), fields=r.fields) if "cats" in r.id else r
            for r in train
        ]
        triple, _ = started(Familiar(), train=changed)
        for step in range(3):
            triple.source.rollouts(StepOf(step))
        told.append([one.state() for one in triple.companions[:3]])
    torch.testing.assert_close(told[0], told[1])


def test_targets_are_those_of_the_rule_and_of_the_round():
    triple, _ = started()
    draw = StepOf(2)
    (rollout, *_) = triple.source.rollouts(draw)
    assert rollout.origin == "public"
    label = triple.companions[0].labels[rollout.id]
    # Each of three clients has logits of 3 for a token of its own.
    likely = torch.tensor([3.0, 0, 0, 0, 0, 0, 0]).softmax(-1)
    expected = float(likely[0] + 2 * likely[1]) / 3
    assert sorted(label.ids[0, :3].tolist()) == [0, 1, 2]
    assert label.log_p[0, :3].exp().tolist() == pytest.approx([expected] * 3, abs=1e-6)
    assert draw.notes["federated/own_weight"] == pytest.approx(1 / 3)


def test_a_resumed_round_goes_on_with_its_public_rows():
    triple, _ = started()
    for step in range(3):
        triple.source.rollouts(StepOf(step))
    expected = triple.source.rollouts(StepOf(3))
    other, _ = started()
    other.source.restore(triple.source.state())
    for one, kept in zip(other.companions, triple.companions[:3], strict=False):
        one.restore_state(kept.state())
    assert other.source.rollouts(StepOf(3)) == expected
    assert expected


def test_one_client_has_local_steps_alone():
    triple, (view,) = started(clients=1)
    for step in range(6):
        learned = triple.source.rollouts(StepOf(step))
        assert {rollout.origin for rollout in learned} == {"dataset"}
        assert all(rollout.id.startswith("alps") for rollout in learned)
    assert not view.seen


def test_texts_that_nobody_knows_are_left_out():
    class Nobody(FusionRule):
        def weights(self, answers):
            return torch.zeros(3, 3, answers.familiar.shape[-1])

    triple, _ = started(Nobody())
    assert triple.source.rollouts(StepOf(2)) == []


def test_unsent_tokens_share_the_rest():
    p = torch.tensor([[0.5, 0.3, 0.1, 0.06, 0.04]]).double()
    kept = dense(TopK.of(p.log(), 2), 5).exp()[0]
    assert kept.tolist() == pytest.approx([0.5, 0.3, 0.2 / 3, 0.2 / 3, 0.2 / 3])
    torch.testing.assert_close(dense(TopK.of(p.log(), 5), 5).exp(), p)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (rows(SHARDS[:2]), r"clients=3: .* has 2 values besides 'public' \(alps, bees\)"),
        (rows(public=0), "no training row has shard=public"),
        ([Example("r", (1,), (2,))], "row 'r' has no field 'shard'"),
    ],
)
def test_other_shards_than_clients_are_refused(given, message):
    source = federation(Average(), "shard", 3, 2, 2, 4).source
    with pytest.raises(InputError, match=message):
        source.check(given)


def test_a_shard_without_validation_rows_is_refused():
    schedule = methods.get("knfu")(clients=3).triple().schedule
    with pytest.raises(InputError, match="no validation row has shard=cats"):
        schedule.check(rows(), rows(SHARDS[:2]))
