"""Responses on disk: what was kept is not asked again, and what it cost is the same."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from kdbench.builders.workshop.models import find_models
from kdbench.builders.workshop.questions import ModelQuestion, instruction
from kdbench.builders.workshop.sampling import SampleLine, cost_of
from kdbench.builders.workshop.source import SourceRows
from kdbench.builders.workshop.workshop import Workshop
from kdbench.config.build_keys import BuildSettings
from kdbench.errors import InputError
from kdbench.toy.models import World

ASKED = [ModelQuestion(f"q{n}", f"Say {n}", f"Say {n}") for n in range(6)]


@pytest.fixture
def work(world: World, told, tmp_path: Path):
    """A function that makes a workshop of the scripted backend in the same folder."""
    settings = BuildSettings(builder="x", backend="told")
    builder = SimpleNamespace(models=("teacher", "other"), teacher=str(world.teacher), other=None)
    models = find_models(settings, builder)
    return lambda: Workshop(settings, SourceRows(settings), models, tmp_path / "work")


def test_a_second_workshop_finds_what_the_first_was_told(work, told) -> None:
    first = work().sample("teacher", ASKED, 2)
    assert list(first) == [question.id for question in ASKED]
    assert all(len(responses) == 2 for responses in first.values())
    told.reset()
    assert work().sample("teacher", ASKED, 2) == first
    assert not told.asked


@pytest.mark.parametrize(
    "changed",
    [
        {"questions": ASKED[:5]},
        {"questions": [*ASKED[:5], ModelQuestion("q5", "Say 6", "Say 6")]},
        {"samples": 3},
        {"step": "again"},
        {"temperature": 0.5},
    ],
)
def test_anything_else_is_asked_anew(work, told, changed) -> None:
    work().sample("teacher", ASKED, 2)
    told.reset()
    work().sample("teacher", **{"questions": ASKED, "samples": 2} | changed)
    assert told.asked


def test_two_questions_of_one_id_are_refused(work, told) -> None:
    with pytest.raises(InputError, match="two questions of one call have the id 'q1'"):
        work().sample("teacher", [*ASKED, ASKED[1]])
    assert not told.asked


def test_responses_to_one_question_have_seeds_of_their_own(work, told) -> None:
    work().sample("teacher", ASKED[:2], 3)
    seeds = {seed for _, seed in told.asked}
    assert len(seeds) == 3
    assert 10 in seeds  # that of the key, so that one response is that of the method seqkd
    assert not seeds & {seed + 1 for seed in seeds}


def test_a_changed_protocol_is_that_of_the_call_alone(work) -> None:
    shop = work()
    cold = shop.sample("teacher", ASKED[:1], 1, "cold", temperature=0.25)
    warm = shop.sample("teacher", ASKED[:1], 1, "warm")
    assert cold["q0"][0].text.endswith(" 0.25")
    assert warm["q0"][0].text.endswith(" 1.0")


def test_one_engine_serves_all_numbers_of_samples_and_rests_for_another(work, told) -> None:
    shop = work()
    for samples in (1, 2, 3):
        shop.sample("teacher", ASKED[:1], samples)
    assert (told.made, told.stopped) == (1, 0)
    shop.sample("teacher", ASKED[:1], 1, temperature=0.5)
    assert (told.made, told.stopped) == (2, 1)
    shop.stop()
    assert told.stopped == 3


def test_half_a_line_is_asked_again(work, told, tmp_path: Path) -> None:
    first = work().sample("teacher", ASKED)
    (file,) = (tmp_path / "work/responses").iterdir()
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:4]) + lines[4][:9])
    told.reset()
    assert work().sample("teacher", ASKED) == first
    assert [asked for asked, _ in told.asked] == ["q4", "q5"]
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"id": "q0"}', "'seed'"),
        ('{"id": "q0", "seed": 10, "output": 3}', "'output'"),
        ("[]", "not a JSON object"),
        ("{oops", "not a line of JSON"),
    ],
)
def test_a_damaged_line_is_named(work, tmp_path: Path, line: str, named: str) -> None:
    work().sample("teacher", ASKED)
    (file,) = (tmp_path / "work/responses").iterdir()
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], line, *lines[2:]]) + "\n")
    with pytest.raises(InputError, match=f"{file.name}:2: .*{named}"):
        work().sample("teacher", ASKED)


def test_no_question_costs_nothing(work, told) -> None:
    shop = work()
    assert shop.sample("teacher", []) == {}
    assert not told.made
    assert not shop.cost


def test_a_model_that_was_not_named_is_an_error(work) -> None:
    with pytest.raises(InputError, match="other= is missing: name a checkpoint"):
        work().sample("other", ASKED)


def test_what_a_server_does_not_count_is_left_out(work) -> None:
    shop = work()
    shop.sample("teacher", ASKED, 2)
    assert shop.cost == {"teacher": {"responses": 12}}


def test_a_prompt_is_read_once_for_all_responses_to_it() -> None:
    lines = [
        SampleLine(id=f"q{n}", seed=seed, output="x", finish="stop", tokens=3, prompt_tokens=5)
        for n in range(2)
        for seed in range(4)
    ]
    assert cost_of(lines, 100) == {
        "responses": 8,
        "prompt_tokens": 10,
        "response_tokens": 24,
        "flops": 2 * 100 * (10 + 24),
    }
    lines[3].tokens = None
    assert cost_of(lines, 100) == {
        "responses": 8,
        "prompt_tokens": 10,
        "response_tokens": None,
        "flops": None,
    }


def test_the_cost_of_a_resumed_build_is_that_of_the_whole(work, tmp_path: Path) -> None:
    first = work()
    first.sample("teacher", ASKED)
    (file,) = (tmp_path / "work/responses").iterdir()
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    again = work()
    again.sample("teacher", ASKED)
    assert again.cost == first.cost


def test_draws_depend_on_seed_and_key_alone(work, tmp_path: Path) -> None:
    shop = work()
    drawn = shop.random("a", 1).random()
    assert drawn == work().random("a", 1).random()
    assert drawn != shop.random("a", 2).random()
    settings = BuildSettings(builder="x", seed=11)
    other = Workshop(settings, SourceRows(settings), {}, tmp_path)
    assert drawn != other.random("a", 1).random()


def test_an_instruction_has_the_form_of_the_tasks() -> None:
    asked = instruction("x", "Sort the list.", "b a")
    assert asked.prompt.endswith("### Input:\nb a\n\n### Response:\n")
    assert asked.message == "Sort the list.\n\nb a"
