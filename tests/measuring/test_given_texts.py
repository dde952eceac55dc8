"""Given texts are scored as generated ones are; a stored run can be scored again."""

import json
from pathlib import Path

import pytest

import kdbench
from kdbench.errors import InputError
from kdbench.measuring.measurement import Evaluation
from kdbench.toy.models import World


@pytest.fixture
def stored(world: World, tmp_path: Path) -> Evaluation:
    return kdbench.evaluate(
        model=str(world.student),
        data=world.data,
        tasks=("dolly",),
        seeds=(10, 20),
        max_new_tokens=24,
        results=tmp_path / "results",
        device="cpu",
    )


def test_scores_of_a_file_equal_those_of_the_run(
    stored: Evaluation, world: World, tmp_path: Path
) -> None:
    scored = kdbench.score(
        samples=stored.run / "samples" / "dolly.jsonl",
        task="dolly",
        data=world.data,
        name="elsewhere",
        results=tmp_path / "external",
    )
    ours, theirs = stored.results["dolly"].metrics, scored.results["dolly"].metrics
    assert set(theirs) == set(ours) - {"lm_loss"}
    assert all(theirs[name] == ours[name] for name in theirs)
    record = json.loads((scored.run / "run.json").read_text())
    assert record["backend"]["name"] == "external"
    assert record["protocol"] == {"name": "external", "seeds": [10, 20]}
    assert scored.run.parent.name == "elsewhere"


def test_only_id_and_output_are_required(world: World, tmp_path: Path) -> None:
    rows = [
        json.loads(line) for line in (world.data / "dolly" / "test.jsonl").read_text().splitlines()
    ]
    lines = [json.dumps({"id": row["id"], "output": row["output"][0]}) for row in rows]
    (tmp_path / "perfect.jsonl").write_text("\n".join(lines))  # no newline at the end
    scored = kdbench.score(
        samples=tmp_path / "perfect.jsonl",
        task="dolly",
        data=world.data,
        results=tmp_path / "results",
    )
    metrics = scored.results["dolly"].metrics
    assert metrics["rougeL"].value == metrics["exact_match"].value == 100
    assert metrics["response_length"].value is None
    assert metrics["response_length"].reason == "not known for these samples"


def test_a_given_protocol_is_recorded(stored: Evaluation, world: World, tmp_path: Path) -> None:
    scored = kdbench.score(
        samples=stored.run / "samples" / "dolly.jsonl",
        task="dolly",
        data=world.data,
        protocol="minillm",
        max_new_tokens=24,
        results=tmp_path / "external",
    )
    assert scored.results["dolly"].fingerprint == stored.results["dolly"].fingerprint


def test_a_stored_run_is_scored_again_without_its_checkpoint(
    stored: Evaluation, world: World
) -> None:
    file = stored.run / "dolly.json"
    before = file.read_bytes()
    file.unlink()
    again = kdbench.score(run=stored.run, data=world.data)
    assert file.read_bytes() == before
    assert again.results["dolly"].metrics["lm_loss"].value is not None


def test_a_stored_run_is_not_scored_on_different_data(stored, world: World, tmp_path: Path) -> None:
    (tmp_path / "other" / "dolly").mkdir(parents=True)
    text = (world.data / "dolly" / "test.jsonl").read_text()
    (tmp_path / "other" / "dolly" / "test.jsonl").write_text(text.replace("a", "o"))
    with pytest.raises(InputError):
        kdbench.score(run=stored.run, data=tmp_path / "other")


def perfect(world: World, folder: Path, task: str, suffix: str = "") -> Path:
    lines = (world.data / task / "test.jsonl").read_text().splitlines()
    rows = [
        {"id": row["id"], "output": row["output"][0] + suffix} for row in map(json.loads, lines)
    ]
    file = folder / f"{task}{suffix}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_tasks_scored_under_one_name_share_a_row(world: World, tmp_path: Path) -> None:
    where = {"data": world.data, "name": "elsewhere", "results": tmp_path / "results"}
    for task in ("dolly", "self_instruct", "vicuna", "super_natural", "unnatural"):
        kdbench.score(samples=perfect(world, tmp_path, task), task=task, **where)
    table = kdbench.table(results=tmp_path / "results", published="none")
    (row,) = table.groups[0].rows
    assert [cell.value for cell in row.cells] == [100] * 6


def test_a_metric_scored_later_is_added(world: World, tmp_path: Path) -> None:
    where = {"task": "dolly", "data": world.data, "name": "x", "results": tmp_path / "results"}
    file = perfect(world, tmp_path, "dolly")
    kdbench.score(samples=file, metrics="rougeL", **where)
    both = kdbench.score(samples=file, metrics="empty", **where)
    assert set(both.results["dolly"].metrics) == {"rougeL", "empty"}


def test_different_texts_under_one_name_are_refused(world: World, tmp_path: Path) -> None:
    where = {"task": "dolly", "data": world.data, "name": "x", "results": tmp_path / "results"}
    first = kdbench.score(samples=perfect(world, tmp_path, "dolly"), **where)
    before = {file: file.read_bytes() for file in first.run.rglob("*.json*")}
    with pytest.raises(InputError, match="holds a different text for document"):
        kdbench.score(samples=perfect(world, tmp_path, "dolly", " no"), **where)
    assert {file: file.read_bytes() for file in first.run.rglob("*.json*")} == before
