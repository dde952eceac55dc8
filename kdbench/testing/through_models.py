"""What holds for every objective on the states of a model: masks and padding."""

from dataclasses import replace
from functools import cache
from typing import Any

import torch

from kdbench.testing.case import Case
from kdbench.testing.table import VOCABULARY, WIDTH
from kdbench.training import Batch, Classmate
from kdbench.training.loss import amounts_of, distillation_loss
from kdbench.views.view import ModelView, UniformView, View

_PAD = 0  # ends responses as well, as with tokenizers whose padding is the end token


def no_gradient_leaves_the_response_positions(case: Case) -> None:
    """The states of prompts and of padding are not learned from; an end that is padding is."""
    rows = [replace(row, response_ids=(*row.response_ids[:-1], _PAD)) for row in case.rollouts()]
    views = _views(case)
    student = views["student"].bare  # type: ignore[attr-defined]
    seen: list[torch.Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        output[0].retain_grad()
        seen.append(output[0])

    handle = student.model.register_forward_hook(keep)
    try:
        case.loss(rows, views, case.parts(torch.float32), chunk=3).value.backward()
    finally:
        handle.remove()
        student.zero_grad()
    (states,) = seen
    inside = torch.zeros(states.shape[:2], dtype=torch.bool)
    for row, rollout in enumerate(rows):
        first = len(rollout.prompt_ids) - 1  # where the first response token is predicted
        inside[row, first : first + len(rollout.response_ids)] = True
    if states.grad is None:  # of inner layers alone
        return
    assert float(states.grad[~inside].abs().sum()) == 0
    moved = states.grad.abs().sum(-1) > 0
    last = [len(row.prompt_ids) + len(row.response_ids) - 2 for row in rows]
    at_the_end = torch.zeros_like(inside)
    at_the_end[range(len(rows)), last] = True
    # Where every other token is learned from, so is the last one.
    assert bool(moved[at_the_end].all()) or not bool(moved[inside & ~at_the_end].all())
    assert torch.isfinite(states.grad).all()


def content_and_length_of_padding_do_not_matter(case: Case) -> None:
    """Rows are padded on the right."""
    rows, views, parts = case.rollouts(), _views(case), case.parts(torch.float32)
    plain, padded = (
        distillation_loss([case.term], kind(rows), views, None, case.schedule, parts=parts).value
        for kind in (Batch, _PaddedBatch)
    )
    torch.testing.assert_close(padded, plain, atol=1e-5, rtol=1e-5)


def a_longer_row_does_not_change_a_rows_share(case: Case) -> None:
    """The loss of rows together is that of each alone; of groups, that of each group."""
    rows = case.rollouts((3, 4, 20, 19))
    if case.term.per != "group":
        rows = [replace(row, origin=rows[0].origin) for row in (rows[0], rows[2])]
    half, views, parts = len(rows) // 2, _views(case), case.parts(torch.float32)
    amounts = amounts_of([case.term], rows)
    short, long, both = (
        case.loss(some, views, parts, amounts).value.detach()
        for some in (rows[:half], rows[half:], rows)
    )
    torch.testing.assert_close(short + long, both, atol=1e-5, rtol=1e-5)


class _PaddedBatch(Batch):
    """The same batch with more padding, filled with other tokens."""

    def inputs(self, prompt: Any = None) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        ids, rows, columns = super().inputs(prompt)
        padded = torch.full((len(ids), ids.shape[1] + 5), VOCABULARY - 1)
        for row, rollout in enumerate(self.rollouts):
            length = len(rollout.prompt_ids) + len(rollout.response_ids) - 1
            padded[row, :length] = ids[row, :length]
        return padded, rows, columns


def _views(case: Case) -> dict[str, View]:
    names = ["student", *case.view_names]
    views: dict[str, View] = {
        name: ModelView(_llama(seed), VOCABULARY) for seed, name in enumerate(names, start=1)
    }
    for companion in case.triple.companions:
        if isinstance(companion, Classmate) and companion.name in views:
            if companion.kind == "uniform":
                views[companion.name] = UniformView(VOCABULARY)
            elif companion.kind == "teacher":
                views[companion.name] = views["teacher"]
    return views


@cache
def _llama(seed: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=_PAD,
    )
    return LlamaForCausalLM(config).eval()
