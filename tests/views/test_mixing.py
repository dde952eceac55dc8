"""Mixed input embeddings: aligned at the response, on every view, and nothing at λ = 1."""

from dataclasses import replace

import pytest
import torch
from tiny_models import V, build

from kdbench.training.micro_batch import MicroBatch
from kdbench.views.mixing import partners
from kdbench.views.rollout import Batch, Mix, Rollout
from kdbench.views.view import ModelView

ROW = Rollout("a", (5, 6, 7), (8, 9, 10, 11), "dataset")
SHORT = Rollout("b", (12,), (13, 14), "dataset")
LONG = Rollout("c", (20, 21, 22, 23, 24), (25, 26, 27, 28, 29, 30), "dataset")


@pytest.mark.parametrize("family", ["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma2ForCausalLM"])
def test_a_share_of_1_is_the_plain_forward_pass_to_the_last_bit(family):
    model = build(family)
    view = ModelView(model, V)
    plain = view.read(Batch([ROW, SHORT]), (1,))
    mixed = view.read(Batch([replace(ROW, mix=Mix(LONG, 1.0)), SHORT]), (1,))
    assert torch.equal(plain[0], mixed[0])
    assert torch.equal(plain[1][1], mixed[1][1])
    half = view.states(Batch([replace(ROW, mix=Mix(LONG, 0.5)), SHORT]))
    assert not torch.allclose(half[:4], plain[0][:4], atol=1e-3)
    torch.testing.assert_close(half[4:], plain[0][4:])  # the other row is not mixed
    assert not model.get_input_embeddings()._forward_hooks


def test_the_mixture_is_that_of_the_embeddings_given_by_hand():
    model = build("LlamaForCausalLM")
    batch = Batch([replace(ROW, mix=Mix(LONG, 0.3))])
    own, its = (
        model.get_input_embeddings()(torch.tensor([ids]))
        for ids in (
            (5, 6, 7, 8, 9, 10),
            (22, 23, 24, 25, 26, 27),
        )
    )
    expected = model(inputs_embeds=0.3 * own + 0.7 * its).logits[0, 2:]
    view = ModelView(model, V)
    torch.testing.assert_close(view.logits(view.states(batch)), expected, atol=1e-5, rtol=1e-5)


def test_rows_are_aligned_where_their_responses_begin():
    batch = Batch([replace(ROW, mix=Mix(SHORT, 0.25)), replace(SHORT, mix=Mix(LONG, 0.5)), LONG])
    others, shares = partners(batch.inputs()[0], batch)
    assert others[0, :6].tolist() == [5, 6, 12, 13, 9, 10]  # own tokens where there is none
    assert shares[0, :6].tolist() == [1, 1, 0.25, 0.25, 1, 1]
    assert others[1, :2].tolist() == [24, 25]
    assert shares[1].tolist() == [0.5, 0.5] + [1] * 8
    assert (shares[2] == 1).all()


def test_a_view_with_its_own_prompt_mixes_both_rows_after_it():
    batch = Batch([replace(ROW, mix=Mix(LONG, 0.3))])
    model = build("LlamaForCausalLM")
    asked = ModelView(model, V, prompt=lambda row: (40, *row.prompt_ids))
    longer = [replace(row, prompt_ids=(40, *row.prompt_ids)) for row in (ROW, LONG)]
    same = Batch([replace(longer[0], mix=Mix(longer[1], 0.3))])
    assert torch.equal(asked.states(batch), ModelView(model, V).states(same))


def test_each_view_is_given_the_mixture_and_the_student_learns_through_it():
    models = {"student": build("LlamaForCausalLM"), "teacher": build("GPT2LMHeadModel")}
    views = {name: ModelView(model, V) for name, model in models.items()}
    micro = MicroBatch(Batch([replace(ROW, mix=Mix(LONG, 0.5))]), views)
    plain = MicroBatch(Batch([ROW]), views)
    for name in views:
        assert not torch.allclose(micro.states(name), plain.states(name), atol=1e-3)
    micro.states("student").sum().backward()
    gradient = models["student"].get_input_embeddings().weight.grad
    assert gradient[5].any()
    assert gradient[24].any()  # a token of the partner
    assert not gradient[29].any()  # after the end of the row
