"""The scores of the rules: values of the reference, and those of models against plain ones."""

import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.builders.selection import selection_rules
from kdbench.builders.selection.disagreement import Disagreement, surest_of
from kdbench.builders.selection.kd3 import KD3Rows
from kdbench.builders.selection.miniplm import difference, mean_losses
from kdbench.builders.selection.parts.pool import best
from kdbench.builders.selection.parts.scored import divergence_and_confidence
from kdbench.builders.selection.robust import ActiveProduct, active_product
from kdbench.builders.workshop.models import find_models
from kdbench.builders.workshop.protocol import protocol_of
from kdbench.builders.workshop.recipe import parse_build
from kdbench.builders.workshop.scoring import Distributions, TextToScore
from kdbench.builders.workshop.source import SourceRows
from kdbench.builders.workshop.workshop import Workshop
from kdbench.divergence import entropy
from kdbench.training.sources.hardest import choice_shares, hardest
from tests.builders.selection.test_pool import pool_of

MODELS = {"teacher": "t", "student": "s"}
Z_T = torch.tensor([[2, 1, 0, -1], [0, 0.5, 3, 1]], dtype=torch.float64)
Z_S = torch.tensor([[1, 1.5, 0, -0.5], [0.5, 0, 1, 1.2]], dtype=torch.float64)


def found(teacher, student, targets=(0,)):
    """Distributions of two models, as rows of log-probabilities."""
    log_probs = {
        "teacher": torch.as_tensor(teacher, dtype=torch.float64).reshape(-1, len(teacher[-1])),
        "student": torch.as_tensor(student, dtype=torch.float64).reshape(-1, len(student[-1])),
    }
    return Distributions(None, log_probs, torch.tensor(targets))


def with_largest(largest, size=10):
    """Log-probabilities of one token with a given largest probability."""
    rest = (1 - largest) / (size - 1)
    assert rest <= largest + 1e-9
    return [[math.log(largest), *[math.log(rest)] * (size - 1)]]


def kept(scores, count):
    named = {str(place): score for place, score in enumerate(scores)}
    return {int(name) for name in best(pool_of(dict.fromkeys(named, ""), count), named).ids}


def test_kd3_keeps_the_surest_half():
    teacher, student = (0.9, 0.6, 0.4, 0.8), (0.5, 0.7, 0.3, 0.9)
    by_prob = KD3Rows(by="kd3", **MODELS, confidence="max_prob")
    by_log_prob = KD3Rows(by="kd3", **MODELS)
    pairs = [found(with_largest(p), with_largest(q)) for p, q in zip(teacher, student, strict=True)]
    means = [by_prob.measure(pair) for pair in pairs]
    assert means == pytest.approx([0.70, 0.65, 0.35, 0.85])
    assert kept(means, 2) == {3, 0}
    logs = [by_log_prob.measure(pair) for pair in pairs]
    geometric = [0.670820, 0.648074, 0.346410, 0.848528]
    assert [math.exp(value) for value in logs] == pytest.approx(geometric, abs=1e-6)
    assert kept(logs, 2) == {3, 0}


def test_the_product_prefers_what_only_the_teacher_knows():
    uncertain, sure = (0.9, 0.2, 0.6), (0.3, 0.9, 0.8)
    rule = ActiveProduct(by="robust", **MODELS)
    scores = [
        rule.measure(found(with_largest(p), with_largest(1 - u)))
        for u, p in zip(uncertain, sure, strict=True)
    ]
    assert scores == pytest.approx([0.27, 0.18, 0.48])
    assert kept(scores, 1) == {2}
    assert active_product(0.6, 0.8) == pytest.approx(0.48)


def test_disagreement_is_the_mean_divergence():
    log_p, log_q = Z_T.log_softmax(-1), Z_S.log_softmax(-1)
    rule = Disagreement(by="disagreement", **MODELS)
    both = found(log_p, log_q, (0, 3))
    assert rule.measure(both) == pytest.approx(0.369714, abs=1e-6)
    assert divergence_and_confidence(both)["log_p"] == pytest.approx(
        (math.log(0.643914) + math.log(0.106798)) / 2, abs=1e-5
    )
    each = [rule.measure(found(log_p[[n]], log_q[[n]])) for n in range(2)]
    assert each == pytest.approx([0.244744, 0.494684], abs=1e-6)
    assert kept(each, 1) == {1}
    assert choice_shares(each, 0.1) == pytest.approx([0.075901, 0.924099], abs=1e-6)
    assert hardest(each, [-1.0, -2.0]) == 0  # the other one is below the median of the confidence


def test_rows_of_which_the_teacher_is_unsure_do_not_qualify():
    sure = {"a": -3.0, "b": -1.0, "c": -2.0, "d": -0.5, "e": -2.5}
    assert surest_of(sure, 0.5) == {"b", "d", "c"}  # at or above the median
    assert surest_of(sure, 1) == set(sure)
    rule = Disagreement(by="disagreement", **MODELS, share=0.2)
    pool = pool_of({"a": "x", "b": "x", "c": "y", "d": "x", "e": "y"}, 1)
    assert rule.qualified(pool, sure) == {"b", "d", "c"}  # of each group


def test_the_difference_of_losses():
    teacher, reference = (2, 3, 1.5, 2.5), (2.6, 3.1, 2.5, 2.4)
    scores = [difference(r, t) for r, t in zip(reference, teacher, strict=True)]
    assert scores == pytest.approx([0.6, 0.1, 1, -0.1])
    assert kept(scores, 2) == {0, 2}
    losses = mean_losses(found([[-2.0, 0], [-4.0, 0]], [[-1.0, 0], [-1.0, 0]], (0, 0)))
    assert losses == {"teacher": 3.0, "student": 1.0}


@pytest.fixture(scope="module")
def workshop(world, tmp_path_factory):
    recipe = parse_build(
        [
            *("select", "by=pcoreset", f"teacher={world.teacher}", f"student={world.student}"),
            *(f"data={world.data}", "limit=12", "labels=yes,no way"),
        ]
    )
    models = find_models(recipe.settings, recipe.builder)
    folder = tmp_path_factory.mktemp("work")
    return recipe, Workshop(recipe.settings, SourceRows(recipe.settings), models, folder)


def plain_log_probs(folder, row, response):
    """The log-probabilities at a response's tokens in float64, and these tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).double()
    prompt = tokenizer(row.prompt, add_special_tokens=False).input_ids
    answer = tokenizer(response, add_special_tokens=False).input_ids
    ids = torch.tensor([[*prompt, *answer, tokenizer.eos_token_id]])
    with torch.inference_mode():
        logits = model(ids).logits[0, len(prompt) - 1 : -1, : len(tokenizer)]
    return logits.log_softmax(-1), ids[0, len(prompt) :]


def test_scores_of_models_are_those_of_transformers(world, workshop):
    _, work = workshop

    def measure(of):
        q = of.log_probs["student"]
        return {
            "log_p": of.log_p("teacher").tolist(),
            "entropy": float(entropy(q).mean()),
            **{f"mean {key}": value for key, value in divergence_and_confidence(of).items()},
        }

    rows = list(work.rows)
    found = work.score(("teacher", "student"), [TextToScore(row.id, row) for row in rows], measure)
    for row in rows:
        log_p, targets = plain_log_probs(world.teacher, row, row.references[0])
        log_q, _ = plain_log_probs(world.student, row, row.references[0])
        of = found[row.id]
        at_targets = log_p.gather(-1, targets[:, None])[:, 0]
        assert of["log_p"] == pytest.approx(at_targets.tolist(), abs=1e-5)
        assert of["mean log_p"] == pytest.approx(float(at_targets.mean()), abs=1e-5)
        kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
        assert of["mean kl"] == pytest.approx(float(kl), abs=1e-5)
        student = -(log_q.exp() * log_q).sum(-1).mean()
        assert of["entropy"] == pytest.approx(float(student), abs=1e-5)


def test_the_first_token_of_the_mixture_of_both_models(world, workshop):
    recipe, work = workshop
    rows = list(work.rows)[:3]
    rule = recipe.builder.model_copy(update={"labels": (), "teacher_share": 0.25})
    vectors, entropies = rule.vectors(work, rows, 5), rule.entropies(work, rows)
    for row in rows:
        p, q = (
            plain_log_probs(folder, row, row.references[0])[0][0].exp()
            for folder in (world.teacher, world.student)
        )
        mixed = 0.75 * q + 0.25 * p
        largest = mixed.topk(5)
        assert vectors[row.id].places.tolist() == largest.indices.tolist()
        assert vectors[row.id].values == pytest.approx(largest.values.numpy(), abs=1e-5)
        assert entropies[row.id] == pytest.approx(float(-(mixed * mixed.log()).sum()), abs=1e-5)


def test_labels_are_whole_responses(world, workshop):
    recipe, work = workshop
    rows = list(work.rows)[:3]
    vectors = recipe.builder.vectors(work, rows, 50)
    for row in rows:
        of_models = []
        for folder in (world.student, world.teacher):
            logs = []
            for label in ("yes", "no way"):
                log_p, targets = plain_log_probs(folder, row, label)
                logs.append(float(log_p.gather(-1, targets[:, None]).sum()))
            of_models.append(np.exp(logs) / np.exp(logs).sum())
        assert vectors[row.id].values == pytest.approx(sum(of_models) / 2, abs=1e-5)
        assert vectors[row.id].places.tolist() == [0, 1]


def test_the_protocol_of_scores_adds_no_bos(workshop):
    _, work = workshop
    assert not protocol_of(work.settings).add_bos  # as the plain computation above assumes


def test_all_rules_of_the_reference_are_there():
    assert {"pcoreset", "robust", "kd3", "disagreement", "miniplm", "random", "length"} <= set(
        selection_rules.names()
    )
    for name in selection_rules.names():
        rule = selection_rules.get(name)
        assert rule.paper
        if name in ("pcoreset", "robust", "kd3", "disagreement"):
            assert "(adapted)" in rule.title
            assert rule.adapted
