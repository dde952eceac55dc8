"""`kdbench frontier` on models of the toy world: what is measured, resumed and compared again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from outcomes import run as command
from safetensors.torch import load_file, save_file

import kdbench
import kdbench.evaluation
from kdbench.config import FrontierSettings, build
from kdbench.errors import InputError
from kdbench.frontiers.dry_run import plan_frontier
from kdbench.frontiers.table import Frontier
from kdbench.store.frontiers import FRONTIERS, read_frontier
from kdbench.store.places import FRONTIER
from kdbench.store.runs import stored_runs
from kdbench.toy.models import World

KEYS: dict[str, Any] = {
    "tasks": ("dolly",),
    "limit": 4,
    "seeds": (1, 2),
    "max_new_tokens": 8,
    "device": "cpu",
}
FACTOR = 1.7


def sharpened(model: Path, out: Path, factor: float = FACTOR) -> Path:
    """A copy whose logits are those of a model times a factor, a merely sharper student."""
    shutil.copytree(model, out)
    weights = load_file(out / "model.safetensors")
    norm = next(name for name in weights if name.endswith("norm.weight") and "layers" not in name)
    weights[norm] = weights[norm] * factor
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    return out


@pytest.fixture(scope="module")
def models(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models in one folder: the student as SFT, a sharper copy of it, and the teacher."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(world.student, folder / "SFT")
    sharpened(world.student, folder / "Sharper")
    shutil.copytree(world.teacher, folder / "Other")
    for name in ("SFT", "Sharper", "Other"):
        (folder / name / "kdbench.json").unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def measured(world: World, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Frontier:
    """The frontier at temperatures of which each is FACTOR times the one before."""
    return kdbench.frontier(
        students=[str(models / name) for name in ("Other", "SFT", "Sharper")],
        data=world.data,
        results=tmp_path_factory.mktemp("results"),
        temperatures=[0.5, 0.5 * FACTOR, 0.5 * FACTOR**2],
        **KEYS,
    )


def label(frontier: Frontier, name: str) -> Any:
    return next(student for student in frontier.record.students if student.label == name)


def test_a_sharper_copy_has_the_points_of_its_original_at_other_temperatures(
    measured: Frontier,
) -> None:
    assert measured.record.baseline == "SFT"
    base, sharper = label(measured, "SFT"), label(measured, "Sharper")
    for own, other in zip(sharper.points[1:], base.points[:-1], strict=True):
        assert own.quality.value == pytest.approx(other.quality.value, abs=1e-6)
        assert own.entropy.value == pytest.approx(other.entropy.value, abs=1e-4)
    # So the curves share their points where both are known, and the gain is 0 but for rounding.
    assert sharper.gain.value == pytest.approx(0, abs=0.01)
    assert label(measured, "Other").points[0].quality.value != base.points[0].quality.value


def test_what_is_stored_is_no_row_of_a_table_and_can_be_compared_again(measured: Frontier) -> None:
    results = measured.folder.parent
    assert list(stored_runs(results)) == []
    names = {path.name for path in measured.folder.iterdir()}
    assert {"frontier.json", "FRONTIER.md", "frontier-light.svg", "frontier-dark.svg"} <= names
    stored = read_frontier(results)
    assert stored is not None
    assert [s.gain and s.gain.value for s in stored.students] == pytest.approx(
        [s.gain and s.gain.value for s in measured.record.students], abs=1e-6
    )
    copy = results.with_name("copy")
    shutil.copytree(results, copy, dirs_exist_ok=True)
    again = kdbench.frontier(
        results=copy,
        baseline="Other",
        rows=["Sharper"],
        metric="sampling_entropy",
        temperatures=[0.5, 0.5 * FACTOR],
    )
    assert [student.label for student in again.record.students] == ["Other", "Sharper"]
    assert again.record.temperatures == [0.5, 0.85]
    assert again.record.metric == "sampling_entropy"


def test_without_its_runs_a_frontier_is_shown_as_it_was(measured: Frontier, tmp_path: Path) -> None:
    kept = tmp_path / FRONTIERS
    kept.mkdir()
    shutil.copy(measured.folder / FRONTIER, kept)
    before = [*kept.iterdir()]
    baseline, metric = measured.record.baseline, measured.record.metric
    everything = {
        "rows": [student.label for student in measured.record.students],
        "temperatures": measured.record.temperatures,
    }
    for same in ({}, {"baseline": baseline, "metric": metric}, everything):
        assert kdbench.frontier(results=tmp_path, **same).record == read_frontier(tmp_path)
    assert plan_frontier(build(FrontierSettings, {"results": tmp_path}))
    for key, other in (("baseline", "Other"), ("temperatures", "1,2"), ("metric", "exact_match")):
        message = f"^{key}=: .*no runs to compare anew; leave {key}= out"
        with pytest.raises(InputError, match=message):
            kdbench.frontier(results=tmp_path, **{key: other})
    with pytest.raises(InputError, match="rows=nonsense"):
        kdbench.frontier(results=tmp_path, rows="nonsense")
    with pytest.raises(InputError, match="metric=foo: no such metric"):
        kdbench.frontier(results=tmp_path, metric="foo")
    with pytest.raises(InputError, match="metric=foo: no such metric"):
        plan_frontier(build(FrontierSettings, {"results": tmp_path, "metric": "foo"}))
    assert [*kept.iterdir()] == before


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("complete", "yes", "damaged: 'complete': "),
        ("runs", {}, "damaged: no run of Other at temperature 0.5; "),
    ],
)
def test_a_damaged_file_is_a_line_with_a_way_out(
    key: str, value: Any, message: str, measured: Frontier, tmp_path: Path
) -> None:
    file = tmp_path / "frontier" / "frontier.json"
    file.parent.mkdir()
    content = json.loads((measured.folder / "frontier.json").read_text())
    changed = content if key in content else content["students"][1]["trainings"][0]
    changed[key] = value
    file.write_text(json.dumps(content))
    (run, *_) = content["students"][0]["trainings"][0]["runs"].values()
    (file.parent / run).mkdir(parents=True)  # else it is only shown
    with pytest.raises(InputError) as fault:
        kdbench.frontier(results=tmp_path)
    assert str(fault.value).startswith(f"{file}: {message}")
    assert str(fault.value).endswith(
        "; restore it, or delete it and run kdbench frontier with a table or students= again"
    )


def test_an_interruption_is_resumed(
    world: World, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, calls = kdbench.evaluation.evaluate, 0

    def torn(settings: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return own(settings)

    keys = {
        "students": [str(models / "SFT"), str(models / "Sharper")],
        "temperatures": [0, 0.7],
        "data": world.data,
        "results": tmp_path,
        **KEYS,
    }
    monkeypatch.setattr("kdbench.evaluation.evaluate", torn)
    with pytest.raises(KeyboardInterrupt):
        kdbench.frontier(**keys)
    assert list(stored_runs(tmp_path)) == []  # half of it is no table either
    assert read_frontier(tmp_path) is None
    facts = {f.name: f.value for s in plan_frontier(build(FrontierSettings, keys)) for f in s.facts}
    assert facts["SFT"] == "1 checkpoint, 0 samples to generate"
    assert facts["Sharper"] == "1 checkpoint, 12 samples to generate"  # one seed if greedy
    done = kdbench.frontier(**keys)
    assert calls == 3 + 4
    greedy = [student.points[0] for student in done.record.students]
    assert [point.entropy.value for point in greedy] == [0, 0]
    assert greedy[0].quality.value == greedy[1].quality.value  # sharpening leaves the likeliest


def test_a_table_gives_students_keys_and_baseline(
    world: World, models: Path, tmp_path: Path
) -> None:
    table = {
        "title": "two students",
        "teacher": {"checkpoint": str(world.teacher)},
        "student": {"checkpoint": str(world.student)},
        "undistilled": "plain",
        "rows": [
            {"label": "sharp", "checkpoint": str(models / "Sharper")},
            {"label": "plain", "checkpoint": str(models / "SFT")},
            {"label": "untrained", "train": {"method": "sft", "steps": 1}},
        ],
        "evaluate": {"limit": 3, "seeds": [1], "max_new_tokens": 6, "metrics": ["acceptance"]},
        "tasks": ["dolly"],
        "data": str(world.data),
        "results": str(tmp_path / "r"),
        "models": str(tmp_path / "m"),
    }
    file = tmp_path / "table.yaml"
    file.write_text(yaml.safe_dump(table))
    words = ["frontier", str(file), "temperatures=0.5,1", "limit=2", "device=cpu"]
    missing = command(words)
    assert missing.code == 2
    assert (
        "no checkpoint of untrained; train them with kdbench fill … checkpoints=true" in missing.err
    )
    assert not (tmp_path / "r").exists()
    outcome = command([*words, "rows=sharp,plain", "--json"])
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert (document["verb"], document["title"]) == ("frontier", "two students")
    assert [student["label"] for student in document["students"]] == ["plain", "sharp"]
    assert (document["limit"], document["prompts"]) == (2, 2)  # the call's, not the table's
    assert document["protocol"]["max_new_tokens"] == 6
    assert document["tasks"] == ["dolly"]
    assert not (tmp_path / "m").exists()  # nothing is trained
    changed = command([*words, "rows=sharp,plain", "evaluate.max_new_tokens=5", "--json"])
    assert json.loads(changed.out)["protocol"]["max_new_tokens"] == 5, changed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["results=nowhere"], "results=nowhere: no such folder"),
        (["results=."], "no frontier was measured; name a table, or give students="),
        (["limit=3"], "limit=: needs models to measure"),
        (["toy", "students=a"], "students= and a table both name students"),
        (["toy", "temperature=1"], "temperature=: a curve has several; give temperatures="),
        (["toy", "temperatures=1"], "temperatures=1: must be two or more different numbers"),
        (["toy", "temperatures=1,1.0"], "must be two or more different numbers"),
        (["toy", "temperatures=-1,1"], "temperatures"),
        (["toy", "metric=acceptance@student"], "compares with another model"),
        (["toy", "metric=judge"], "metric=judge: needs judge="),
        (["toy", "metric=distinct_2"], "metric=distinct_2: has no number for each prompt"),
        (["toy-guided", "metric=rougel"], "metric=rougel: no such metric; did you mean 'rougeL'?"),
        (["students=nowhere", "metric=foo"], "metric=foo: no such metric; there is "),
        (["tay"], "unknown table 'tay'"),
        (["toy", "tain.steps=3"], "unknown key 'tain': did you mean 'train'"),
        (["train.steps=3"], "train.steps=: a key with dots changes a table's file; name the table"),
        (["students=a,b", "train.steps=3"], "train.steps=: a key with dots changes a table's file"),
        (["students=nowhere,nothing"], "students=nowhere"),
        (["models=m"], "models= is a table's folder"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command(["frontier", *words])
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_baselines_and_clashing_names(world: World, models: Path, tmp_path: Path) -> None:
    def ask(*names: str, **keys: Any) -> None:
        kdbench.frontier(
            students=list(names), data=world.data, results=tmp_path / "r", **{**KEYS, **keys}
        )

    sft, other = str(models / "SFT"), str(models / "Other")
    with pytest.raises(InputError, match="no student is called SFT; name the one"):
        ask(other, str(models / "Sharper"))
    with pytest.raises(InputError, match="baseline=SFTT: did you mean 'SFT'"):
        ask(sft, other, baseline="SFTT")
    with pytest.raises(InputError, match="=SFT: no student besides the baseline; name another"):
        ask(sft)
    shutil.copytree(models / "SFT", tmp_path / "SFT")
    with pytest.raises(InputError, match="two students are called 'SFT'; rename a folder"):
        ask(sft, str(tmp_path / "SFT"))
    with pytest.raises(InputError, match="skills_capitals': is scored by likelihood"):
        ask(sft, other, tasks=("skills_capitals",))
    assert not (tmp_path / "r").exists()
