"""Conclusions on disk: equal bytes, and a line for what cannot be read."""

import json

import pytest
from made_conclusions import conclusion
from pydantic import ValidationError

from kdbench.errors import InputError
from kdbench.store.conclusions import (
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    read_conclusion,
    stored_conclusions,
    write_conclusion,
)


def test_a_conclusion_is_read_as_it_was_written_and_has_the_same_bytes_again(tmp_path):
    made = conclusion()
    stored = write_conclusion(tmp_path, made)
    first = (tmp_path / "example.json").read_bytes()
    assert stored == made
    assert write_conclusion(tmp_path, stored) == made
    assert (tmp_path / "example.json").read_bytes() == first


def test_numbers_are_those_of_the_file_rounded(tmp_path):
    made = conclusion(x=1 / 3)
    assert write_conclusion(tmp_path, made).panels[0].curves[0].y[1] == 0.333333


def test_a_folder_is_read_by_name_and_may_be_missing(tmp_path):
    write_conclusion(tmp_path, conclusion(name="b"))
    write_conclusion(tmp_path, conclusion(name="a"))
    (tmp_path / "a").mkdir()  # results of its models
    assert [one.name for one in stored_conclusions(tmp_path)] == ["a", "b"]
    assert list(stored_conclusions(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2"),
        ({"sentences": []}, "'sentences': "),
        ({"name": "other"}, "is of the analysis 'other'"),
        ({"tables": 3}, "'tables': "),
        ({"extra": 1}, "'extra': "),
    ],
)
def test_a_file_that_is_no_conclusion_is_a_line_with_its_place(change, message, tmp_path):
    write_conclusion(tmp_path, conclusion())
    file = tmp_path / "example.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(InputError, match=message) as fault:
        read_conclusion(file)
    assert str(file) in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_table_with_a_short_row_is_refused():
    columns = (ConclusionColumn(title="a"), ConclusionColumn(title="b"))
    with pytest.raises(ValidationError, match="1 cells, not 2"):
        ConclusionTable(title="t", columns=columns, rows=(("x",),))


def test_curves_have_a_number_for_each_point_and_fit_their_axes():
    with pytest.raises(ValidationError, match="without a number"):
        PanelCurve(label="c", x=(1, 2), y=(1, 2), low=(0, 1), high=(2,))
    curve = PanelCurve(label="c", x=(0, 2), y=(1, 2))
    with pytest.raises(ValidationError, match="log axis"):
        Panel(title="p", x_label="x", y_label="y", curves=(curve,), log_x=True)


def test_bars_names_and_both_intervals_are_stored_only_where_they_are_used():
    plain = PanelCurve(label="c", x=(0, 1), y=(1, 2))
    assert set(plain.model_dump()) == {"label", "x", "y", "low", "high", "joined"}
    named = PanelCurve(label="d", x=(0, 1), y=(1, 2), left=(0, 0), right=(1, 2), names=("a", ""))
    panel = Panel(title="p", x_label="x", y_label="y", curves=(plain,))
    assert not {"bars", "crossed"} & set(panel.model_dump())
    full = Panel(
        title="p", x_label="x", y_label="y", curves=(named,), bars=("a", "b"), crossed=True
    )
    assert Panel.model_validate(full.model_dump(mode="json")) == full


@pytest.mark.parametrize(
    "wrong", [{"left": (0, 0)}, {"names": ("a",)}, {"left": (0,), "right": (1,)}]
)
def test_names_and_intervals_are_of_all_points(wrong):
    with pytest.raises(ValidationError, match="without a number"):
        PanelCurve(label="c", x=(0, 1), y=(1, 2), **wrong)


def test_each_part_is_of_all_bars():
    curve = PanelCurve(label="c", x=(0, 1), y=(1, 2))
    with pytest.raises(ValidationError, match="the part 'c' is not of all bars"):
        Panel(title="p", x_label="x", y_label="y", curves=(curve,), bars=("a", "b", "c"))
