"""Verdicts on students whose curves are known, and what is said where there is no number."""

import csv
import io
import json
from pathlib import Path

import pytest
from made_frontiers import TEMPERATURES, put_student

from kdbench.errors import InputError
from kdbench.frontiers.conclude import conclude
from kdbench.frontiers.measure import MeasuredStudent
from kdbench.frontiers.picture import THEMES, draw
from kdbench.frontiers.table import Frontier
from kdbench.frontiers.words import notes, sentence
from kdbench.store.frontiers import FrontierRecord, FrontierStudent, read_frontier, write_frontier
from kdbench.store.places import run_folders_in


def concluded(results: Path, *students: MeasuredStudent, metric: str | None = None):
    return conclude("students", students, metric, results / "frontier")


def by_label(record: FrontierRecord) -> dict[str, FrontierStudent]:
    return {student.label: student for student in record.students}


@pytest.fixture
def record(tmp_path: Path) -> FrontierRecord:
    return concluded(
        tmp_path,
        put_student(tmp_path, "SFT"),
        put_student(tmp_path, "Sharper", sharper=1.3),
        put_student(tmp_path, "Better", gain=3),
        put_student(tmp_path, "Worse", gain=-3),
        put_student(tmp_path, "Far", {0.5: 5.0, 1.0: 6.0, 1.5: 7.0}),
    )


def test_a_student_that_only_sharpens_is_on_the_curve_and_a_better_one_above(
    record: FrontierRecord,
) -> None:
    students = by_label(record)
    verdicts = [students[label].verdict for label in ("Sharper", "Better", "Worse", "SFT", "Far")]
    assert verdicts == ["on", "above", "below", None, None]
    gain = students["Better"].gain
    assert gain is not None
    assert gain.value == pytest.approx(3, abs=0.5)
    assert gain.low is not None
    assert gain.high is not None
    assert gain.low < gain.value < gain.high
    # At temperature 1 it scores higher than its baseline, only for being sharper.
    at_one = {label: student.points[1].quality.value for label, student in students.items()}
    assert at_one["Sharper"] > at_one["SFT"] + 1.5
    assert abs(students["Sharper"].gain.value) < 0.5
    # Three p-values are corrected, and the largest stays.
    p_values = [s.gain.p for s in students.values() if s.gain is not None]
    assert len(p_values) == 3
    assert students["Sharper"].adjusted_p == pytest.approx(max(p_values))
    assert students["Better"].adjusted_p > students["Better"].gain.p


def test_curves_that_do_not_meet_have_no_gain_and_a_reason(record: FrontierRecord) -> None:
    far = by_label(record)["Far"]
    assert (far.gain, far.shared, far.tasks) == (None, None, {"dolly": None})
    assert "no range in common; add temperatures=" in far.reason
    assert sentence(far, record).startswith("Far: not compared: its entropies, 4.9")


def test_a_metric_where_lower_is_better_has_its_sign_flipped(tmp_path: Path) -> None:
    keys = {"metric": "own_loss", "direction": "lower"}
    record = concluded(
        tmp_path,
        put_student(tmp_path, "SFT", **keys),
        put_student(tmp_path, "Lower", gain=-3, **keys),
        metric="own_loss",
    )
    lower = by_label(record)["Lower"]
    assert lower.gain.value == pytest.approx(3, abs=0.5)
    assert lower.gain.low < lower.gain.high
    assert lower.verdict == "above"
    assert "sign flipped" in " ".join(notes(record))


def test_several_trainings_are_paired_by_seed(tmp_path: Path) -> None:
    seeds = (10, 11, 12)
    base = put_student(tmp_path, "SFT", seeds=seeds)
    record = concluded(tmp_path, base, put_student(tmp_path, "Better", gain=3, seeds=seeds))
    better = by_label(record)["Better"]
    assert [training.seed for training in better.trainings] == [10, 11, 12]
    assert better.verdict == "above"
    assert better.notes == ()
    assert record.student_of({f"sha of Better{n}" for n in ("", " seed 11", " seed 12")}) == better
    assert record.student_of({"sha of Better"}) is None  # a part of them is another row
    one = concluded(tmp_path, base, put_student(tmp_path, "One", gain=3, seeds=(10,)))
    assert "it has a single training" in by_label(one)["One"].notes[0]
    two = concluded(tmp_path, base, put_student(tmp_path, "Two", seeds=(10, 11)))
    assert by_label(two)["Two"].notes == ("1 training without a partner left out",)


def test_what_to_know_of_a_curve_is_noted(tmp_path: Path) -> None:
    record = concluded(
        tmp_path,
        put_student(tmp_path, "SFT"),
        put_student(tmp_path, "Bent", {0.5: 0.7, 1.0: 0.6, 1.5: 1.4}),
        put_student(tmp_path, "Short", {0.5: 1.3, 1.0: 1.4, 1.5: 1.5}),
    )
    students = by_label(record)
    assert "its entropy does not rise from temperature 0.5 to 1" in students["Bent"].notes[0]
    assert students["Bent"].gain is not None
    assert "of the range of the baseline" in students["Short"].notes[0]


def test_one_prompt_gives_a_gain_without_an_interval(tmp_path: Path) -> None:
    record = concluded(
        tmp_path, put_student(tmp_path, "SFT", prompts=1), put_student(tmp_path, "A", prompts=1)
    )
    student = by_label(record)["A"]
    assert student.gain is not None
    assert (student.gain.low, student.gain.p, student.verdict) == (None, None, None)
    assert "an interval needs two prompts" in student.reason


@pytest.mark.parametrize(
    ("metric", "message"),
    [("rouge", "did you mean 'rougeL'"), ("sampling_entropi", "no such number for single prompts")],
)
def test_an_unknown_metric_is_named(tmp_path: Path, metric: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        concluded(tmp_path, put_student(tmp_path, "SFT"), put_student(tmp_path, "A"), metric=metric)


def test_the_stored_file_is_read_back_and_hides_its_runs(
    tmp_path: Path, record: FrontierRecord
) -> None:
    folder = tmp_path / "frontier"
    assert len(run_folders_in(tmp_path)) == 5 * len(TEMPERATURES)  # before the file is there
    write_frontier(tmp_path, FrontierRecord(complete=False))
    assert run_folders_in(tmp_path) == []
    assert read_frontier(tmp_path) is None
    write_frontier(tmp_path, record)
    stored = read_frontier(tmp_path)
    assert stored is not None
    assert by_label(stored)["Better"].verdict == "above"
    assert stored.temperatures == list(TEMPERATURES)
    assert len(run_folders_in(folder)) == 15  # named itself, it is searched
    (folder / "frontier.json").write_text('{"schema": 1, "complete": "yes"}')
    with pytest.raises(InputError, match=r"frontier\.json: damaged: 'complete'"):
        read_frontier(tmp_path)


def test_every_form_has_the_gains(tmp_path: Path, record: FrontierRecord) -> None:
    drawn = Frontier(record, tmp_path)
    terminal = drawn.render("terminal", 200)
    better = by_label(record)["Better"]
    value = f"{better.gain.value:+.2f}"
    assert f"Better lies above the curve of SFT: {value} [" in terminal
    assert "Sharper is not told apart from the curve of SFT: " in terminal
    assert all(len(line) <= 60 for line in drawn.render("terminal", 60).splitlines())
    assert f"| Better | {value} \\[" in drawn.render("md")
    rows = list(csv.DictReader(io.StringIO(drawn.render("csv"))))
    assert len(rows) == 15
    assert {row["verdict"] for row in rows} == {
        *("above", "below", "baseline", "not told apart", "not compared")
    }
    document = json.loads(drawn.render("json"))
    assert document["students"][0]["label"] == document["baseline"]
    frame = drawn.to_pandas()
    assert frame.loc[frame.student == "Better", "frontier_gain"].unique() == better.gain.value
    with pytest.raises(InputError, match="format=html"):
        drawn.render("html")


def test_pictures_are_the_same_bytes_each_time(record: FrontierRecord) -> None:
    light, dark = (draw(record, theme) for theme in THEMES)
    assert b"frontier_gain over SFT: Sharper" in light
    assert light != dark
    assert light == draw(record, "light")
