"""A teacher's responses as a data set."""

import json
from pathlib import Path

import pytest
from built_sets import lines_of, rows_of, write_rows
from ward import diagnose

from kdbench.distillation.recipe import make_recipe
from kdbench.distillation.train import train
from kdbench.errors import InputError
from kdbench.toy.models import World


def test_a_killed_build_resumes_with_the_same_bytes(world: World, build_killed_and_resumed) -> None:
    words = ["teacher_responses", f"teacher={world.teacher}", f"data={world.data}", "limit=6"]
    words += ["responses=2", "max_new_tokens=8", "batch_size=4"]
    built = build_killed_and_resumed(words, often=True)
    assert len(lines_of(built / "dolly/train.jsonl")) == 12


@pytest.fixture(scope="module")
def data(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy set with few rows."""
    folder = tmp_path_factory.mktemp("few")
    for split, count in {"train": 16, "valid": 2}.items():
        lines = (world.data / f"dolly/{split}.jsonl").read_text().splitlines()[:count]
        write_rows(folder / f"dolly/{split}.jsonl", map(json.loads, lines))
    return folder


def test_fine_tuning_on_it_is_seqkd(world: World, data: Path, build_it, tmp_path: Path) -> None:
    """The same texts, and the same loss at each step to the last digit."""
    built = build_it("teacher_responses", teacher=str(world.teacher), data=data, max_new_tokens=12)
    shared = {
        "student": str(world.student),
        "batch_size": 4,
        "steps": 3,
        "seed": 10,
        "log_every": 1,
        "device": "cpu",
        "max_new_tokens": 12,
        "validation_samples": 1,
    }
    seqkd = {"method": "seqkd", "teacher": str(world.teacher), "data": str(data)}
    seqkd |= {"truncated_end": "append"}  # fine-tuning appends it to all references
    sft = {"method": "sft", "data": str(built.folder), "train_set": built.card.set}
    for name, keys in {"seqkd": seqkd, "sft": sft}.items():
        train(make_recipe({**shared, **keys, "out": str(tmp_path / name)}))
    (kept,) = (tmp_path / "teacher-responses").glob("*/dolly/train.jsonl")
    texts = {row["id"]: row["output"] for row in lines_of(kept)}
    assert {row["id"]: row["output"] for row in rows_of(built)} == texts
    losses = {
        name: [line.get("loss") for line in lines_of(tmp_path / name / "training.jsonl")]
        for name in ("seqkd", "sft")
    }
    assert losses["seqkd"] == losses["sft"]
    assert len([loss for loss in losses["sft"] if loss]) >= 3


def test_the_doctor_reads_it(world: World, data: Path, build_it) -> None:
    built = build_it("teacher_responses", teacher=str(world.teacher), data=data, max_new_tokens=12)
    keys = [f"student={world.student}", f"data={built.folder}", f"train_set={built.card.set}"]
    found = diagnose("train", "method=sft", *keys, "device=cpu")
    assert not [finding for finding in found.findings if "row" in finding.what]
    assert not found.not_run


def test_greedy_responses_and_cut_ones(world: World, data: Path, build_it) -> None:
    keys = {"teacher": str(world.teacher), "data": data, "temperature": 0, "max_new_tokens": 3}
    built = build_it("teacher_responses", "kept", **keys)
    other = build_it("teacher_responses", "other", **keys, seed=11)
    assert [row["output"] for row in rows_of(built)] == [row["output"] for row in rows_of(other)]
    cut = built.card.figures["cut responses"]
    assert cut
    rest = build_it("teacher_responses", "rest", **keys, cut="drop")
    assert len(rows_of(rest)) == 16 - cut
    assert rest.card.figures["removed: cut response"] == cut
    with pytest.raises(InputError, match="responses=2: temperature=0 is greedy decoding"):
        build_it("teacher_responses", **keys, responses=2)
