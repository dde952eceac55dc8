"""Prompts padded on the right and run without a mask give what each gives alone."""

import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from kdbench.generate import Row
from kdbench.generate.decoding import begun
from kdbench.generate.decoding.begun import begin_prompts
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.guard import sound_decoding
from kdbench.protocol import get_protocol

V = 290
PROMPTS = [tuple(range(3, 3 + length)) for length in (40, 40, 31, 17, 5, 1)]


@pytest.fixture(scope="module")
def model() -> Any:
    """Four heads share each one of the keys; its weights are large enough to be copied."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=V + 10,
        hidden_size=256,
        intermediate_size=320,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        initializer_range=0.08,
        eos_token_id=list(range(3, 20)),
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("tokens", [1, 90, 10_000])
@torch.inference_mode()
def test_each_prompt_gives_what_it_gives_alone(
    model: Any, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begun, "_TOKENS", tokens)
    found = 0
    for part, batch in begin_prompts(model, V, PROMPTS):
        for place, prompt in enumerate(PROMPTS[part]):
            alone = model(torch.tensor([prompt]), use_cache=True)
            torch.testing.assert_close(
                batch.logits[place], alone.logits[0, -1, :V], rtol=1e-4, atol=1e-5
            )
            assert batch.lengths[place] == len(prompt)
            for (keys, values), layer in zip(
                batch.states, alone.past_key_values.layers, strict=True
            ):
                for ours, theirs in ((keys, layer.keys), (values, layer.values)):
                    torch.testing.assert_close(
                        ours[place, :, : len(prompt)], theirs[0], rtol=1e-4, atol=1e-5
                    )
            found += 1
    assert found == len(PROMPTS)
    assert not model.lm_head._forward_pre_hooks


@torch.inference_mode()
def test_the_head_computes_one_token_of_each_prompt(model: Any) -> None:
    seen: list[int] = []
    handle = model.lm_head.register_forward_hook(
        lambda _, states, __: seen.append(states[0].shape[1])
    )
    try:
        list(begin_prompts(model, V, PROMPTS))
    finally:
        handle.remove()
    assert set(seen) == {1}


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_small_batches_hold_all_prompts_in_their_order(lengths: list[int]) -> None:
    prompts = [(0,) * length for length in lengths]
    parts = list(begun._parts(prompts))
    assert [place for part in parts for place in range(len(prompts))[part]] == list(
        range(len(prompts))
    )
    for part in parts:
        batch = lengths[part]
        assert len(batch) == 1 or len(batch) * max(batch) <= begun._TOKENS


class Tokenizer:
    """The part of a tokenizer that the loop needs."""

    eos_token_id = 2

    def __len__(self) -> int:
        return V

    def get_vocab(self) -> dict[str, int]:
        """Return the vocabulary."""
        return {str(token): token for token in range(V)}

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:  # noqa: ARG002
        return " ".join(map(str, ids))

    def convert_tokens_to_ids(self, text: str) -> None:
        """Know no token by its text."""


def test_no_text_depends_on_the_batch_or_the_order(model: Any) -> None:
    """Also not where other rows make the cache wider, or only one row is left."""
    assert sound_decoding(model, V).path == "fast"
    chance = random.Random(0)
    protocol = get_protocol("minillm", {"max_new_tokens": 24, "no_repeat_ngram_size": 2})
    rows = [
        Row(str(number), seed, tuple(chance.choices(range(3, V), k=chance.randint(1, 90))))
        for number in range(7)
        for seed in (10, 20)
    ]

    def texts(size: int, order: list[Row]) -> dict[tuple[str, int], tuple[int, ...]]:
        engine = Generator(model, Tokenizer(), protocol, size)
        found = [sample for batch in engine.batches(order) for sample in engine.generate(batch, ())]
        return {(sample.document, sample.seed): sample.tokens for sample in found}

    expected = texts(1, rows)
    assert len({len(tokens) for tokens in expected.values()}) > 2
    for size in (2, 3, 5, 14):
        assert texts(size, chance.sample(rows, len(rows))) == expected
    some = chance.sample(rows, 6)  # as after a resume
    assert texts(4, some) == {
        (row.document, row.seed): expected[row.document, row.seed] for row in some
    }
