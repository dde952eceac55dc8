"""Generation on transformers: equal to `model.generate`, and independent of the batch."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
)

from kdbench.checkpoint import find_checkpoint
from kdbench.errors import InputError
from kdbench.generate import Options, Row, Sample
from kdbench.generate.hf import HFBackend
from kdbench.protocol import Protocol, get_protocol
from kdbench.toy.models import World

PROMPTS = ["a b c", "Reverse the list: 1 2 3 4 5 6 7 8", "x", "the the the", "Who is it? " * 4]


def families(vocabulary: int) -> Iterator[tuple[str, PreTrainedModel]]:
    small = {"vocab_size": vocabulary, "hidden_size": 32, "num_attention_heads": 4}
    llama = {**small, "intermediate_size": 64, "num_hidden_layers": 2, "num_key_value_heads": 2}
    yield "llama", LlamaForCausalLM(LlamaConfig(**llama))
    yield "sliding", MistralForCausalLM(MistralConfig(**llama, sliding_window=16))
    yield "gpt2", GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_embd=32, n_head=4, n_layer=2))
    opt = {**small, "ffn_dim": 64, "num_hidden_layers": 2, "word_embed_proj_dim": 32}
    yield "opt", OPTForCausalLM(OPTConfig(**opt))


@pytest.fixture(scope="module", params=["llama", "sliding", "gpt2", "opt"])
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, world: World
) -> Path:
    """A random checkpoint of each attention and position kind, with the toy tokenizer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(world.student)
    torch.manual_seed(0)
    model = dict(families(len(tokenizer)))[request.param]
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    path = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def backend(path: Path, protocol: Protocol, batch_size: int = 8) -> HFBackend:
    options = Options(dtype="float32", device="cpu", batch_size=batch_size)
    return HFBackend(find_checkpoint(str(path)), protocol, options)


def generate(engine: HFBackend, texts: list[str], until: tuple[str, ...] = ()) -> dict:
    rows = [
        Row(text, seed, engine.encode(text, text).ids)
        for text in texts
        for seed in engine.protocol.seeds
    ]
    samples: dict[tuple[str, int], Sample] = {}
    for batch in engine.batches(rows):
        for sample in engine.generate(batch, until):
            assert (sample.document, sample.seed) not in samples
            samples[sample.document, sample.seed] = sample
    assert len(samples) == len(rows)
    return samples


@pytest.mark.parametrize("ngram", [0, 2])
def test_greedy_text_equals_that_of_transformers(checkpoint: Path, ngram: int) -> None:
    protocol = get_protocol("greedy", {"max_new_tokens": 24, "no_repeat_ngram_size": ngram})
    engine = backend(checkpoint, protocol)
    samples = generate(engine, PROMPTS)
    for text in PROMPTS:
        ids = torch.tensor([engine.encode(text, text).ids])
        expected = engine.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=24,
            do_sample=False,
            no_repeat_ngram_size=ngram,
        )[0, ids.shape[1] :]
        got = samples[text, 0]
        assert got.output == engine.tokenizer.decode(expected, skip_special_tokens=True)
        assert got.n_tokens == (expected != engine.tokenizer.eos_token_id).sum()


def test_a_sample_does_not_depend_on_the_batch(checkpoint: Path) -> None:
    protocol = get_protocol("minillm", {"max_new_tokens": 20, "seeds": (10, 20, 30)})
    alone = generate(backend(checkpoint, protocol, 1), PROMPTS)
    for size in (4, 7, 64):
        assert generate(backend(checkpoint, protocol, size), PROMPTS[::-1]) == alone
    few = generate(backend(checkpoint, protocol, 2), PROMPTS[1:3])
    assert few == {key: sample for key, sample in alone.items() if key in few}


def test_a_seeds_text_does_not_depend_on_other_seeds(checkpoint: Path) -> None:
    protocol = get_protocol("minillm", {"max_new_tokens": 12})
    five = generate(backend(checkpoint, protocol), PROMPTS[:2])
    single = generate(backend(checkpoint, protocol.override({"seeds": (40,)})), PROMPTS[:2])
    assert single == {key: sample for key, sample in five.items() if key[1] == 40}
    assert len({sample.output for (text, _), sample in five.items() if text == PROMPTS[0]}) > 1


def test_the_first_token_is_drawn_from_the_models_distribution(world: World) -> None:
    from scipy import stats

    protocol = get_protocol("minillm", {"max_new_tokens": 1, "seeds": tuple(range(4000))})
    engine = backend(world.student, protocol, batch_size=1000)
    rows = [Row("d", seed, engine.encode(PROMPTS[1], "").ids) for seed in protocol.seeds]
    with torch.inference_mode():
        logits = engine.model(torch.tensor([rows[0].prompt_ids])).logits[0, -1]
    probabilities = torch.softmax(logits.double(), -1).numpy()
    drawn = []
    engine._decode = _first_tokens(engine, drawn)  # type: ignore[method-assign]
    for batch in engine.batches(rows):
        list(engine.generate(batch, ()))
    likely = probabilities * len(drawn) >= 5
    observed = [drawn.count(token) for token in likely.nonzero()[0]]
    observed.append(len(drawn) - sum(observed))
    expected = [*(probabilities[likely] * len(drawn)), probabilities[~likely].sum() * len(drawn)]
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def _first_tokens(engine: HFBackend, drawn: list[int]):  # type: ignore[no-untyped-def]
    choose, decode = engine._choose, engine._decode

    def spy(logits, live, keys):  # type: ignore[no-untyped-def]
        tokens = choose(logits, live, keys)
        drawn.extend(tokens.tolist())
        return tokens

    engine._choose = spy  # type: ignore[method-assign]
    return decode


def test_seeds_of_a_prompt_share_its_prefill(world: World) -> None:
    protocol = get_protocol("minillm", {"max_new_tokens": 2})
    engine = backend(world.student, protocol, batch_size=100)
    shapes = []
    forward = engine.model.forward

    def spy(*args: object, **options: torch.Tensor) -> object:
        shapes.append(tuple(options["input_ids"].shape))
        return forward(*args, **options)

    engine.model.forward = spy
    generate(engine, PROMPTS[:3])
    assert shapes[0][0] == 3
    assert shapes[1][0] > 10  # 15 rows, minus those that ended immediately


def test_finished_rows_leave_the_batch(world: World) -> None:
    """Each step runs at most an eighth more rows than are unfinished."""
    protocol = get_protocol("minillm", {"max_new_tokens": 40})
    engine = backend(world.student, protocol, batch_size=100)
    rows = []
    forward = engine.model.forward

    def spy(*args: object, **options: torch.Tensor) -> object:
        rows.append(options["input_ids"].shape[0])
        return forward(*args, **options)

    engine.model.forward = spy
    samples = generate(engine, PROMPTS)
    lengths = [sample.n_tokens + (sample.finish == "stop") for sample in samples.values()]
    for step, count in enumerate(rows[1:], start=1):
        assert count <= sum(length > step for length in lengths) / (1 - 1 / 8) + 1
    assert rows[-1] < rows[1]


def test_prompts_are_cut_on_the_right(world: World) -> None:
    engine = backend(world.student, get_protocol("minillm", {"max_prompt_tokens": 4}))
    whole = engine.tokenizer(PROMPTS[1], add_special_tokens=False)["input_ids"]
    assert engine.encode(PROMPTS[1], "").ids == tuple(whole[:4])
    assert engine.encode(PROMPTS[1], "").cut
    assert not engine.encode("x", "").cut


def test_limit_and_end_of_sequence(world: World) -> None:
    samples = generate(
        backend(world.teacher, get_protocol("minillm", {"max_new_tokens": 5})), PROMPTS
    )
    for sample in samples.values():
        assert (sample.finish == "length") == (sample.n_tokens == 5)
        assert "<|" not in sample.output


def test_stop_strings_end_a_response_and_are_not_in_it(world: World) -> None:
    protocol = get_protocol("minillm", {"max_new_tokens": 30})
    free = generate(backend(world.teacher, protocol), PROMPTS)
    stopped = generate(backend(world.teacher, protocol), PROMPTS, until=("e", "zzz"))
    assert any("e" in sample.output for sample in free.values())
    for key, sample in stopped.items():
        assert sample.output == free[key].output.partition("e")[0]
        assert "e" not in free[key].output or sample.finish == "stop"


def test_out_of_memory_halves_the_batch_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = get_protocol("minillm", {"max_new_tokens": 8})
    expected = generate(backend(world.student, protocol), PROMPTS)
    engine = backend(world.student, protocol, batch_size=25)
    forward, steps = engine.model.forward, []

    def hungry(*args: object, **options: torch.Tensor) -> object:
        steps.append(options["input_ids"].shape[0])
        if options["input_ids"].shape[0] > 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return forward(*args, **options)

    engine.model.forward = hungry
    assert generate(engine, PROMPTS) == expected
    assert engine.batch_size <= 6
    assert sum(size > 6 for size in steps) <= 3


def test_auto_batch_size_is_a_power_of_two_that_fits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = get_protocol("minillm", {"max_new_tokens": 4})
    sizes = []
    for free in (2**21, 2**40):
        monkeypatch.setattr(
            "kdbench.generate.decoding.memory._free_bytes", lambda _, free=free: free
        )
        engine = HFBackend(find_checkpoint(str(world.student)), protocol, Options(device="cpu"))
        generate(engine, PROMPTS[:2])
        sizes.append(engine.batch_size)
    assert 1 < sizes[0] < sizes[1] == 64


def test_non_finite_logits_are_an_error(world: World) -> None:
    engine = backend(world.student, get_protocol("minillm"))
    with torch.no_grad():
        engine.model.model.embed_tokens.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        generate(engine, PROMPTS[:1])


def test_a_prompt_longer_than_the_positions_is_an_error(world: World) -> None:
    engine = backend(world.student, get_protocol("minillm", {"max_new_tokens": 510}))
    with pytest.raises(InputError, match="positions; lower max_new_tokens="):
        engine.encode(PROMPTS[1], "")


def test_an_empty_prompt_is_an_error(world: World) -> None:
    with pytest.raises(InputError, match="encodes to no tokens"):
        backend(world.student, get_protocol("minillm")).encode("", "")


def test_chat_protocol_uses_the_tokenizers_template(world: World) -> None:
    engine = backend(world.student, get_protocol("chat", {"max_new_tokens": 4}))
    text = engine.tokenizer.apply_chat_template(
        [{"role": "user", "content": "hello"}], tokenize=False, add_generation_prompt=True
    )
    ids = engine.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert engine.encode("ignored", "hello").ids == tuple(ids)


def test_top_k_and_temperature_shape_the_draw(world: World) -> None:
    shaped = generate(
        backend(world.student, get_protocol("minillm", {"top_k": 1, "seeds": (1,)})), PROMPTS
    )
    cold = get_protocol("minillm", {"temperature": 1e-4, "seeds": (1,)})
    assert generate(backend(world.student, cold), PROMPTS) == shaped
    narrow = get_protocol("minillm", {"top_p": 1e-6, "seeds": (1,)})
    assert generate(backend(world.student, narrow), PROMPTS) == shaped
