"""Decoding of batches, by one model or by a token-level mixture with its teacher."""

import math
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.generate import Row, Sample
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.kinds import (
    CachedDecoding,
    Decoding,
    MixedDecoding,
    of_mixture,
    of_model,
)
from kdbench.generate.prompts import end_tokens
from kdbench.protocol import Protocol
from kdbench.toy.models import World

V = 30
PROMPTS = [(3, 4, 5), (6,), (7, 8, 9, 10, 11, 12), (3, 4, 5)]
WEIGHTS = [0.0, 0.2, 0.5, 0.9, 1.0]


def tiny(seed: int, width: int = 16) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=V + 2,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def student() -> LlamaForCausalLM:
    return tiny(0)


@pytest.fixture(scope="module")
def teacher() -> LlamaForCausalLM:
    return tiny(1, width=24)


@torch.inference_mode()
def expected(models: tuple[Any, Any], rows: list[list[int]], weight: float) -> torch.Tensor:
    """log((1-w) q + w p) of each row's next token, in float64, each row alone."""
    log_probs = []
    for row in rows:
        q, p = (
            model(torch.tensor([row])).logits[0, -1, :V].double().softmax(-1) for model in models
        )
        log_probs.append(((1 - weight) * q + weight * p).log())
    return torch.stack(log_probs)


def begin(student: Any, teacher: Any, weight: float, room: int = 8) -> Decoding:
    mixed = of_mixture(of_model(student, V), of_model(teacher, V), weight)
    with torch.inference_mode():
        return mixed(PROMPTS, len(PROMPTS), room)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_logits_are_the_logarithm_of_the_mixture(student: Any, teacher: Any, weight: float) -> None:
    decoding = begin(student, teacher, weight)
    wanted = expected((student, teacher), [list(row) for row in PROMPTS], weight)
    assert decoding.logits.shape == (4, V)
    torch.testing.assert_close(decoding.logits.double(), wanted, rtol=1e-4, atol=1e-4)
    sums = decoding.logits.double().exp().sum(-1)
    torch.testing.assert_close(sums, torch.ones(4, dtype=torch.float64), rtol=1e-5, atol=1e-5)


class Given:
    """A decoding with given logits."""

    leaving_share, can_replace, runs_ahead = 1.0, False, False

    def __init__(self, logits: list[list[float]]):
        self.logits = torch.tensor(logits)

    def keep(self, rows: torch.Tensor) -> None:
        self.logits = self.logits[rows]

    def advance(self, tokens: torch.Tensor) -> None:
        self.logits = self.logits + tokens[:, None]


def test_a_mixture_of_known_distributions_is_exact() -> None:
    """The logits are not log-probabilities, and some tokens are ruled out by one of the two."""
    student, teacher = [[5.0, 5.0, -math.inf]], [[0.0, -math.inf, -math.inf]]
    mixed = MixedDecoding(Given(student), Given(teacher), 0.2)
    assert mixed.logits.exp().tolist()[0] == pytest.approx([0.4 + 0.2, 0.4, 0.0])
    alone = MixedDecoding(Given(student), Given(teacher), 0.0)
    assert alone.logits.exp().tolist()[0] == pytest.approx([0.5, 0.5, 0.0])
    other = MixedDecoding(Given(student), Given(teacher), 1.0)
    assert other.logits.exp().tolist()[0] == pytest.approx([1.0, 0.0, 0.0])
    assert not mixed.logits.isnan().any()


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_kept_and_advanced_rows_equal_those_of_the_full_prompts(
    student: Any, teacher: Any, weight: float
) -> None:
    decoding, rows = begin(student, teacher, weight), [list(row) for row in PROMPTS]
    steps = [([0, 1, 2, 3], [20, 21, 22, 23]), ([0, 2, 3], [5, 6, 7]), ([2, 1], [8, 9])]
    with torch.inference_mode():
        for kept, tokens in steps:
            rows = [[*rows[row], token] for row, token in zip(kept, tokens, strict=True)]
            decoding.keep(torch.tensor(kept))
            decoding.advance(torch.tensor(tokens))
            wanted = expected((student, teacher), rows, weight)
            torch.testing.assert_close(decoding.logits.double(), wanted, rtol=1e-3, atol=1e-3)


def test_equal_prompts_share_a_prefill_and_then_diverge(student: Any) -> None:
    with torch.inference_mode():
        decoding = CachedDecoding(student, V, PROMPTS, len(PROMPTS), 4)
        assert torch.equal(decoding.logits[0], decoding.logits[3])
        decoding.advance(torch.tensor([1, 1, 1, 2]))
        assert not torch.equal(decoding.logits[0], decoding.logits[3])


def test_padding_columns_are_never_sampled(student: Any, teacher: Any) -> None:
    assert student.config.vocab_size > V
    assert begin(student, teacher, 0.0).logits.shape[1] == V
    assert begin(student, teacher, 0.5).logits.shape[1] == V


@pytest.fixture(scope="module")
def pair(world: World) -> tuple[Any, Any, Any]:
    """Student and teacher of the toy world, and their tokenizer."""
    model, tokenizer = load_checkpoint(find_checkpoint(str(world.student)), "float32", "cpu")
    other, _ = load_checkpoint(find_checkpoint(str(world.teacher)), "float32", "cpu")
    return model, other, tokenizer


def generator(pair: tuple[Any, Any, Any], weight: float | None, **fields: Any) -> Generator:
    model, other, tokenizer = pair
    how = Protocol("training", max_prompt_tokens=None, no_repeat_ngram_size=0, **fields)
    if weight is None:
        return Generator(model, tokenizer, how, 1000)
    size = len(tokenizer)
    mixed = of_mixture(of_model(model, size), of_model(other, size), weight)
    return Generator(model, tokenizer, how, 1000, mixed)


def samples(engine: Generator, rows: list[Row]) -> dict[tuple[str, int], Sample]:
    generated = [sample for batch in engine.batches(rows) for sample in engine.generate(batch, ())]
    assert len(generated) == len(rows)
    return {(sample.document, sample.seed): sample for sample in generated}


def rows_of(engine: Generator, seeds: range) -> list[Row]:
    texts = ["Reverse the list: 1 2 3", "Who is it?", "a b c d"]
    return [Row(text, seed, engine.encode(text, "").ids) for text in texts for seed in seeds]


@pytest.mark.parametrize("weight", [0.2, 0.7])
def test_first_tokens_are_drawn_from_the_mixture(pair: tuple[Any, Any, Any], weight: float) -> None:
    from scipy import stats

    model, other, _ = pair
    engine = generator(pair, weight, max_new_tokens=1)
    prompt = engine.encode("Reverse the list: 1 2 3", "").ids
    with torch.inference_mode():
        q, p = (
            m(torch.tensor([prompt])).logits[0, -1].double().softmax(-1) for m in (model, other)
        )
    probabilities = ((1 - weight) * q + weight * p).numpy()
    generated = samples(engine, [Row("d", seed, prompt) for seed in range(4000)])
    drawn = [sample.tokens[0] for sample in generated.values()]
    likely = probabilities * len(drawn) >= 5
    observed = [drawn.count(token) for token in likely.nonzero()[0]]
    observed.append(len(drawn) - sum(observed))
    rest = probabilities[~likely].sum() * len(drawn)
    wanted = [*(probabilities[likely] * len(drawn)), rest]
    assert stats.chisquare(observed, wanted).pvalue > 1e-3
    alone = [*(q.numpy()[likely] * len(drawn)), q.numpy()[~likely].sum() * len(drawn)]
    assert stats.chisquare(observed, alone).pvalue < 1e-6  # and not from the student's distribution


def test_a_teacher_share_of_0_is_the_student_alone(pair: tuple[Any, Any, Any]) -> None:
    alone, mixed = (generator(pair, weight, max_new_tokens=12) for weight in (None, 0.0))
    rows = rows_of(alone, range(6))
    assert samples(mixed, rows) == samples(alone, rows)


def test_a_teacher_share_of_1_is_the_teacher_alone(pair: tuple[Any, Any, Any]) -> None:
    model, other, tokenizer = pair
    mixed = generator(pair, 1.0, max_new_tokens=12)
    alone = generator((other, model, tokenizer), None, max_new_tokens=12)
    rows = rows_of(alone, range(6))
    assert samples(mixed, rows) == samples(alone, rows)


def test_a_mixed_sample_does_not_depend_on_the_batch(pair: tuple[Any, Any, Any]) -> None:
    engine = generator(pair, 0.4, max_new_tokens=16)
    rows = rows_of(engine, range(5))
    together = samples(engine, rows)
    engine.batch_size = 1
    assert samples(engine, rows[::-1]) == together


@pytest.mark.parametrize("weight", [None, 0.3])
def test_a_sample_holds_its_tokens_and_its_end_token(
    pair: tuple[Any, Any, Any], weight: float | None
) -> None:
    model, _, tokenizer = pair
    engine = generator(pair, weight, max_new_tokens=24)
    generated = samples(engine, rows_of(engine, range(12))).values()
    ends = end_tokens(model, tokenizer)
    assert {sample.finish for sample in generated} == {"stop", "length"}
    for sample in generated:
        ended = sample.finish == "stop"
        assert len(sample.tokens) == sample.n_tokens + ended
        assert (sample.tokens[-1] in ends) == ended
        assert not ends & set(sample.tokens[: sample.n_tokens])
        assert (sample.n_tokens == 24) == (not ended)
        kept = sample.tokens[: sample.n_tokens]
        assert tokenizer.decode(kept, skip_special_tokens=True) == sample.output


def test_greedy_tokens_are_the_mixtures_most_likely_ones(pair: tuple[Any, Any, Any]) -> None:
    model, other, _ = pair
    engine = generator(pair, 0.5, max_new_tokens=6, temperature=0.0)
    prompt = engine.encode("Who is it?", "").ids
    (sample,) = samples(engine, [Row("d", 0, prompt)]).values()
    given = list(prompt)
    for token in sample.tokens:
        with torch.inference_mode():
            q, p = (m(torch.tensor([given])).logits[0, -1].softmax(-1) for m in (model, other))
        assert int((q + p).argmax()) == token
        given.append(token)
