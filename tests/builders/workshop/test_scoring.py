"""Scores on disk: the right numbers, to the last digit, also after an interruption."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from built_sets import prompts, write_rows
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.builders.workshop import scoring
from kdbench.builders.workshop.models import find_models
from kdbench.builders.workshop.scoring import TextToScore
from kdbench.builders.workshop.source import SourceRows
from kdbench.builders.workshop.workshop import Workshop
from kdbench.config.build_keys import BuildSettings
from kdbench.errors import InputError
from kdbench.system.files import Appender
from kdbench.toy.models import World

BATCHES = 3


@pytest.fixture(scope="module")
def work(world: World, tmp_path_factory: pytest.TempPathFactory):
    """A function that makes a workshop of student and teacher with texts to score."""
    folder = tmp_path_factory.mktemp("scoring")
    file = write_rows(folder / "mine.jsonl", prompts(scoring._BATCH * BATCHES - 1))
    settings = BuildSettings(builder="x", train_set=str(file))
    builder = SimpleNamespace(
        models=("teacher", "student"), teacher=str(world.teacher), student=str(world.student)
    )
    models = find_models(settings, builder)
    return lambda place: Workshop(settings, SourceRows(settings), models, place)


def surprise(found: scoring.Distributions) -> dict[str, float]:
    """The mean negative log-probability of a response by each model."""
    return {key: -float(found.log_p(key).mean()) for key in found.log_probs}


def texts(work: Workshop) -> list[TextToScore]:
    """The texts to score: the references of the rows."""
    return [TextToScore(row.id, row) for row in work.rows]


def test_the_numbers_are_those_of_transformers(work, world: World, tmp_path: Path) -> None:
    shop = work(tmp_path)
    row = next(iter(shop.rows))
    asked = [
        TextToScore("a", row, "Rome and Oslo"),
        TextToScore("b", row, "Rome and Oslo", ended=False),
    ]
    found = shop.score(["teacher", "student"], asked, surprise)
    for key, path in {"teacher": world.teacher, "student": world.student}.items():
        model = AutoModelForCausalLM.from_pretrained(path).eval()
        tokenizer = AutoTokenizer.from_pretrained(path)
        prompt = tokenizer(row.prompt, add_special_tokens=False)["input_ids"]
        response = tokenizer("Rome and Oslo", add_special_tokens=False)["input_ids"]
        for name, ids in {"a": [*response, tokenizer.eos_token_id], "b": response}.items():
            with torch.inference_mode():
                logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
            log_p = logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])
            assert found[name][key] == pytest.approx(-float(log_p.mean()), abs=1e-4)
            assert found[name]["tokens"] == len(prompt + ids)
    assert shop.cost["teacher"]["scored_texts"] == 2


@pytest.mark.parametrize("after", [1, scoring._BATCH, scoring._BATCH + 3])
def test_an_interrupted_call_gives_the_same_numbers(
    work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = work(tmp_path / "a")
    expected = whole.score(["teacher"], texts(whole), surprise)
    assert any(value["teacher"] != round(value["teacher"], 6) for value in expected.values())
    add, lines, measured = Appender.add, [], []

    def stops(self: Appender, record: object) -> None:
        if len(lines) == after:
            raise KeyboardInterrupt
        lines.append(record)
        add(self, record)

    shop = work(tmp_path / "b")
    with monkeypatch.context() as patch:
        patch.setattr(Appender, "add", stops)
        with pytest.raises(KeyboardInterrupt):
            shop.score(["teacher"], texts(shop), surprise)

    def counted(found: scoring.Distributions) -> dict[str, float]:
        measured.append(found.text.id)
        return surprise(found)

    again = work(tmp_path / "b")
    assert again.score(["teacher"], texts(again), counted) == expected  # to the last digit
    assert len(measured) == len(expected) - after
    assert again.cost == whole.cost
    read = work(tmp_path / "b")
    assert read.score(["teacher"], texts(read), pytest.fail) == expected


def test_a_text_without_a_token_to_score_has_no_numbers(work, tmp_path: Path) -> None:
    shop = work(tmp_path)
    row = next(iter(shop.rows))
    asked = [TextToScore("empty", row, "  "), TextToScore("said", row, "Rome")]
    found = shop.score(["teacher"], asked, surprise)
    assert list(found) == ["said"]
    assert work(tmp_path).score(["teacher"], asked, pytest.fail) == found


def test_numbers_that_are_not_finite_are_refused(work, tmp_path: Path) -> None:
    shop = work(tmp_path)
    with pytest.raises(InputError, match="text 'r0': bad is not finite"):
        shop.score(["teacher"], texts(shop), lambda _: {"good": 1.0, "bad": float("nan")})
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        ({"tokens": 3.5}, "named 'tokens', which is that of the text's length; rename it"),
        (3.5, "text 'r0': its measure must return numbers by name, not 3.5"),
        ({"x": torch.ones(2)}, "text 'r0': its measure must return numbers, or lists of them"),
    ],
)
def test_what_a_measure_must_not_return(work, tmp_path: Path, numbers: object, fault: str) -> None:
    shop = work(tmp_path)
    with pytest.raises(InputError, match=fault):
        shop.score(["teacher"], texts(shop), lambda _: numbers)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_two_texts_of_one_id_are_refused(work, tmp_path: Path) -> None:
    shop = work(tmp_path)
    with pytest.raises(InputError, match="two texts of one call have the id 'r1'"):
        shop.score(["teacher"], [*texts(shop), texts(shop)[1]], pytest.fail)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(
    work, world: World, tmp_path: Path
) -> None:
    shop = work(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(world.student).eval()
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    model.resize_token_embeddings(len(tokenizer) // 2)
    shop.models["student"].__dict__["loaded"] = model, tokenizer
    with pytest.raises(InputError, match="student=student: its tokenizer has 512 tokens, and its"):
        shop.score(["teacher", "student"], texts(shop), surprise)


@pytest.mark.parametrize(
    "line", ['{"id": "r0"}', '{"id": "r0", "numbers": 3}', '{"id": "r0", "numbers": "{"}', "[]"]
)
def test_a_damaged_line_is_named(work, tmp_path: Path, line: str) -> None:
    shop = work(tmp_path)
    shop.score(["teacher"], texts(shop)[:2], surprise)
    (file,) = (tmp_path / "scores").iterdir()
    file.write_text(f"{line}\n")
    with pytest.raises(InputError, match=f"{file.name}:1: "):
        work(tmp_path).score(["teacher"], texts(shop)[:2], surprise)


def test_models_with_other_tokens_are_refused(
    work, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = work(tmp_path)
    other = AutoTokenizer.from_pretrained(world.student)
    other.add_tokens(["<new>"])
    vocabulary = other.get_vocab()
    swapped = {token: len(vocabulary) - 1 - number for token, number in vocabulary.items()}
    monkeypatch.setattr(
        type(other), "get_vocab", lambda self: swapped if self is other else vocabulary
    )
    monkeypatch.setitem(shop.models["student"].__dict__, "loaded", (None, other))
    with pytest.raises(InputError, match="student=student: its tokens are not those of teacher="):
        shop.score(["teacher", "student"], texts(shop), surprise)
