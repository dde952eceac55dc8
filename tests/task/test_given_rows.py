"""Prompts from Python are asked like those of a file."""

import json

import pandas as pd
import pytest

from kdbench.errors import InputError
from kdbench.task import given_rows, load_tasks
from kdbench.task.given_rows import give_rows

ROWS = [
    {"id": "a", "prompt": "Name a colour.", "references": ["red", "blue"], "category": "open"},
    {"id": "b", "prompt": "Two and two?", "references": ["4"], "category": None},
]


@pytest.fixture(autouse=True)
def _none_stay(monkeypatch):
    monkeypatch.setattr(given_rows, "_given", {})


@pytest.mark.parametrize("form", [list, pd.DataFrame, tuple, iter])
def test_rows_make_the_same_task_as_a_file(tmp_path, form):
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (of_file,) = load_tasks([str(tmp_path / "mine.jsonl")])
    give_rows("mine", form(ROWS))
    (of_rows,) = load_tasks(["mine"])
    assert of_rows == of_file
    assert len(of_rows.documents) == 2
    assert of_rows.documents[1].category is None


def test_numbers_of_a_frame_are_numbers():
    frame = pd.DataFrame({"prompt": ["a", "b"], "reference": [4, 5], "id": [1, 2]})
    frame["note"] = [None, 2.5]
    give_rows("mine", frame)
    (task,) = load_tasks(["mine"])
    assert [d.references for d in task.documents] == [("4",), ("5",)]
    assert [d.id for d in task.documents] == ["1", "2"]


def test_rows_given_again_replace_the_first():
    for row in ROWS:
        give_rows("mine", [row])
    (task,) = load_tasks(["mine"])
    assert [document.id for document in task.documents] == ["b"]


@pytest.mark.parametrize(
    ("name", "rows", "error"),
    [
        ("a/b", ROWS, "'a/b' cannot name a file of results"),
        ("run", ROWS, "'run' cannot name"),
        ("q", "text", "task q: must be a list of rows"),
        ("q", {"prompt": "a"}, "task q: must be a list of rows"),
        ("q", 3, "task q: must be a list of rows"),
        ("q", [ROWS[0], 3], "task q: row 2: must be a mapping"),
        ("q", [], "task q: has no rows"),
        ("q", [{"promptx": "a"}], "task q: row 1: no 'prompt'.* rename 'promptx' to 'prompt'"),
        ("q", [{"prompt": 3}], "task q: row 1: 'prompt' must be text"),
        ("q", [{"prompt": "a", "id": 1}] * 2, "task q: row 2: the id '1' occurs twice"),
        ("dolly", ROWS, "task dolly: the name of an installed task"),
    ],
)
def test_wrong_rows_are_one_line(name, rows, error):
    def load():
        give_rows(name, rows)
        load_tasks([name])

    with pytest.raises(InputError, match=error) as caught:
        load()
    assert "\n" not in str(caught.value)
