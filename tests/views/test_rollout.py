"""Shift, end token and mask: each response token is predicted by the position before it."""

import json
import math
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdbench.training.loss import STUDENT, distillation_loss, target_log_probs
from kdbench.training.objective import CrossEntropy, Term
from kdbench.views.rollout import Batch, Example, Mix, Rollout, of_dataset
from kdbench.views.view import ModelView

VOCABULARY, EOS = 24, 1
ROWS = [
    Rollout("long", (3, 4, 5, 6, 7), (8, 9, 10, EOS), "student"),
    Rollout("cut", (11,), (12, 13), "dataset"),
    Rollout("one token", (14, 15), (EOS,), "student"),
    Rollout("longest", (2, 2), (5, 5, 5, 6, 6, 7, EOS), "teacher"),
]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def token_at_a_time(model: LlamaForCausalLM, row: Rollout, prompt: tuple = ()) -> list[float]:
    """Log-probability of each response token, from a separate forward pass per prefix."""
    given, log_probs = [*(prompt or row.prompt_ids)], []
    for token in row.response_ids:
        logits = model(torch.tensor([given])).logits[0, -1]
        log_probs.append(float(logits.log_softmax(-1)[token]))
        given.append(token)
    return log_probs


def flat(rows: list[list[float]]) -> list[float]:
    return [value for row in rows for value in row]


@pytest.mark.parametrize("rows", [ROWS, ROWS[::-1], *([row] for row in ROWS)], ids=len)
@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_every_response_token_is_scored_where_it_is_predicted(
    model: LlamaForCausalLM, rows: list[Rollout], chunk: int | None
) -> None:
    actual = target_log_probs(Batch(rows), ModelView(model, VOCABULARY), chunk)
    expected = [token_at_a_time(model, row) for row in rows]
    assert [len(row) for row in actual] == [len(row.response_ids) for row in rows]
    assert flat(actual) == pytest.approx(flat(expected), abs=1e-5)


def test_the_first_response_token_comes_from_the_prompts_last_position() -> None:
    batch = Batch(ROWS)
    ids, rows, columns = batch.inputs()
    starts = [0, 4, 6, 7]
    assert columns[starts].tolist() == [4, 0, 1, 1]
    assert rows[starts].tolist() == [0, 1, 2, 3]
    assert batch.targets[starts].tolist() == [8, 12, EOS, 5]
    assert ids[rows[starts], columns[starts]].tolist() == [7, 11, 15, 2]


def test_targets_are_shifted_inputs_and_the_end_token_is_only_a_target() -> None:
    batch = Batch(ROWS)
    ids, rows, columns = batch.inputs()
    for place, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        whole = (*ROWS[row].prompt_ids, *ROWS[row].response_ids)
        assert ids[row, column] == whole[column]
        assert batch.targets[place] == whole[column + 1]
    assert EOS not in ids
    assert (batch.targets == EOS).sum() == 3


def test_positions_are_exactly_the_response_tokens() -> None:
    batch = Batch(ROWS)
    _, rows, columns = batch.inputs()
    expected = [
        (row, len(rollout.prompt_ids) - 1 + place)
        for row, rollout in enumerate(ROWS)
        for place in range(len(rollout.response_ids))
    ]
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected
    assert len(batch.targets) == sum(batch.lengths) == 14


def test_the_mask_follows_the_order_of_the_rows() -> None:
    batch = Batch(ROWS)
    assert batch.mask.shape == (4, 7)
    assert batch.mask.sum(1).tolist() == batch.lengths == [4, 2, 1, 7]
    padded = torch.full(batch.mask.shape, -1)
    padded[batch.mask] = batch.targets
    for row, rollout in zip(padded.tolist(), ROWS, strict=True):
        assert tuple(row[: len(rollout.response_ids)]) == rollout.response_ids
        assert set(row[len(rollout.response_ids) :]) <= {-1}


def test_origins_are_those_of_the_tokens() -> None:
    origins = Batch(ROWS).origins()
    assert origins == ["student"] * 4 + ["dataset"] * 2 + ["student"] + ["teacher"] * 7


def test_a_rows_scores_do_not_depend_on_the_batch(model: LlamaForCausalLM) -> None:
    view = ModelView(model, VOCABULARY)
    together = target_log_probs(Batch(ROWS), view)
    for row, scores in zip(ROWS, together, strict=True):
        assert target_log_probs(Batch([row]), view)[0] == pytest.approx(scores, abs=1e-5)


def test_a_views_own_prompt_is_aligned_by_response_index(model: LlamaForCausalLM) -> None:
    prompts = {"long": (20,), "cut": (21, 22, 23, 21), "one token": (3, 3, 3), "longest": (9,)}
    view = ModelView(model, VOCABULARY, prompt=lambda row: prompts[row.id])
    actual = target_log_probs(Batch(ROWS), view)
    expected = [token_at_a_time(model, row, prompts[row.id]) for row in ROWS]
    assert flat(actual) == pytest.approx(flat(expected), abs=1e-5)
    plain = target_log_probs(Batch(ROWS), ModelView(model, VOCABULARY))
    assert [len(row) for row in plain] == [len(row) for row in actual]
    assert flat(plain) != pytest.approx(flat(actual), abs=1e-2)


def test_cross_entropy_covers_only_response_tokens(model: LlamaForCausalLM) -> None:
    """The gradient too: a token too many or too few would change it."""
    views = {STUDENT: ModelView(model, VOCABULARY)}
    loss = distillation_loss([Term(CrossEntropy())], Batch(ROWS), views, [14]).value
    model.zero_grad()
    loss.backward()
    gradient = model.lm_head.weight.grad.clone()
    model.zero_grad()
    total = torch.zeros(())
    for row in ROWS:
        whole = torch.tensor([[*row.prompt_ids, *row.response_ids]])
        log_probs = model(whole).logits[0, :-1].log_softmax(-1)
        picked = log_probs.gather(-1, whole[0, 1:, None])[:, 0]
        total = total - picked[len(row.prompt_ids) - 1 :].sum()
    (total / 14).backward()
    assert float(loss.detach()) == pytest.approx(float(total.detach()) / 14, rel=1e-5)
    torch.testing.assert_close(gradient, model.lm_head.weight.grad, rtol=1e-4, atol=1e-6)
    model.zero_grad()


def test_the_first_token_is_trained_and_nothing_after_the_end(model: LlamaForCausalLM) -> None:
    """The states have a gradient at each predicted position and nowhere else."""
    batch = Batch(ROWS)
    ids, rows, columns = batch.inputs()
    hidden = model.model(ids, use_cache=False).last_hidden_state.detach().requires_grad_()
    log_probs = model.lm_head(hidden[rows, columns]).log_softmax(-1)
    log_probs.gather(-1, batch.targets[:, None]).sum().backward()
    touched = hidden.grad.abs().sum(-1) > 0
    for row, rollout in enumerate(ROWS):
        first = len(rollout.prompt_ids) - 1
        places = touched[row].nonzero()[:, 0].tolist()
        assert places == list(range(first, first + len(rollout.response_ids)))


def test_a_data_sets_response_is_a_rollout() -> None:
    example = Example("a", (1, 2), (3, EOS), ("text",))
    assert of_dataset(example) == Rollout("a", (1, 2), (3, EOS), "dataset")


def test_recorded_scalars_are_in_the_order_of_the_tokens() -> None:
    rows = [
        row.with_recorded(
            old=[index + place / 10 for place in range(len(row.response_ids))],
            extra=[0.0] * len(row.response_ids),
        )
        for index, row in enumerate(ROWS)
    ]
    rows[0] = ROWS[0].with_recorded(old=rows[0].recorded["old"])  # no `extra`
    recorded = Batch(rows).recorded()
    assert list(recorded) == ["extra", "old"]
    absent = len(ROWS[0].response_ids)
    assert recorded["extra"].isnan().tolist() == [
        place < absent for place in range(len(recorded["old"]))
    ]
    expected = [value for row in rows for value in row.recorded["old"]]
    assert recorded["old"].tolist() == pytest.approx(expected)
    assert recorded["old"].dtype == torch.float32


def test_recorded_scalars_are_added_and_replaced() -> None:
    once = ROWS[1].with_recorded(old=[1, 2])
    twice = once.with_recorded(new=[3, 4], old=[5, 6])
    assert once.recorded == {"old": (1, 2)}
    assert twice.recorded == {"old": (5, 6), "new": (3, 4)}
    assert ROWS[1].recorded == {}


def test_a_rollout_survives_json_exactly() -> None:
    floats = [math.pi, 0.1 + 0.2, -1e-300, 5e-324, 1 / 3, -0.0, 1.7e308]
    row = ROWS[3].with_recorded(old=floats, advantage=[-value for value in floats])
    again = Rollout.from_json(json.loads(json.dumps(row.as_json())))
    assert again == row
    assert [value.hex() for value in again.recorded["old"]] == [value.hex() for value in floats]
    assert isinstance(again.prompt_ids, tuple)
    assert isinstance(again.response_ids, tuple)
    mixed = replace(row, packed=True, mix=Mix(ROWS[1], 0.25))
    again = Rollout.from_json(json.loads(json.dumps(mixed.as_json())))
    assert again == mixed
    assert (again.packed, again.mix) == (True, Mix(ROWS[1], 0.25))
