"""`org/name@revision` names one revision of a model on the Hub, wherever a key names a model."""

import json
import shutil
from pathlib import Path

import pytest
from outcomes import run

from kdbench.checkpoint import check_checkpoint, find_checkpoint, is_hub_name
from kdbench.checkpoint.hub import split_revision
from kdbench.distillation.students import StudentSource, check_student
from kdbench.errors import InputError
from kdbench.toy.models import World

COMMITS = {"v1": "1" * 40, "main": "2" * 40, "refs/pr/1": "3" * 40}


@pytest.fixture
def hub(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the Hub with three revisions of one model: v1 is the student, others the teacher.

    Its layout is that of https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
    """
    cache = tmp_path / "hub"
    model = cache / "models--org--tiny"
    for name, commit in COMMITS.items():
        reference = model / "refs" / name
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)
        source = world.student if name == "v1" else world.teacher
        shutil.copytree(source, model / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return cache


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/tiny@v1", ("org/tiny", "v1")),
        ("org/tiny@refs/pr/1", ("org/tiny", "refs/pr/1")),
        ("org/tiny", ("org/tiny", None)),
        ("org/tiny@", ("org/tiny@", None)),
        ("org/tiny@a@b", ("org/tiny@a@b", None)),
        ("org/tiny@../x y", ("org/tiny@../x y", None)),
        ("tiny@v1", ("tiny@v1", None)),
        ("runs/a/b@v1", ("runs/a/b@v1", None)),
    ],
)
def test_the_revision_is_what_follows_the_at(name: str, expected: tuple[str, str | None]) -> None:
    assert split_revision(name) == expected


def test_each_revision_is_its_own_checkpoint(hub: Path, world: World) -> None:
    old, new = (find_checkpoint(f"org/tiny@{name}") for name in ("v1", "refs/pr/1"))
    assert (old.name, old.revision) == ("org__tiny@v1", COMMITS["v1"])
    assert (new.name, new.revision) == ("org__tiny@refs__pr__1", COMMITS["refs/pr/1"])
    assert old.sha256 == find_checkpoint(str(world.student)).sha256
    assert new.sha256 == find_checkpoint(str(world.teacher)).sha256 != old.sha256
    assert find_checkpoint("org/tiny").sha256 == new.sha256  # main
    assert is_hub_name("org/tiny@v1")


def test_the_key_names_the_same_checkpoint_under_the_name_it_had(hub: Path) -> None:
    by_key = find_checkpoint("org/tiny", "v1")
    assert (by_key.name, by_key.revision) == ("org__tiny", COMMITS["v1"])
    assert by_key.sha256 == find_checkpoint("org/tiny@v1").sha256
    assert find_checkpoint("org/tiny@v1", "v1").revision == COMMITS["v1"]
    with pytest.raises(InputError, match=r"^model=org/tiny@v1 and revision=main: give one"):
        find_checkpoint("org/tiny@v1", "main")
    with pytest.raises(InputError, match=r"^teacher=.* and teacher_revision=main: give one"):
        check_checkpoint("org/tiny@v1", "main", key="teacher")


def test_an_at_in_a_folder_is_no_revision(hub: Path, world: World) -> None:
    for name in ("org/tiny@v1", "student@best"):
        shutil.copytree(world.student, name)
        assert find_checkpoint(name).revision is None
    assert find_checkpoint("org/tiny@v1").name == "tiny@v1"
    shutil.copytree(world.student, "runs/gkd")
    with pytest.raises(InputError, match=r"runs/gkd@v1: no such folder; a revision is for models"):
        find_checkpoint("runs/gkd@v1")


def test_an_unknown_revision_is_one_line_that_names_it(hub: Path) -> None:
    with pytest.raises(InputError, match=r"^model=org/tiny@v9: .*cannot be downloaded"):
        find_checkpoint("org/tiny@v9")


def test_a_student_to_train_may_be_a_revision(hub: Path) -> None:
    check_student("org/tiny@v1", None)
    assert StudentSource("org/tiny@v1", None, 1).checkpoint.revision == COMMITS["v1"]
    pruned = StudentSource("prune:org/tiny@main,layers=1", None, 1)
    assert pruned.checkpoint.revision == COMMITS["main"]


def test_an_evaluation_records_and_shows_the_revisions(hub: Path, world: World) -> None:
    words = ["tasks=dolly", "limit=2", "seeds=1", "max_new_tokens=4", "metrics=rougeL,acceptance"]
    done = run(["eval", "org/tiny@v1", "teacher=org/tiny@main", f"data={world.data}", *words])
    assert done.code == 0, done
    (file,) = Path("results/org__tiny@v1").glob("*/run.json")
    model = json.loads(file.read_text())["model"]
    assert (model["name"], model["revision"]) == ("org__tiny@v1", COMMITS["v1"])
    result = json.loads(file.with_name("dolly.json").read_text())
    assert result["teacher"]["name"] == "org__tiny@main"
    table = run(["table", "tasks=dolly", "published=none"])
    assert "org__tiny@v1 " in table.out
