"""The step that a GPU replays as a graph and that runs on any device without one."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from kdbench.generate import Row
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.kinds import CachedDecoding, MixedDecoding
from kdbench.generate.decoding.placed import PlacedDecoding, can_place
from kdbench.generate.decoding.replay import ReplayedDecoding, can_replay
from kdbench.protocol import get_protocol

V, ROOM = 30, 12
PROMPTS = [(3, 4, 5), (6,), (7, 8, 9, 10, 11, 12), (3, 4, 5)]
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 16}


def llama() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=V + 2,
        intermediate_size=32,
        num_key_value_heads=2,
        initializer_range=0.5,
        **SIZES,
    )
    return LlamaForCausalLM(config)


def gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=V + 2, n_embd=16, n_layer=2, n_head=4, initializer_range=0.5)
    )


@pytest.fixture(params=[llama, gpt2])
def model(request: pytest.FixtureRequest) -> Iterator[Any]:
    torch.manual_seed(0)
    return request.param().eval()


@torch.inference_mode()
def test_replayed_steps_equal_those_of_the_plain_cache(model: Any) -> None:
    plain = CachedDecoding(model, V, PROMPTS, len(PROMPTS), ROOM)
    replayed = ReplayedDecoding(model, V, PROMPTS, len(PROMPTS), ROOM)
    for step in range(ROOM):
        torch.testing.assert_close(replayed.logits, plain.logits, rtol=1e-4, atol=1e-5)
        if step in (3, 5):
            kept = torch.tensor([0, 2, 3] if step == 3 else [2, 0])
            plain.keep(kept)
            replayed.keep(kept)
        tokens = (plain.logits * (1 + step)).argmax(-1)
        plain.advance(tokens)
        replayed.advance(tokens)


@torch.inference_mode()
def test_a_mixture_of_replayed_models(model: Any) -> None:
    plain, mixed = (
        MixedDecoding(*(kind(model, V, PROMPTS, len(PROMPTS), ROOM) for _ in range(2)), 0.4)
        for kind in (CachedDecoding, ReplayedDecoding)
    )
    assert mixed.can_replace
    for kept in ([0, 1, 2, 3], [0, 2], [1]):
        for decoding in (plain, mixed):
            decoding.keep(torch.tensor(kept))
            decoding.advance(torch.arange(len(kept)) + 5)
        torch.testing.assert_close(mixed.logits, plain.logits, rtol=1e-4, atol=1e-5)


class Tokenizer:
    """The part of a tokenizer that the loop needs."""

    eos_token_id = 2

    def __len__(self) -> int:
        return V

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:  # noqa: ARG002
        return " ".join(map(str, ids))

    def convert_tokens_to_ids(self, text: str) -> None:
        """Know no token by its text."""


def texts(model: Any, kind: Any, size: int = 64) -> dict[tuple[str, int], tuple[int, ...]]:
    protocol = get_protocol("minillm", {"max_new_tokens": ROOM, "no_repeat_ngram_size": 2})
    engine = Generator(model, Tokenizer(), protocol, size, lambda *queue: kind(model, V, *queue))
    rows = [
        Row(str(index), seed, prompt)
        for index, prompt in enumerate(PROMPTS)
        for seed in range(10, 22)
    ]
    samples = [sample for batch in engine.batches(rows) for sample in engine.generate(batch, ())]
    return {(sample.document, sample.seed): sample.tokens for sample in samples}


def test_the_loop_gives_the_same_texts_when_it_runs_ahead(model: Any) -> None:
    """Rows end at every length and leave the batch; the last token uses the last position."""
    plain, replayed = texts(model, CachedDecoding), texts(model, ReplayedDecoding)
    assert replayed == plain == texts(model, PlacedDecoding)
    assert len({len(tokens) for tokens in plain.values()}) > 4
    assert max(map(len, plain.values())) == ROOM


@pytest.mark.parametrize("size", [1, 5, 16])
@pytest.mark.parametrize("kind", [PlacedDecoding, ReplayedDecoding])
def test_waiting_rows_take_the_places_of_finished_ones(model: Any, kind: Any, size: int) -> None:
    """48 rows in few places give the texts of 48 rows in parallel."""
    assert texts(model, kind, size) == texts(model, CachedDecoding)


def test_places_are_full_while_rows_wait(model: Any) -> None:
    sizes: list[int] = []

    class Watched(PlacedDecoding):
        def advance(self, tokens: torch.Tensor) -> None:
            sizes.append(len(tokens))
            super().advance(tokens)

    texts(model, Watched, 8)
    queues = 48 / (4 * 8)
    assert sizes.count(8) > 0.6 * len(sizes)
    tokens = sum(map(len, texts(model, CachedDecoding).values()))
    # A queue drains at its end; a finished row waits until an eighth of the rows have finished.
    assert sum(sizes) < 1.3 * tokens + queues * 8 * ROOM


@torch.inference_mode()
def test_prompts_are_run_once_for_all_rows_of_a_chunk(model: Any) -> None:
    runs: list[int] = []
    forward = model.forward

    def spy(*args: Any, **options: Any) -> Any:
        if options["input_ids"].shape[1] > 1:
            runs.append(len(options["input_ids"]))
        return forward(*args, **options)

    model.forward = spy
    prompts = [(index, 5, 6) for index in range(3, 9) for _ in range(5)]  # five seeds each
    decoding = PlacedDecoding(model, V, prompts, 10, ROOM)
    assert runs == [2]
    decoding.replace([0, 3], [10, 11])
    decoding.replace([1], [12])
    assert runs == [2, 2]
    decoding.replace([2, 4, 5, 6], [18, 19, 20, 21])  # the end of a chunk, the start of the next
    assert runs == [2, 2, 2]


def test_only_full_attention_on_a_gpu_is_replayed(model: Any) -> None:
    assert not can_replay(model)  # the model is on the CPU
    model.to("meta")
    assert not can_replay(model)
    config = MistralConfig(
        vocab_size=V, intermediate_size=32, num_key_value_heads=2, sliding_window=4, **SIZES
    )
    sliding = _on_cuda(MistralForCausalLM(config))
    assert not can_place(sliding)
    assert not can_replay(sliding)
    assert can_replay(_on_cuda(llama()))


def _on_cuda(model: Any) -> Any:
    """A model that claims to be on a GPU."""
    kind = type(model)
    model.__class__ = type(kind.__name__, (kind,), {"device": torch.device("cuda")})
    model.__class__.forward = kind.forward
    return model


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_captured_graph_gives_the_same_texts(model: Any) -> None:
    model.to("cuda")
    assert can_replay(model)
    assert texts(model, ReplayedDecoding) == texts(model, CachedDecoding)
