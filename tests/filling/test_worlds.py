"""The world that a table needs is made first, once, with the same bytes."""

from functools import partial
from pathlib import Path

import pytest
import yaml

from kdbench.config import FillSettings
from kdbench.errors import InputError
from kdbench.filling import table
from kdbench.filling.spec import read_spec
from kdbench.filling.table import fill
from kdbench.filling.worlds import make_missing, world_of, worlds
from kdbench.toy import extras
from kdbench.toy.models import make_world
from kdbench.toy.worlds import extras as module


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small = partial(make_world, teacher_steps=2, student_steps=2, train=40, valid=8, test=2)
    monkeypatch.setattr(module, "make_world", small)
    noisy = [extra for extra in extras.extras() if extra.place == "data/noisy"]
    monkeypatch.setattr(extras, "extras", lambda: noisy)
    monkeypatch.setattr(module, "extras", lambda: noisy)


def content(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_world_has_the_same_bytes_and_what_exists_stays(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        world = worlds.get("toy-extras")(tmp_path / name)
        assert world.missing() == world.parts() == ["data", "teacher", "student", "data/noisy"]
        make_missing(world)
        assert world.missing() == []
        made.append(content(world.folder))
    assert made[0] == made[1]
    assert "data/noisy/train.jsonl" in made[0]
    (world.folder / "student" / "model.safetensors").write_bytes(b"mine")
    (world.folder / "data" / "noisy" / "train.jsonl").unlink()
    (world.folder / "data" / "noisy" / "valid.jsonl").unlink()
    (world.folder / "data" / "noisy").rmdir()
    make_missing(world)
    again = content(world.folder)
    assert again.pop("student/model.safetensors") == b"mine"
    assert again.items() <= made[0].items()


def test_the_folder_of_a_world_cannot_be_a_file(tmp_path: Path) -> None:
    values = {"title": "a table", "teacher": "nowhere"}
    file = tmp_path / "table.yaml"
    file.write_text(
        yaml.safe_dump({**values, "world": {"kind": "toy-extras", "folder": str(file)}})
    )
    with pytest.raises(InputError, match=r"world: folder: .*table.yaml: is a file"):
        world_of(read_spec(file))


def test_a_dry_run_names_what_is_missing_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "w"
    values = {
        "title": "a table",
        "world": {"kind": "toy-extras", "folder": str(folder)},
        "teacher": {"label": "Teacher", "checkpoint": str(folder / "teacher")},
        "student": {"label": "Student", "checkpoint": str(folder / "student")},
        "rows": [{"train": {"recipe": "toy/sft"}}, {"train": {"recipe": "toy/kd"}}],
        "evaluate": {"metrics": ["rougeL"]},
        "data": str(folder / "data"),
    }
    file = tmp_path / "table.yaml"
    file.write_text(yaml.safe_dump(values))
    settings = FillSettings(
        table=str(file), models=tmp_path / "m", results=tmp_path / "r", plan=True
    )
    planned = fill(settings).text
    assert f"world in {folder}: 0 of 4 parts done\n  missing   data\n" in planned
    assert "then a training and an evaluation of each row: SFT, KD\n" in planned
    assert not folder.exists()

    def stop(*_: object) -> None:
        assert folder.exists()  # made before anything is hashed
        raise InputError("enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "Graph", stop)
        with pytest.raises(InputError, match="enough"):
            fill(settings.model_copy(update={"plan": False}))
    assert f"making the table's world in {folder}: data, teacher" in capsys.readouterr().err
    assert "a table: 2 of 7 done, 5 missing" in fill(settings).text
    values["world"] = {"kind": "toy-extra", "folder": str(folder)}
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match="unknown world 'toy-extra': did you mean 'toy-extras'"):
        fill(settings)
