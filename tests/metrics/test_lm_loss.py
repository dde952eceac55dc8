"""`lm_loss` of a row is the same in every batch."""

from typing import Any

import pytest
import torch
from tiny_models import V, build, with_longrope

from kdbench.metrics.lm_loss import LMLoss, Reference

ROWS = [((5, 9, 12), "a"), (tuple(range(20, 45)), "b"), ((7,), "cd")]


class Letters:
    eos_token_id = 2

    def get_vocab(self) -> dict[str, int]:
        return {chr(80 + token): token for token in range(V)}

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(letter) - 80 for letter in text]}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        "BartForCausalLM",
        "GPTNeoForCausalLM",
        "LlamaForCausalLM",
        "MambaForCausalLM",
        "PegasusForCausalLM",
        "RecurrentGemmaForCausalLM",
        "RwkvForCausalLM",
    ],
)
def test_the_loss_is_that_of_a_plain_forward_pass(name: str) -> None:
    check(build(name))


def test_a_long_row_does_not_change_the_loss_of_the_others() -> None:
    check(with_longrope(9))


def check(model: Any) -> None:
    tokenizer = Letters()
    rows = [Reference(str(at), prompt, text) for at, (prompt, text) in enumerate(ROWS)]
    expected = []
    for row in rows:
        target = [*tokenizer(row.text, False)["input_ids"], 2]
        ids = torch.tensor([[*row.prompt_ids, *target]])
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[0, -len(target) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(target))
        expected.append(float(loss))
    assert LMLoss().measure(model, tokenizer, rows, 9) == pytest.approx(expected, rel=1e-5)
