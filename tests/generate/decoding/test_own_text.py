"""Texts that a model samples itself leave its decoding alone."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdbench.generate.decoding import own_text
from kdbench.generate.decoding.rowwise import AloneDecoding

V = 20


@torch.inference_mode()
def test_the_logits_of_a_decoding_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []

    class Watched(AloneDecoding):
        def advance(self, tokens: torch.Tensor) -> None:
            assert self.logits.isfinite().all()
            checked.append(int(tokens))
            super().advance(tokens)

    monkeypatch.setattr(own_text, "AloneDecoding", Watched)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=list(range(3, 10)),
    )
    (text,) = own_text.own_text(LlamaForCausalLM(config).eval(), V, (8,))
    assert checked == list(text[1:-1])
    assert not set(text[1:]) & set(range(3, 10))  # so there were tokens to leave out
