"""Own scores next to published ones: places, ranges and sentences worked out by hand."""

import csv
import io
import json

import pytest

from kdbench.errors import InputError
from kdbench.tables.model import Cell, ColumnHead, Content, Group, TableRow
from kdbench.tables.published import Published, read_published
from kdbench.tables.side_by_side import check_names, compared_scores, sentences
from kdbench.tables.side_by_side_table import SideBySide, notes

FILE = """
schema: 1
metric: rougeL
columns: [dolly, vicuna]
sources:
  one: {title: One, url: https://one}
  two: {title: Two, url: https://two}
  two_again: {title: "Two, revised", url: https://two}
settings:
  - id: pair
    title: Teacher to student
    teacher: a
    student: b
    rows:
      - {method: GKD, role: student, source: one, certainty: verified, decimals: 1,
         values: {dolly: 10.0, vicuna: 6.0}, note: of a page}
      - {method: GKD (Two), known_as: GKD, role: student, source: two, certainty: second_hand,
         decimals: 1, values: {dolly: 12.0, vicuna: 8.0}}
      - {method: GKD (memory), known_as: GKD, role: student, source: two, certainty: unverified,
         decimals: 1, values: {dolly: 90.0, vicuna: 90.0}}
      - {method: SFT, role: student, source: two, certainty: unverified, decimals: 1,
         values: {dolly: 9.0}}
      - {method: SFT (Two), known_as: SFT, role: student, source: two, certainty: verified,
         decimals: 2, values: {dolly: 9.25}}
      - {method: SFT (Two again), known_as: SFT, role: student, source: two_again,
         certainty: verified, decimals: 2, values: {dolly: 9.75}}
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    path = tmp_path_factory.mktemp("published") / "published.yaml"
    path.write_text(FILE, encoding="utf-8")
    return read_published(path)


def own(value: float, low: float | None = None, high: float | None = None, n: int = 500) -> Cell:
    return Cell(value, ci_low=low, ci_high=high, n=n)


def table(**rows: tuple[Cell | None, ...]) -> Content:
    """A table of Dolly, Vicuna and their mean."""
    tasks = [("Dolly", ("dolly",)), ("Vicuna", ("vicuna",)), ("AVG", ("dolly", "vicuna"))]
    heads = tuple(ColumnHead(name, "rougeL", of, "points", "higher") for name, of in tasks)
    heads += (ColumnHead("acceptance", "acceptance", ("dolly",), "rate", "higher"),)
    made = tuple(
        TableRow(label, "measured", ranked=True, source="x", cells=(*cells, own(0.5)))
        for label, cells in rows.items()
    )
    reported = TableRow("GKD", "reported", ranked=True, source="One", cells=(own(10), None, None))
    groups = (Group("ours", "Ours", made), Group("pair", "Pair", (reported,)))
    return Content("rougeL", "points", tuple(name for name, _ in tasks), groups, "ci", heads=heads)


@pytest.mark.parametrize(
    ("cell", "place"),
    [
        (own(10.0, 8, 12), "inside"),  # the ends of the range count
        (own(12.0), "inside"),
        (own(9.9, 9.5, 10.1), "undecided"),
        (own(9.9, 9.5, 9.95), "below"),
        (own(12.1, 11.9, 12.4), "undecided"),
        (own(12.1, 12.05, 12.4), "above"),
        (own(9.9), "undecided"),  # without an interval nothing is concluded
    ],
)
def test_the_place_is_that_of_the_interval(published: Published, cell: Cell, place: str) -> None:
    found = compared_scores(table(GKD=(cell, None, None)), published, ["pair"], "all")
    (score,) = found.scores
    assert score.ends == (10.0, 12.0)  # 90 is from memory
    assert (score.place, len(score.sources)) == (place, 2)


def test_the_mean_is_compared_with_means(published: Published) -> None:
    cells = (own(10, 9, 11), own(7, 6, 8), own(8.5, 8, 8.9))
    scores = compared_scores(table(GKD=cells), published, ["pair"], "verified").scores
    assert [score.column for score in scores] == ["Dolly", "Vicuna", "AVG"]
    mean = scores[2]
    assert mean.reported == Cell(8.0, decimals=1)  # (10 + 6) / 2
    assert mean.ends == (8.0, 10.0)
    assert (mean.place, mean.differs) == ("inside", False)


def test_two_revisions_of_one_address_make_no_range(published: Published) -> None:
    found = compared_scores(table(SFT=(own(9.5, 9.4, 9.6), None, None)), published, ["pair"], "all")
    (score,) = found.scores
    assert (score.ends, score.place, score.sources) == (None, "no range", ("Two, revised",))
    assert score.reported is not None
    assert (score.reported.value, score.reported.mark, score.differs) == (9.0, "†", True)


def test_numbers_from_memory_are_shown_only_if_asked_for(published: Published) -> None:
    rows = table(SFT=(own(9.5, 9.4, 9.6), None, None))
    (score,) = compared_scores(rows, published, ["pair"], "verified").scores
    assert (score.reported, score.source, score.differs) == (None, "", None)


def test_a_row_can_be_reported_under_another_name(published: Published) -> None:
    rows = table(Mine=(own(11, 10, 12), None, None))
    assert compared_scores(rows, published, ["pair"], "all").scores == ()
    names = {"Mine": "GKD (Two)"}
    (score,) = compared_scores(rows, published, ["pair"], "all", names).scores
    assert score.reported == Cell(12.0, decimals=1, second_hand=True)
    assert score.ends == (10.0, 12.0)
    check_names(published, ["pair"], ["GKD (Two)"])
    with pytest.raises(InputError, match=r"no row 'GDK' in pair: did you mean 'GKD'"):
        check_names(published, ["pair"], ["GDK"])


def test_the_sentences_count_what_the_table_shows(published: Published) -> None:
    rows = table(
        GKD=(own(10, 9, 11), own(3, 2, 4, n=80), None), SFT=(own(9.5, 9.4, 9.6, n=20), None, None)
    )
    found = compared_scores(rows, published, ["pair"], "all")
    assert list(sentences(found)) == [
        "Of 2 own scores with a published range: 1 inside, 1 below (below: GKD on Vicuna).",
        "In 1 of 3 pairs the reported score is in the own interval, so no difference is seen; not "
        "so for SFT on Dolly, GKD on Vicuna.",
        "Own scores are not of the papers' prompts, which can be what moves them: Dolly 20 of 500.",
    ]


def test_every_form_has_the_same_numbers(published: Published) -> None:
    rows = table(GKD=(own(10.126, 9, 11), None, None))
    drawn = SideBySide(compared_scores(rows, published, ["pair"], "all"))
    (record,) = drawn.records()
    assert (record["own"], record["reported"], record["lowest"]) == (10.126, 10.0, 10.0)
    assert json.loads(drawn.render("json")) == [record]
    (row,) = csv.DictReader(io.StringIO(drawn.render("csv")))
    assert {key: str(value) for key, value in record.items()} == row
    cells = "| Dolly | GKD | 10.13 \\[9.00, 11.00\\] | 10.0 | 10.00–12.00, 2 sources | inside |"
    assert cells in drawn.render("md")
    assert drawn.to_pandas().to_dict("records") == [record]
    lines = drawn.render("terminal").splitlines()
    assert lines[0] == "Teacher to student: own, reported and spread"
    assert lines[2] == "Dolly, 500 prompts"
    assert lines[3].split() == [
        "GKD",
        "10.13",
        "[9.00,",
        "11.00]",
        "10.0",
        "10.00–12.00,",
        "2",
        "sources",
        "inside",
    ]
    assert "GKD: reported by One, https://one (of a page)" in notes(drawn)
    with pytest.raises(InputError, match="format=tex"):
        drawn.render("tex")


def test_an_unknown_setting_is_refused(published: Published) -> None:
    with pytest.raises(InputError, match=r"no published setting 'pear': did you mean 'pair'"):
        compared_scores(table(), published, ["pear"], "all")
