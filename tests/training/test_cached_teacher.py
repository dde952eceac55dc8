"""A cached teacher in training: the likeliest tokens of the data set's responses, and no more."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from small_context import EXAMPLES, V, tiny_llama

import kdbench
from kdbench.checkpoint import find_checkpoint
from kdbench.distillation.teacher_scores import PassOptions, score_responses
from kdbench.divergence import forward_kl, generalised_jsd, reverse_kl
from kdbench.errors import InputError
from kdbench.scores.cache import TopKCache
from kdbench.training import CrossEntropy, Match, Objective, Term
from kdbench.training.cached_teacher import CachedTeacherView
from kdbench.training.loss import distillation_loss
from kdbench.views.rollout import Batch, Rollout, of_dataset
from kdbench.views.view import ModelView

ROWS = [of_dataset(example) for example in EXAMPLES]
FEW = {
    "method": "kd",
    "steps": 2,
    "batch_size": 8,
    "limit": 16,
    "learning_rate": 1e-2,
    "max_new_tokens": 4,
    "validation_limit": 2,
    "device": "cpu",
    "precision": "float32",
}


def live():
    return ModelView(tiny_llama(2).requires_grad_(False), V)


def cached(folder: Path, top_k: int) -> CachedTeacherView:
    cache = TopKCache(folder)
    score_responses(cache, live(), EXAMPLES, top_k, PassOptions(rows=len(EXAMPLES)))
    return CachedTeacherView(TopKCache(folder), top_k)


def logits_of(view, rows=ROWS):
    with torch.no_grad():
        return view.logits(view.states(Batch(rows)))


@pytest.mark.parametrize("divergence", [forward_kl, reverse_kl, generalised_jsd])
def test_all_tokens_are_the_live_teacher_bit_for_bit(tmp_path: Path, divergence) -> None:
    by_length = sorted(ROWS, key=lambda row: len(row.prompt_ids) + len(row.response_ids))
    results = []
    for teacher in (live(), cached(tmp_path, V)):
        student = tiny_llama(1)
        views = {"student": ModelView(student, V), "teacher": teacher}
        loss = distillation_loss([Term(Match(divergence))], Batch(by_length), views)
        loss.value.backward()
        gradients = [p.grad for p in student.parameters()]
        results.append([loss.value.detach(), *gradients])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)


def test_the_likeliest_tokens_and_the_rest_are_all(tmp_path: Path) -> None:
    top = cached(tmp_path, 4).top_k(Batch(ROWS))
    p = logits_of(live()).softmax(-1)
    values, ids = p.topk(4)
    assert top.ids.tolist() == ids.tolist()
    torch.testing.assert_close(top.log_p.exp(), values)
    torch.testing.assert_close(top.log_rest.exp(), 1 - values.sum(-1))


def test_the_loss_is_that_of_the_top_and_the_rest(tmp_path: Path) -> None:
    teacher = cached(tmp_path, 3)
    student = ModelView(tiny_llama(1), V)
    terms = [Term(Match(forward_kl))]
    views = {"student": student, "teacher": teacher}
    value = float(distillation_loss(terms, Batch(ROWS), views).value.detach())
    p, q = logits_of(live()).softmax(-1).double(), logits_of(student).softmax(-1).double()
    expected = 0.0
    for one, other in zip(p.tolist(), q.tolist(), strict=True):
        kept = sorted(range(V), key=lambda token: -one[token])[:3]
        pairs = [(one[t], other[t]) for t in kept]
        pairs.append((1 - sum(a for a, _ in pairs), 1 - sum(b for _, b in pairs)))
        expected += sum(a * torch.log(torch.tensor(a / b)).item() for a, b in pairs) / len(p)
    assert value == pytest.approx(expected, rel=1e-4)
    whole = {"student": student, "teacher": live()}
    assert value < float(distillation_loss(terms, Batch(ROWS), whole).value.detach())


class Ratio(Objective):
    """Needs the teacher's probability of the response's own token, and its entropy."""

    takes_top_k = True

    def plan(self, plan):
        return {"log_p": plan.log_prob("teacher"), "entropy": plan.entropy("teacher")}

    def token(self, chunk):
        own = chunk.of_target(chunk.log_q)
        return (own - chunk.plan["log_p"]) * own.detach() + chunk.plan["entropy"]


def test_a_plan_sees_the_tokens_probability_and_the_entropy(tmp_path: Path) -> None:
    values = []
    for teacher in (cached(tmp_path, 2), live()):
        views = {"student": ModelView(tiny_llama(1), V), "teacher": teacher}
        loss = distillation_loss([Term(Ratio())], Batch(ROWS), views)
        values.append(float(loss.value.detach()))
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_plain_texts_need_no_scores_and_other_responses_do(tmp_path: Path) -> None:
    views = {"student": ModelView(tiny_llama(1), V), "teacher": cached(tmp_path, 3)}
    terms = [
        Term(Match(forward_kl), on=("dataset",)),
        Term(CrossEntropy(), on=("pretraining",)),
    ]
    text = Rollout("text-0", (5,), (6, 7), "pretraining")
    amounts = [9, 2]
    both = distillation_loss(terms, Batch([*ROWS, text]), views, amounts)
    alone = distillation_loss(terms, Batch(ROWS), views, amounts)
    assert torch.isfinite(both.value)
    assert float(both.terms[0]) == pytest.approx(float(alone.terms[0]), rel=1e-5)
    sampled = Rollout("a", (3, 4), (5, 5), "student")
    with pytest.raises(InputError, match=r"no scores of this response to row 'a' \(origin student"):
        distillation_loss([Term(Match(forward_kl))], Batch([sampled]), views)
    with pytest.raises(InputError, match="has the top 3 tokens alone"):
        views["teacher"].states(Batch(ROWS))


# The command


def run(world, out: Path, **settings: object):
    both = {"student": str(world.student), "data": world.data}
    return kdbench.train(**{**FEW, **both, "out": out, **settings})


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def made(world, tmp_path_factory) -> Path:
    """A cache, and the run that made it."""
    folder = tmp_path_factory.mktemp("cached")
    run(world, folder / "made", teacher=world.teacher, teacher_cache=folder / "c", teacher_top_k=8)
    return folder


def test_a_run_from_a_cache_is_the_run_that_made_it(world, made: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        "kdbench.distillation.teachers.load_checkpoint", lambda *_: pytest.fail("loaded")
    )
    again = run(world, made / "again", teacher=f"cache:{made / 'c'}")
    assert weights(made / "again") == weights(made / "made")
    ours = again.card["training"]
    assert ours["teacher"]["top_k"] == 8
    assert ours["teacher"]["sha256"] == find_checkpoint(str(world.teacher)).sha256
    assert ours == json.loads((made / "made" / "kdbench.json").read_text())["training"]


def test_a_run_from_a_cache_is_not_that_of_the_model(world, made: Path) -> None:
    with pytest.raises(InputError, match=r"different teacher top_k \(was 8, is None\)"):
        run(world, made / "made", teacher=world.teacher)


def test_a_pass_that_was_killed_goes_on(world, tmp_path: Path, monkeypatch, made: Path) -> None:
    settings = {"teacher": world.teacher, "teacher_cache": tmp_path / "c", "teacher_top_k": 8}
    write, calls = TopKCache.write, []

    def killed(self, tensors, places):
        calls.append(places)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(self, tensors, places)

    monkeypatch.setattr(TopKCache, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run(world, tmp_path / "x", **settings)
    with pytest.raises(InputError, match=r"no scores of 8 of the 16 responses of dolly"):
        run(world, tmp_path / "x", teacher=f"cache:{tmp_path / 'c'}")
    run(world, tmp_path / "x", **settings)
    assert len(calls) == 3
    assert not set(calls[0]) & set(calls[2])
    assert weights(tmp_path / "x") == weights(made / "made")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"method": "gkd"}, "method=gkd needs the teacher's scores of new responses"),
        ({"method": "minillm"}, "method=minillm needs the teacher's"),
        ({"method": "taid"}, r"method=taid needs the teacher's whole distribution \(cross_entropy"),
        ({"method": "kd", "temperature": 2.0}, r"whole distribution \(forward_kl\(temperature=2"),
        ({"method": "seqkd"}, "method=seqkd needs responses of the teacher"),
        ({"method": "sft"}, "method=sft reads no scores in training"),
        ({"method": "classmate"}, "method=classmate needs the teacher's whole distribution"),
        ({"teacher_cache": "x"}, "is a cache already; leave out teacher_cache="),
        ({"teacher_dtype": "bfloat16"}, "teacher_dtype=bfloat16: teacher=cache:.* is of float32"),
        ({"student": "prune:teacher,layers=2"}, "a cache has no weights; name the teacher"),
        ({"teacher": "cache:nowhere"}, "teacher=cache:nowhere: no teacher.json"),
        ({"limit": 20}, "no scores of 4 of the 20 responses of dolly.*, the first is row"),
        ({"teacher_top_k": 8}, "teacher_top_k= has no effect without teacher_cache=DIR"),
    ],
)
def test_what_a_cache_cannot_do_is_one_line(
    world, made: Path, tmp_path: Path, settings, line
) -> None:
    given = {"teacher": f"cache:{made / 'c'}", **settings}
    with pytest.raises(InputError, match=line) as error:
        run(world, tmp_path / "x", **given)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_another_tokenizer_is_refused(world, made: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(world.student, other)
    file = other / "tokenizer.json"
    tokenizer = json.loads(file.read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    first, second = sorted(vocabulary, key=vocabulary.get)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(tokenizer), "utf-8")
    with pytest.raises(InputError, match="student and teacher have different tokenizers"):
        run(world, tmp_path / "x", student=str(other), teacher=f"cache:{made / 'c'}")
    copy = tmp_path / "copy"
    shutil.copytree(made / "c", copy)
    record = json.loads((copy / "teacher.json").read_text())
    (copy / "teacher.json").write_text(json.dumps({**record, "vocabulary": 99}))
    with pytest.raises(InputError, match=r"made over 99 tokens, but this student shares \d+"):
        run(world, tmp_path / "x", teacher=f"cache:{copy}")
    with pytest.raises(InputError, match="made with top_k 8, not 9; choose another folder"):
        run(world, tmp_path / "x", teacher=world.teacher, teacher_cache=made / "c", teacher_top_k=9)
