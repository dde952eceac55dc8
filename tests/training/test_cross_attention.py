"""Attention between the positions of two models, against the formula of DSKD's code."""

import math
from types import SimpleNamespace

import pytest
import torch

from kdbench.methods.dskd import DSKD
from kdbench.training import Sizes
from tests.training.test_aligned import LETTERS, PAIRS, World, encode


@pytest.fixture
def parts():
    widths = {"student": 16, "teacher": 16}
    torch.manual_seed(3)
    made = DSKD(attention=True).triple().parts
    return {name: part.build(Sizes(widths, widths, 257)).double() for name, part in made.items()}


def expected(world, parts, text, temperature):
    """The loss of one response, as the code has it for a batch of one."""
    seen = {}
    for side, tokenizer in (("student", LETTERS), ("teacher", PAIRS)):
        model, first = world.views[side].bare, len(encode(tokenizer, "ba"))
        response = [*encode(tokenizer, text), tokenizer.eos_token_id]
        ids = torch.tensor([[*encode(tokenizer, "ba"), *response]])
        output = model(ids, output_hidden_states=True)
        table = model.get_input_embeddings().weight.detach()
        places, target = slice(first - 1, -1), ids[0, first:]
        seen[side] = SimpleNamespace(
            states=output.hidden_states[-1][0, places],
            logits=output.logits[0, places].float(),
            target=target,
            index=torch.cat([table[ids[0, places]], table[target]], -1),
            of_target=table[target],
            head=model.lm_head.weight.detach(),
        )
    student, teacher = seen["student"], seen["teacher"]
    scores = parts["query"](student.index) @ (teacher.index / teacher.index.std()).T
    scores = scores / math.sqrt(2 * teacher.states.shape[-1])
    value = teacher.states / teacher.states.std() + teacher.of_target / teacher.of_target.std()
    t2s = scores.softmax(-1) @ parts["to_student"](value.detach()) @ student.head.T
    s2t = scores.T.softmax(-1) @ parts["to_teacher"](student.states) @ teacher.head.T
    ce = torch.nn.functional.cross_entropy(t2s, student.target, reduction="sum")

    def kl(p, q):
        p, q = (p / temperature).log_softmax(-1), (q / temperature).log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)

    right = t2s.argmax(-1) == student.target
    to_student = (right * kl(t2s.detach(), student.logits)).sum()
    to_teacher = kl(teacher.logits.detach(), s2t).sum() * len(student.target) / len(teacher.target)
    return (ce + to_student + to_teacher) / len(student.target)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_loss_is_that_of_the_authors_code(parts, temperature):
    world = World(texts=["abcab"])
    term = DSKD(attention=True, kd_ratio=1, temperature=temperature).triple().terms[0]
    value = world.loss(term.objective, per="token", parts=parts)
    other = expected(world, parts, "abcab", temperature)
    assert float(value.detach()) == pytest.approx(float(other.detach()), abs=1e-5)
    head = world.student.bare.lm_head.weight
    leaves = [head, *(p for module in parts.values() for p in module.parameters())]
    pairs = zip(torch.autograd.grad(value, leaves), torch.autograd.grad(other, leaves), strict=True)
    for gradient, known in pairs:
        torch.testing.assert_close(gradient.double(), known.double(), atol=1e-5, rtol=1e-3)
