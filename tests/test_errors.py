"""The wording of errors."""

from pathlib import Path

import pytest

from kdbench.errors import nearest_of, nearest_path, reason_of


def test_a_reason_is_one_line() -> None:
    assert reason_of(ValueError("first\n  second\tthird")) == "first second third"


def test_a_reason_is_no_longer_than_asked() -> None:
    assert reason_of(ValueError("x" * 500), longest=7) == "x" * 7


def test_an_error_without_text_is_named_by_its_type() -> None:
    assert reason_of(StopIteration()) == "StopIteration"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("runs/demo/studnt", "; did you mean 'runs/demo/student'?"),
        ("rnus/demo/student", "; did you mean 'runs/demo/student'?"),
        ("runs/dmo/nothing", "; did you mean 'runs/demo'?"),
        ("runs/other/a/b", "; 'runs' has no 'other'"),
        ("runs/other", ""),
        ("runs/demo/student", ""),
        ("qqq", ""),
        ("", ""),
    ],
)
def test_the_nearest_path_is_one_that_exists(
    path: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/demo/student").mkdir(parents=True)
    (tmp_path / "runs/demos").mkdir()
    assert nearest_path(Path(path)) == expected


def test_the_nearest_of_many_names_does_not_tell_case_apart() -> None:
    names = ["GKD", "demo/GKD/minillm-1", *(f"model-{n}" for n in range(20))]
    assert nearest_of("gkd", names) == "; did you mean 'GKD'?"
    line = nearest_of("zzzz", names)
    assert line.startswith("; there is GKD, model-0, model-1, ")
    assert line.endswith(" and 10 more")
    assert nearest_of("zzzz", []) == ""
