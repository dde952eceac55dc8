"""Paths in the keys of methods count by what is there."""

from pathlib import Path

from kdbench.distillation.contents import paths_in, with_contents


def test_paths_are_replaced_wherever_they_are() -> None:
    value = {"a": (Path("x"), 3), "b": [Path("y")], "c": "z", "d": None}
    named = with_contents(value, "key", lambda key, path: f"{key}:{path}")
    assert named == {"a": ["key:x", 3], "b": ["key:y"], "c": "z", "d": None}
    assert paths_in(value) == [Path("x"), Path("y")]
    assert paths_in("x") == []
