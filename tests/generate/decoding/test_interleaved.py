"""Interleaved sampling: what a rule keeps, and that origins are those of the tokens."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.generate import Row
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.guard import guarded
from kdbench.generate.decoding.interleaved import (
    InterleavedDecoding,
    InterleavedGenerator,
    Interleaving,
    of_interleaving,
)
from kdbench.protocol import Protocol
from kdbench.views.tokenizers import vocabulary_size

PROMPTS = ("What is the pet of Anna?", "Sort the list.", "Who is Ben?")
PLAIN = Protocol("t", max_new_tokens=12, temperature=1.0, top_p=1.0, no_repeat_ngram_size=0)


@pytest.fixture(scope="module")
def models(world):
    student, tokenizer = load_checkpoint(find_checkpoint(str(world.student)), "float32", "cpu")
    teacher, _ = load_checkpoint(find_checkpoint(str(world.teacher)), "float32", "cpu")
    return student.eval(), teacher.eval(), tokenizer


def rows_of(tokenizer, count=1):
    return [
        Row(f"r{number}", seed, tuple(tokenizer(text)["input_ids"]))
        for number, text in enumerate(PROMPTS)
        for seed in range(count)
    ]


def sampled(models, rule, rows, batch_size=4, protocol=PLAIN):
    student, teacher, tokenizer = models
    size = vocabulary_size(tokenizer)
    begin = of_interleaving(guarded(student, size), guarded(teacher, size), rule)
    generator = InterleavedGenerator(student, tokenizer, protocol, batch_size, begin)
    samples = {
        (sample.document, sample.seed): sample.tokens
        for batch in generator.batches(rows)
        for sample in generator.generate(batch, ())
    }
    return [(samples[row.document, row.seed], generator.replaced(row)) for row in rows]


def test_a_rule_that_keeps_all_gives_the_students_own_samples(models):
    student, _, tokenizer = models
    rows = rows_of(tokenizer, 3)
    generator = Generator(student, tokenizer, PLAIN, 4)
    own = {
        (s.document, s.seed): s.tokens
        for batch in generator.batches(rows)
        for s in generator.generate(batch, ())
    }
    found = sampled(models, Interleaving(vocabulary_size(tokenizer)), rows)
    assert [tokens for tokens, _ in found] == [own[row.document, row.seed] for row in rows]
    assert all(replaced == [0.0] * len(tokens) for tokens, replaced in found)


def test_the_likeliest_token_alone_gives_the_teachers_greedy_text(models):
    _, teacher, tokenizer = models
    greedy = Protocol("t", max_new_tokens=12, temperature=0.0, top_p=1.0, no_repeat_ngram_size=0)
    rows = rows_of(tokenizer)
    generator = Generator(teacher, tokenizer, greedy, 4)
    wanted = {
        s.document: s.tokens for b in generator.batches(rows) for s in generator.generate(b, ())
    }
    found = sampled(models, Interleaving(1, "top_k"), rows)
    assert [tokens for tokens, _ in found] == [wanted[row.document] for row in rows]


def test_kept_tokens_are_among_the_teachers_k_likeliest(models):
    _, teacher, tokenizer = models
    rows, k = rows_of(tokenizer, 6), 50
    kept = put_in = 0
    for row, (tokens, replaced) in zip(rows, sampled(models, Interleaving(k), rows), strict=True):
        assert len(tokens) == len(replaced)
        with torch.no_grad():
            logits = teacher(torch.tensor([[*row.prompt_ids, *tokens]])).logits[0]
        for place, (token, other) in enumerate(zip(tokens, replaced, strict=True)):
            top = logits[len(row.prompt_ids) - 1 + place].topk(k).indices.tolist()
            assert other or token in top
            kept, put_in = kept + (not other), put_in + int(other)
    assert kept > 10
    assert put_in > 10


def test_a_row_does_not_depend_on_its_batch(models):
    rows = rows_of(models[2], 4)
    assert sampled(models, Interleaving(3), rows, 1) == sampled(models, Interleaving(3), rows, 12)


def test_tokens_and_origins_are_drawn_as_the_two_draws_one_after_the_other():
    logits = torch.tensor([[2.0, 1, 0, -1]]).repeat(20_000, 1)
    student = torch.tensor([[1.0, 1.5, 0, -0.5]]).repeat(20_000, 1)
    one, other = (SimpleNamespace(logits=z, leaving_share=1, runs_ahead=False, can_replace=False)
                  for z in (student, logits))  # fmt: skip
    joint = InterleavedDecoding(one, other, Interleaving(2)).logits
    torch.manual_seed(0)
    drawn = torch.distributions.Categorical(logits=joint).sample()
    q, p, draw = student.softmax(-1), logits.softmax(-1), torch.Generator().manual_seed(1)
    proposed = q.multinomial(1, generator=draw)[:, 0]
    replaced = proposed >= 2
    literal = torch.where(replaced, 4 + p.multinomial(1, generator=draw)[:, 0], proposed)
    ours, theirs = Counter(drawn.tolist()), Counter(literal.tolist())
    for outcome in set(ours) | set(theirs):  # four standard deviations of the difference
        assert abs(ours[outcome] - theirs[outcome]) < 4 * (2 * theirs[outcome] + 2) ** 0.5
