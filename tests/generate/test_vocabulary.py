"""A tokenizer may leave ids out: its vocabulary ends behind the largest id."""

from pathlib import Path
from typing import Any

import pytest
import torch
from answering import samples
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Options
from kdbench.generate.hf import HFBackend
from kdbench.metrics import Reference
from kdbench.metrics.lm_loss import LMLoss
from kdbench.protocol import get_protocol
from kdbench.views.tokenizers import SharedTokens, shared_tokens, vocabulary_size

END = 600


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """512 entries with ids up to 600."""
    words = {f"w{number}": number for number in range(511)}
    made = Tokenizer(models.WordLevel({**words, "<end>": END}, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="w1")


@pytest.fixture(scope="module")
def folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes the end token at once."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=608,
        n_embd=16,
        n_layer=1,
        n_head=2,
        tie_word_embeddings=False,
        eos_token_id=END,
        bos_token_id=None,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.zero_()[0] = 1
        model.lm_head.weight[END, 0] = 9
        model.lm_head.weight[END + 1 :, 0] = 20  # padding of the head
    path = tmp_path_factory.mktemp("holes")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_the_size_is_that_of_the_largest_id(tokenizer: Any) -> None:
    assert len(tokenizer) == 512
    assert vocabulary_size(tokenizer) == END + 1
    assert shared_tokens(tokenizer, tokenizer) == SharedTokens(END + 1, same_end=True)


def test_the_end_token_beyond_the_holes_is_chosen(folder: Path) -> None:
    protocol = get_protocol("greedy", {"max_new_tokens": 5})
    backend = HFBackend(find_checkpoint(str(folder)), protocol, Options("float32", "cpu", 2))
    for sample in samples(backend, ["w5 w6", "w7"]).values():
        assert (sample.output, sample.finish, sample.tokens) == ("", "stop", (END,))


def test_the_loss_of_the_end_token_is_finite(folder: Path, tokenizer: Any) -> None:
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    reference = Reference("a", (5, 6), "w8 w9")
    (loss,) = LMLoss().measure(model, tokenizer, [reference], 10)
    with torch.inference_mode():
        logits = model(torch.tensor([[5, 6, 8, 9]])).logits[0, 1:, : END + 1].double()
    exact = torch.nn.functional.cross_entropy(logits, torch.tensor([8, 9, END]))
    assert loss == pytest.approx(float(exact), abs=1e-5)
