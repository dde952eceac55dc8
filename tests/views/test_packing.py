"""Texts that share a row of a forward pass have the losses and gradients that they have alone."""

import pytest
import torch
from small_context import V, tiny_llama
from transformers import GPT2Config, GPT2LMHeadModel

from kdbench.errors import InputError
from kdbench.training import CrossEntropy, Match, Term
from kdbench.training.loss import distillation_loss
from kdbench.training.sources.packed import FromPacked, windows
from kdbench.views.packing import can_pack, packed_inputs
from kdbench.views.rollout import Batch, Rollout
from kdbench.views.view import ModelView

LENGTHS = (5, 2, 7, 1, 3)


def gpt2():
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=V, n_embd=8, n_layer=2, n_head=2, n_positions=32)
    return GPT2LMHeadModel(config).eval()


def rows(packed: bool) -> list[Rollout]:
    draw = torch.Generator().manual_seed(1)
    found = []
    for number, length in enumerate(LENGTHS):
        first, *rest = torch.randint(V, (length + 1,), generator=draw).tolist()
        group = f"window {number % 2}"
        found.append(
            Rollout(str(number), (first,), tuple(rest), "dataset", group=group, packed=packed)
        )
    return found


@pytest.mark.parametrize("make", [lambda: tiny_llama(1), gpt2])
def test_loss_and_gradients_are_those_of_each_text_alone(make) -> None:
    results = []
    for packed in (True, False):
        student = make()
        views = {"student": ModelView(student, V), "teacher": ModelView(tiny_llama(2), V)}
        terms = [Term(CrossEntropy(), 0.1), Term(Match(), 0.9)]
        loss = distillation_loss(terms, Batch(rows(packed)), views).value
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in student.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_a_text_does_not_see_the_one_before_it() -> None:
    view, changed = ModelView(tiny_llama(1), V), rows(packed=True)
    before = view.states(Batch(changed))
    first = changed[0]
    changed[0] = Rollout(
        "0",
        (first.prompt_ids[0] ^ 1,),
        first.response_ids,
        "dataset",
        group=first.group,
        packed=True,
    )
    after = view.states(Batch(changed))
    assert not torch.allclose(before[:5], after[:5])
    torch.testing.assert_close(before[5:], after[5:])


def test_the_rows_are_the_windows() -> None:
    inputs = packed_inputs(Batch(rows(packed=True)))
    assert inputs is not None
    assert inputs.ids.shape == (2, 15)  # texts of 5, 7 and 3 tokens, and of 2 and 1
    assert inputs.positions[0].tolist() == [*range(5), *range(7), *range(3)]
    assert inputs.positions[1].tolist() == [0, 1, 0, *range(12)]
    assert packed_inputs(Batch(rows(packed=False))) is None


def test_windows_have_room_for_what_is_in_them() -> None:
    found = windows(rows(packed=False), 8)
    lengths = [[len(row.response_ids) for row in window] for window in found]
    assert lengths == [[7, 1], [5, 3], [2]]
    assert [len(window) for window in windows(rows(packed=False), 3)] == [1, 1, 1, 2]


def test_a_model_that_cannot_pack_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_llama(1)
    assert can_pack(model, V)
    forward = model.forward
    monkeypatch.setattr(
        model, "forward", lambda **given: forward(**{**given, "position_ids": None})
    )
    assert not can_pack(model, V)

    class Given:
        student, teacher, vocabulary = model, None, V

    with pytest.raises(InputError, match="window_tokens=0"):
        FromPacked(window=16).begin(Given())  # type: ignore[arg-type]
    FromPacked(window=0).begin(Given())  # type: ignore[arg-type]
