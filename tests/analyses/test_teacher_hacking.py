"""What teacher_hacking trains: the same for all sources but their responses."""

import json
from pathlib import Path

import pytest

from kdbench.analyses import analyses
from kdbench.analyses.core.bench import AnalysisBench, AnalysisWorld
from kdbench.distillation.recipe import make_recipe
from kdbench.errors import InputError
from kdbench.filling.spec import make_spec


def made(**keys):
    return analyses.get("teacher_hacking")(**keys)


@pytest.fixture
def toy(world):
    folder = world.data.parent
    return AnalysisWorld("toy", str(world.student), str(world.teacher), world.data, folder)


def test_sources_differ_in_their_responses_alone(toy):
    analysis = made(prompts=8, completions=3, batch_size=4, passes=6)
    table = analysis.rows(toy, Path("repeated.jsonl"))
    spec = make_spec({**table, "data": toy.data}, "test")
    assert spec.train["steps"] == 12  # 6 passes over 8 prompts, 4 a step
    assert spec.train["validate_every"] == 1
    assert spec.train["dropout"] is False
    assert spec.train["watch"] == {"oracle": toy.teacher, "teacher": "teacher"}
    assert [row.label for row in spec.rows] == ["fixed", "fixed x3", "fresh teacher", "student"]
    assert spec.rows[1].train["limit"] == 24
    sources = []
    for row in spec.rows:
        own = {key: value for key, value in row.train.items() if key not in ("limit", "valid_set")}
        recipe = make_recipe({**spec.train, **own, "student": "s", "teacher": "t"})
        triple = recipe.method.triple()
        ((term, source),) = [(triple.terms[0].objective, str(triple.source))]
        sources.append(source)
        assert str(term) in ("forward_kl", "generalised_jsd(teacher_weight=0)")
    assert sources == ["teacher", "teacher", "teacher, anew", "student"]


def test_teacher_and_start_learn_the_oracles_responses_from_random_weights(toy):
    table = made(teacher_prompts=5, teacher_steps=7).rows(toy, Path("x.jsonl"))
    teacher, start = table["teacher"]["train"], table["student"]["train"]
    assert (teacher["student"], start["student"]) == (
        f"random:{toy.teacher}",
        f"random:{toy.student}",
    )
    assert teacher["teacher"] == start["teacher"] == toy.teacher
    assert (teacher["limit"], teacher["steps"]) == (5, 7)


def test_steps_take_precedence_over_passes():
    assert made(steps=3).planned_steps == 3
    assert made(prompts=1, passes=1).planned_steps == 1


def bench_of(tmp_path, **keys):
    analysis = made(out=tmp_path / "o", results=tmp_path / "r", **keys)
    return analysis, AnalysisBench(analysis, "teacher_hacking", "toy", needs_teacher=True)


def test_each_prompt_gets_an_id_for_each_of_its_responses(world, tmp_path):
    own = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    analysis, bench = bench_of(tmp_path, **own, oracle=str(world.teacher), prompts=3, completions=2)
    file = analysis._repeated_prompts(bench)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    lines = (world.data / "dolly" / "train.jsonl").read_text().splitlines()
    known = [json.loads(line) for line in lines[:3]]
    assert [row["id"] for row in rows] == [f"{row['id']}-{n}" for n in range(2) for row in known]
    assert [row["instruction"] for row in rows[:3]] == [row["instruction"] for row in known]
    assert len({row["id"] for row in rows}) == 6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "oracle= is missing"),
        ({"oracle": "nowhere"}, "oracle=nowhere"),
        ({"oracle": "TEACHER", "train_set": "none"}, r"none/train\.jsonl: No such file"),
    ],
)
def test_what_is_missing_is_one_line_before_any_work(keys, message, world, tmp_path):
    own = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    if keys.get("oracle") == "TEACHER":
        keys = {**keys, "oracle": str(world.teacher)}
    analysis, bench = bench_of(tmp_path, **own, **keys)
    with pytest.raises(InputError, match=message):
        analysis.run(bench)
    assert list(tmp_path.iterdir()) == []
