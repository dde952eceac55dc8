"""The demo fills the bundled toy table on its own toy world; CI runs all of it."""

from pathlib import Path

import pytest

from kdbench.config import DemoSettings, FillSettings
from kdbench.filling.filled import Filled
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.filling.table import fill
from kdbench.toy import demo
from kdbench.toy.models import World, world_of

METHODS = ["SFT", "KD", "SeqKD", "GKD", "MiniLLM", "DistiLLM", "Classmate"]


def test_the_demo_fills_the_toy_table(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[FillSettings] = []

    def plan(settings: FillSettings) -> Filled:
        asked.append(settings)
        return fill(settings.model_copy(update={"plan": True}))

    monkeypatch.setattr(demo, "make_world", lambda out, report: world)
    monkeypatch.setattr(demo, "fill", plan)
    settings = DemoSettings(out=tmp_path / "w", results=tmp_path / "r", steps=3, limit=2)
    text = demo.demo(settings).text
    assert [f"train {method} " in text for method in METHODS] == [True] * len(METHODS)
    assert [f"evaluate {label} " in text for label in ["Teacher", *METHODS]] == [True] * 8
    (given,) = asked
    assert (given.results, given.models) == (tmp_path / "r", tmp_path / "w" / "models")
    assert read_spec(find_spec("toy"), given.changes).teacher.checkpoint == str(world.teacher)
    assert (given.changes["train.steps"], given.changes["evaluate.limit"]) == ("3", "2")


def test_the_demo_trains_whole_epochs_by_default(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[FillSettings] = []
    monkeypatch.setattr(demo, "make_world", lambda out, report: world)
    monkeypatch.setattr(demo, "fill", lambda given: asked.append(given) or Filled("", {}))
    demo.demo(DemoSettings(out=tmp_path))
    assert {*asked[0].changes} == {"world.folder", "teacher.checkpoint", "student.checkpoint"}


@pytest.mark.parametrize("name", ["2026", "2026-11-29", "on", "null", "~", "a: b"])
def test_a_folders_name_can_look_like_another_value(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[FillSettings] = []
    monkeypatch.setattr(demo, "make_world", lambda out, report: world_of(out))
    monkeypatch.setattr(demo, "fill", lambda given: asked.append(given) or Filled("", {}))
    demo.demo(DemoSettings(out=Path(name)))
    spec = read_spec(find_spec("toy"), asked[0].changes)
    assert spec.world is not None
    assert spec.world.folder == Path(name)
    assert spec.teacher.checkpoint == f"{name}/teacher"
