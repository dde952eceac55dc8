"""Properties of every method's objective: chunks, masks, padding and extreme values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdbench.methods import methods
from kdbench.training import Batch, Chunk, Objective, Rollout, StepObjective, Term
from kdbench.training.loss import amounts_of, distillation_loss
from kdbench.views.rollout import Origin
from kdbench.views.view import ModelView, UniformView

VOCABULARY, WIDTH = 11, 7
VIEWS = ("teacher", "classmate")
ALL = ("dataset", "student", "teacher")

VARIANTS = [
    ("abkd", {"alpha": 0, "beta": 1}),
    *[("abkd", {"alpha": a, "beta": b}) for a, b in ((0.5, 0), (0, 0.5), (0.5, -0.5), (0, 0))],
    ("akl", {"head_mass": 0.8}),
    ("akl", {"boundary": "head"}),
    ("classmate", {"plausibility": 0}),
    ("classmate", {"divergence": "jsd"}),
    ("classmate", {"divergence": "reverse_kl"}),
    ("classmate", {"form": "subtract"}),
    ("classmate", {"form": "subtract", "strength": 1.0, "clamp": 0.5}),
    *[("classmate", {"classmate": kind}) for kind in ("frozen", "ema", "teacher", "uniform")],
    ("distillm", {"direction": "forward"}),
    ("distillm", {"skew": 0}),
    ("gkd", {"teacher_weight": 0}),
    ("gkd", {"teacher_weight": 0.1}),
    ("gkd", {"teacher_weight": 1}),
    ("kd", {"temperature": 2}),
    ("kd", {"kd_ratio": 1}),
    ("minillm", {"clip": 0.05}),
    ("minillm", {"single_step": 0}),
    ("rkl", {"student_fraction": 1}),
    ("seqkd", {"kd_ratio": 0.5}),
    ("taid", {"start": 0}),
    ("taid", {"start": 1}),
]


@dataclass(frozen=True)
class Case:
    """A term of a method with its views and schedule."""

    name: str
    term: Term
    schedule: Mapping[str, float]
    uniform: bool = False
    same: bool = False

    @property
    def objective(self) -> Objective:
        return self.term.objective

    @property
    def learns(self) -> bool:
        return self.schedule != {"teacher_weight": 0}  # where the target is the student itself

    @property
    def origins(self) -> tuple[Origin, ...]:
        return self.term.on or ALL


def cases_of(name, options):
    triple = methods.get(name)(**options).triple()
    written = ",".join(f"{key}={value}" for key, value in options.items())
    kind = next((getattr(companion, "kind", None) for companion in triple.companions), None)
    return [
        Case(
            f"{name}({written})-{number}",
            term,
            triple.schedule.values(0.0),
            uniform=kind == "uniform",
            same=kind == "teacher",
        )
        for number, term in enumerate(triple.terms)
    ]


CASES = [
    case
    for name, options in [*((name, {}) for name in methods.names()), *VARIANTS]
    for case in cases_of(name, options)
]
# Part of these losses is detached on purpose (the reward of `opd`, the student's part of `taid`'s
# target, the weights of `akl`), so their gradients are not the derivatives of their values.
DETACHED = (
    "cross_entropy(interpolated)",
    "sampled_reverse_kl",
    "forward_kl(interpolated)",
    "adaptive_kl",
)


def over(kept=lambda case: True):
    """The terms of all methods to which a test applies."""
    cases = [case for case in CASES if kept(case)]
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


every = over()


class Table:
    """A view of given states per rollout, and a linear head."""

    def __init__(self, states, head=None):
        self.by_id, self.head = states, head

    def states(self, batch):
        return torch.cat([self.by_id[rollout.id] for rollout in batch.rollouts])

    def logits(self, states):
        return states if self.head is None else states @ self.head

    @property
    def head_parameters(self):
        return [] if self.head is None else [self.head]

    @property
    def raw(self):
        return self.logits

    @property
    def finish(self):
        return lambda logits: logits

    @property
    def leaves(self):
        return [*self.by_id.values(), *self.head_parameters]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def rollouts(origins=ALL, lengths=(4, 1, 6, 3), seed=0, prompt=3):
    """Responses with the given origins in turn, with the scalars that MiniLLM records."""
    draw = generator(seed)
    rollouts = []
    for number, length in enumerate(lengths):
        tokens = torch.randint(0, VOCABULARY, (prompt + length,), generator=draw).tolist()
        advantage = torch.randn(length, generator=draw).tolist()
        # A sampled token has a probability that can be sampled.
        sampled = (-3 * torch.rand(length, generator=draw) - 1).tolist()
        rollout = Rollout(
            f"row-{number}",
            tuple(tokens[:prompt]),
            tuple(tokens[prompt:]),
            origins[number % len(origins)],
        )
        rollouts.append(rollout.with_recorded(advantage=advantage, log_sampled=sampled))
    return rollouts


def table(seed, responses, dtype=torch.float64):
    draw = generator(seed)
    states = {
        rollout.id: torch.randn(len(rollout.response_ids), WIDTH, generator=draw, dtype=dtype)
        for rollout in responses
    }
    head = torch.randn(WIDTH, VOCABULARY, generator=draw, dtype=dtype)
    view = Table(states, head)
    for leaf in view.leaves:
        leaf.requires_grad_()
    return view


def with_classmate(case, views):
    """The control kinds of a classmate have their own views."""
    if case.uniform:
        views["classmate"] = UniformView(VOCABULARY)
    if case.same:
        views["classmate"] = views["teacher"]
    return views


def tables(responses, case=None):
    views = {name: table(seed, responses) for seed, name in enumerate(("student", *VIEWS), start=1)}
    return with_classmate(case, views) if case else views


def loss_of(case, responses, views, amounts=None, **options):
    return distillation_loss(
        [case.term], Batch(responses), views, amounts, case.schedule, **options
    )


def gradients_of(value, view):
    return torch.autograd.grad(value, view.leaves, materialize_grads=True)


def assert_all_close(actual, expected, atol=1e-12):
    for value, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(value, other, atol=atol, rtol=1e-9)


@every
def test_chunks_do_not_change_loss_and_gradient(case):
    responses = rollouts(case.origins)
    views = tables(responses, case)
    whole = loss_of(case, responses, views, chunk=1000)
    gradients = gradients_of(whole.value, views["student"])
    assert torch.isfinite(whole.value)
    assert any(bool(g.any()) for g in gradients) or not case.learns
    for chunk in (1, 5, None):
        parts = loss_of(case, responses, views, chunk=chunk)
        assert_all_close([parts.value], [whole.value])
        assert_all_close(gradients_of(parts.value, views["student"]), gradients)


@every
def test_chunks_do_not_change_the_diagnostics(case):
    responses = rollouts(case.origins)
    views = tables(responses, case)
    whole = loss_of(case, responses, views, chunk=1000, diagnose=True).diagnostics
    parts = loss_of(case, responses, views, chunk=3, diagnose=True).diagnostics
    assert parts.keys() == whole.keys()
    for name, (total, count) in whole.items():
        assert torch.isfinite(total)
        assert count == sum(len(rollout.response_ids) for rollout in responses)
        assert parts[name][1] == count
        torch.testing.assert_close(parts[name][0], total)


@every
def test_micro_batches_add_up_to_the_whole_step_however_they_are_split(case):
    responses = rollouts(case.origins)
    views = tables(responses, case)
    counts = amounts_of([case.term], responses)
    whole = loss_of(case, responses, views, counts)
    gradients = gradients_of(whole.value, views["student"])
    for cuts in ((1, 4), (2, 4), (3, 4), (1, 2, 3, 4)):
        starts = (0, *cuts[:-1])
        losses = [
            loss_of(case, responses[start:cut], views, counts).value
            for start, cut in zip(starts, cuts, strict=True)
        ]
        assert_all_close([sum(losses)], [whole.value])
        assert_all_close(gradients_of(sum(losses), views["student"]), gradients)


@every
def test_the_loss_is_the_weighted_mean_over_the_terms_tokens(case):
    responses = rollouts(case.origins)
    views = tables(responses, case)
    loss = loss_of(case, responses, views)
    (count,) = amounts_of([case.term], responses)
    # With twice as many tokens elsewhere in the step, the share is a third.
    third = loss_of(case, responses, views, [3 * count])
    assert_all_close([3 * third.value], [loss.value])
    (total,) = loss.terms.values()
    mean = case.term.weight * total / count
    assert_all_close([loss.value.detach()], [mean])


@over(lambda case: case.term.on)
def test_responses_of_other_origins_do_not_count(case):
    responses = rollouts(case.origins)
    other = replace(responses[-1], origin="pretraining")
    views = tables(responses, case)
    alone = loss_of(case, responses[:-1], views)
    with_other = loss_of(case, [*responses[:-1], other], views)
    assert_all_close([with_other.value], [alone.value])
    only_other = loss_of(case, [other], views, amounts_of([case.term], responses))
    assert float(only_other.value.detach()) == 0
    assert all(float(g.abs().sum()) == 0 for g in gradients_of(only_other.value, views["student"]))


@every
def test_no_gradient_flows_into_a_view(case):
    responses = rollouts(case.origins)
    views = tables(responses, case)
    loss_of(case, responses, views).value.backward()
    assert all(leaf.grad is not None for leaf in views["student"].leaves)
    for name in VIEWS:
        if isinstance(views[name], Table):
            assert all(leaf.grad is None for leaf in views[name].leaves)


@every
@pytest.mark.parametrize("kind", ["ties", "spread"])
def test_extreme_logits_give_a_finite_loss_and_gradient(case, kind):
    responses = rollouts(case.origins, lengths=(40, 40))

    def extreme(seed):
        draw = generator(seed)
        shape = (40, VOCABULARY)
        signs = torch.randint(-1, 2, shape, generator=draw).float()
        spread = 1e4 * (2 * torch.rand(shape, generator=draw) - 1)
        values = 1e4 * signs if kind == "ties" else spread
        return Table({response.id: values.clone().requires_grad_() for response in responses})

    views = {name: extreme(seed) for seed, name in enumerate(("student", *VIEWS), start=1)}
    loss = loss_of(case, responses, with_classmate(case, views), diagnose=True)
    assert torch.isfinite(loss.value)
    assert loss.value.dtype == torch.float32
    assert all(torch.isfinite(g).all() for g in gradients_of(loss.value, views["student"]))
    assert all(torch.isfinite(total) for total, _ in loss.diagnostics.values())


@over(lambda case: case.objective.floor is not None)
def test_a_student_equal_to_the_teacher_has_the_lowest_loss(case):
    responses = rollouts(case.origins)
    views = tables(responses, case)
    views["teacher"] = views["student"]
    loss = loss_of(case, responses, views)
    assert float(loss.value.detach()) == pytest.approx(case.objective.floor, abs=1e-12)
    for gradient in gradients_of(loss.value, views["student"]):
        assert float(gradient.abs().max()) < 1e-10


@over(lambda case: not str(case.objective).startswith(DETACHED))
def test_the_gradient_is_the_derivative(case):
    responses = rollouts(case.origins, lengths=(3,))
    draw = generator(5)
    logits = {
        name: torch.randn(3, VOCABULARY, generator=draw, dtype=torch.float64)
        for name in ("student", *VIEWS)
    }
    views = {name: logits[name] for name in VIEWS}
    recorded = Batch(responses).recorded()

    def token(student):
        chunk = Chunk(student, views, Batch(responses).targets, recorded, case.schedule)
        return case.objective.token(chunk)

    student = logits["student"].requires_grad_()
    assert token(student).shape == (3,)
    assert torch.autograd.gradcheck(token, (student,))


# Through a transformers model


def llama(seed, vocabulary=VOCABULARY):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def models():
    return {name: llama(seed) for seed, name in enumerate(("student", *VIEWS), start=1)}


def model_views(case, models):
    views = {name: ModelView(model, VOCABULARY) for name, model in models.items()}
    return with_classmate(case, views)


class PaddedBatch(Batch):
    """The same batch with more padding, filled with different tokens."""

    def inputs(self, prompt=None):
        ids, rows, columns = super().inputs(prompt)
        lengths = [
            len(rollout.prompt_ids) + len(rollout.response_ids) - 1 for rollout in self.rollouts
        ]
        padded = torch.full((len(ids), ids.shape[1] + 5), VOCABULARY - 1)
        for row, length in enumerate(lengths):
            padded[row, :length] = ids[row, :length]
        return padded, rows, columns


@every
def test_no_gradient_leaves_the_response_positions(case, models):
    responses = rollouts(case.origins)
    views = model_views(case, models)
    seen = []

    def keep(_, __, output):
        output[0].retain_grad()
        seen.append(output[0])

    handle = models["student"].model.register_forward_hook(keep)
    try:
        loss_of(case, responses, views, chunk=3).value.backward()
    finally:
        handle.remove()
        models["student"].zero_grad()
    (states,) = seen
    inside = torch.zeros(states.shape[:2], dtype=torch.bool)
    for row, rollout in enumerate(responses):
        first = len(rollout.prompt_ids) - 1  # where the first response token is predicted
        inside[row, first : first + len(rollout.response_ids)] = True
    assert (~inside).any()
    assert float(states.grad[~inside].abs().sum()) == 0
    assert states.grad[inside].any() or not case.learns
    assert torch.isfinite(states.grad).all()


@every
def test_content_and_length_of_padding_do_not_matter(case, models):
    responses = rollouts(case.origins)
    views = model_views(case, models)
    counts = amounts_of([case.term], responses)
    plain, padded = [
        distillation_loss([case.term], kind(responses), views, counts, case.schedule)
        for kind in (Batch, PaddedBatch)
    ]
    torch.testing.assert_close(padded.value, plain.value, atol=1e-5, rtol=1e-5)


@every
def test_a_longer_row_in_the_batch_does_not_change_a_rows_share(case, models):
    responses = rollouts(case.origins, lengths=(3, 20))
    responses = [replace(response, origin=responses[0].origin) for response in responses]
    views = model_views(case, models)
    counts = amounts_of([case.term], responses)
    short, long, both = [
        loss_of(case, micro_batch, views, counts).value.detach()
        for micro_batch in (responses[:1], responses[1:], responses)
    ]
    torch.testing.assert_close(short + long, both, atol=1e-5, rtol=1e-5)


class Planned(Objective):
    """A loss that needs scalars of the whole batch before its chunks."""

    def __init__(self, view):
        self.view = view

    def plan(self, plan):
        return {"gate": plan.entropy(self.view) + plan.log_prob(self.view)}

    def token(self, chunk):
        return -chunk.plan["gate"] * chunk.of_target(chunk.log_q)

    def __str__(self):
        return "planned"


@pytest.mark.parametrize("view", ["student", "teacher"])
@pytest.mark.parametrize("chunk", [None, 1, 5])
def test_an_objective_with_a_plan_trains_the_whole_model(view, chunk):
    case = Case("planned", Term(Planned(view)), {})
    responses = rollouts(case.origins)
    views = tables(responses, case)
    loss = loss_of(case, responses, views, chunk=chunk)
    batch = Batch(responses)
    log_p = views[view].logits(views[view].states(batch)).log_softmax(-1).detach()
    gate = -(log_p.exp() * log_p).sum(-1) + log_p.gather(-1, batch.targets[:, None])[:, 0]
    log_q = views["student"].logits(views["student"].states(batch)).log_softmax(-1)
    expected = -(gate * log_q.gather(-1, batch.targets[:, None])[:, 0]).mean()
    assert_all_close([loss.value], [expected])
    assert_all_close(
        gradients_of(loss.value, views["student"]), gradients_of(expected, views["student"])
    )


@pytest.mark.parametrize("name", methods.names())
def test_every_method_takes_pretraining_texts_in_the_same_micro_batch(name):
    triple = methods.get(name)().triple().with_pretraining([(1, 2, 3)], 0.7)
    responses = rollouts(("dataset", "student"))
    text = Rollout("text-0", (1,), (2, 3), "pretraining")
    views = tables([*responses, text])
    counts = amounts_of(triple.terms, [*responses, text])

    def value(micro_batch):
        schedule = triple.schedule.values(0.0)
        return distillation_loss(triple.terms, Batch(micro_batch), views, counts, schedule).value

    together, apart = value([*responses, text]), value(responses) + value([text])
    assert_all_close([together], [apart])
    assert_all_close(
        gradients_of(together, views["student"]), gradients_of(apart, views["student"])
    )
    log_q = views["student"].logits(views["student"].by_id["text-0"]).log_softmax(-1)
    assert_all_close([value([text])], [-0.7 * (log_q[0, 2] + log_q[1, 3]) / 2])


class Counting(StepObjective):
    """A value of one per token."""

    def step(self, whole):
        return whole.states("student").sum() * 0 + len(whole.batch.targets)


def test_a_step_objective_receives_the_responses_it_applies_to():
    responses = rollouts(("student", "student", "pretraining"), lengths=(4, 2, 5))
    views = tables(responses)
    for on, mean in ((("student",), 1.0), ((), 1.0)):
        term = Term(Counting(), on=on)
        loss = distillation_loss([term], Batch(responses), views)
        assert float(loss.value.detach()) == pytest.approx(mean)
