"""A teacher of a different tokenizer, from end to end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.measuring.measurement import Evaluation
from kdbench.store.results import MetricResult
from kdbench.task import load_tasks
from kdbench.toy.models import World

Compare = Callable[..., Evaluation]
ACROSS = ("fkl", "rkl", "jsd", "acceptance", "top1")
ASKED = (*ACROSS, "bits_per_byte", "teacher_bits_per_byte", "aligned", "rougeL_teacher", "kendall")


def rows(evaluation: Evaluation) -> dict[str, MetricResult]:
    return dict(evaluation.results["dolly"].metrics)


def renumbered(content: dict[str, Any]) -> None:
    """Rotate the ids of 40 tokens, so that the same texts have different tokens."""
    vocabulary = content["model"]["vocab"]
    names = sorted(vocabulary, key=vocabulary.__getitem__)[100:140]
    ids = [vocabulary[name] for name in names]
    vocabulary |= dict(zip(names, [*ids[1:], ids[0]], strict=True))


def renumbered_weights(model: Any) -> None:
    """The embeddings of those tokens, moved with their ids."""
    weight = model.get_input_embeddings().weight.data
    ids = torch.arange(100, 140)
    weight[ids.roll(-1)] = weight[ids].clone()


def without_merges(content: dict[str, Any]) -> None:
    content["model"]["merges"] = []


def test_a_teacher_with_renumbered_tokens_compares_as_it_did_before(
    compare: Compare, generated: Path, changed_teacher: Any, world: World
) -> None:
    """Equal to the plain metrics where the tokens are equal but for their ids."""
    plain = rows(compare(generated, metrics=ASKED))
    tokenizer = AutoTokenizer.from_pretrained(world.teacher)
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    assert [number for _, number in by_id] == list(range(len(by_id)))
    other = changed_teacher("renumbered", renumbered, renumbered_weights)
    aligned = rows(compare(generated, teacher=other, metrics=ASKED))
    for name in ("fkl@ref", "rkl@ref", "jsd@ref", "acceptance@ref", "top1@ref"):
        assert aligned[name].value == pytest.approx(plain[name].value, abs=2e-6)
        assert aligned[name].bound is None
    for name in ("bits_per_byte@ref", "teacher_bits_per_byte@ref"):
        assert aligned[name].value == pytest.approx(plain[name].value, abs=2e-6)
    assert aligned["aligned@ref"].value == 1
    assert plain["aligned@ref"].value == 1


def log_probs(folder: Any, prompt: str, text: str) -> tuple[list[int], torch.Tensor]:
    """Tokens of a text, and the log-probabilities at each of them and after the last, float64."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).double().eval()
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([before + ids])).logits[0, len(before) - 1 :]
    return ids, logits[:, : len(tokenizer)].log_softmax(-1)


def by_hand(world: World, other: str, prompt: str, text: str) -> dict[str, float]:
    """The metrics of one reference, token by token: the teacher reads letters."""
    ours, log_q = log_probs(world.student, prompt, text)
    theirs, log_p = log_probs(other, prompt, text)
    student, teacher = (AutoTokenizer.from_pretrained(f) for f in (world.student, other))
    places = {len(teacher.decode(theirs[:index])): index for index in range(len(theirs) + 1)}
    ends = student.eos_token_id
    kl, agree = [], []
    for index in range(len(ours) + 1):
        meeting = places[len(student.decode(ours[:index]))]  # letters begin everywhere
        p, q = log_p[meeting], log_q[index]
        kl.append(float((p.exp() * (p - q)).sum()))
        agree.append(float(p.argmax() == q.argmax()))
    assert ends == teacher.eos_token_id
    bits = -sum(log_q[i, t] for i, t in enumerate(ours)) / torch.log(torch.tensor(2.0))
    teacher_bits = -sum(log_p[i, t] for i, t in enumerate(theirs)) / torch.log(torch.tensor(2.0))
    size = len(text.encode())
    return {
        "fkl@ref": sum(kl) / len(kl),
        "top1@ref": sum(agree) / len(agree),
        "bits_per_byte@ref": float(bits) / size,
        "teacher_bits_per_byte@ref": float(teacher_bits) / size,
    }


def test_a_teacher_that_reads_letters_is_compared_where_the_students_tokens_begin(
    compare: Compare, generated: Path, changed_teacher: Any, world: World
) -> None:
    other = changed_teacher("letters", without_merges)
    evaluation = compare(generated, teacher=other, metrics=ASKED, limit=1, max_new_tokens=60)
    measured = rows(evaluation)
    row = json.loads((world.data / "dolly" / "test.jsonl").read_text("utf-8").splitlines()[0])
    (task,) = load_tasks(["dolly"], world.data, 1)
    expected = by_hand(world, other, task.documents[0].prompt, row["output"][0])
    for name, value in expected.items():
        assert measured[name].value == pytest.approx(value, abs=2e-5), name
    assert measured["aligned@ref"].value == 1
    assert measured["kendall@ref"].reason.startswith(
        "student and teacher have different tokenizers"
    )
    for name in ("acceptance@student", "fkl@teacher", "rougeL_teacher"):
        assert measured[name].value is not None
    facts = json.loads((evaluation.run / "dolly.json").read_text("utf-8"))["teacher"]
    assert facts["tokenizers"].startswith("student and teacher have different tokenizers")


def test_texts_that_are_too_long_in_the_teachers_tokens_are_left_out(
    compare: Compare, generated: Path, changed_teacher: Any
) -> None:
    def few_positions(model: Any) -> None:
        model.config.max_position_embeddings = 60 + 18  # for what it generates itself

    other = changed_teacher("short", without_merges, few_positions)
    evaluation = compare(generated, teacher=other, metrics=("fkl",), max_prompt_tokens=60)
    facts = json.loads((evaluation.run / "dolly.json").read_text("utf-8"))["teacher"]
    assert facts["left_out"]["student"] > 0
    assert rows(evaluation)["fkl@teacher"].value is not None
