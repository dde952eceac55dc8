"""The published numbers: the repository's file, and invalid files."""

import pytest
import yaml

from kdbench.config import FIVE, TableSettings
from kdbench.errors import InputError
from kdbench.system.bundled import bundled
from kdbench.tables import build_table
from kdbench.tables.reported import published_groups

FILE = """
schema: 1
metric: rougeL
columns: [dolly, vicuna]
sources:
  page: {title: A page, url: https://x.org}
settings:
  - id: one
    title: One to two
    teacher: one
    student: two
    rows:
      - {method: GKD, role: student, source: page, certainty: verified, decimals: 2,
         values: {dolly: 23.75, vicuna: 16.64}, sd: {dolly: 0.5}, note: by hand}
      - {method: KD, role: student, source: page, certainty: unverified, decimals: 1,
         values: {dolly: 22.8, vicuna: 13.4}}
      - {method: Half, role: student, source: page, certainty: verified, decimals: 1,
         values: {dolly: 20.0, vicuna: 10.0}, unverified: [vicuna]}
      - {method: Holed, role: composite, source: page, certainty: verified, decimals: 1,
         values: {vicuna: 10.0}}
      - {method: Teacher, role: teacher, source: page, certainty: verified, decimals: 1,
         values: {dolly: 30.0, vicuna: 20.0}}
  - id: empty
    title: Shown only with all
    teacher: one
    student: three
    rows:
      - {method: KD, role: student, source: page, certainty: unverified, decimals: 1,
         values: {dolly: 1.0}}
"""


def groups(tmp_path, show="verified", text=FILE, columns=("dolly", "vicuna"), metric="rougeL"):
    path = tmp_path / "published.yaml"
    path.write_text(text, encoding="utf-8")
    return published_groups(path, columns, metric, show)


def values(row):
    return [None if cell is None else cell.value for cell in row.cells]


def raw_rows():
    content = yaml.safe_load((bundled("baselines") / "published.yaml").read_text("utf-8"))
    return content, [(setting, row) for setting in content["settings"] for row in setting["rows"]]


def test_a_row_becomes_cells_and_their_plain_mean(tmp_path):
    row = groups(tmp_path)[0].rows[0]
    assert values(row) == pytest.approx([23.75, 16.64, (23.75 + 16.64) / 2])
    assert (row.label, row.kind, row.note) == ("GKD", "reported", "by hand")
    assert row.source == "A page, https://x.org"
    assert [cell.sd for cell in row.cells] == [0.5, None, None]
    assert [cell.decimals for cell in row.cells] == [2, 2, 2]
    assert {cell.n for cell in row.cells} == {None}


def test_only_students_are_ranked(tmp_path):
    ranked = {row.label: row.ranked for row in groups(tmp_path, "all")[0].rows}
    assert ranked == {"GKD": True, "KD": True, "Half": True, "Holed": False, "Teacher": False}


def test_a_missing_cell_leaves_no_average(tmp_path):
    holed = next(row for row in groups(tmp_path)[0].rows if row.label == "Holed")
    assert values(holed) == [None, 10.0, None]


def test_unverified_numbers_are_left_out_or_marked(tmp_path):
    (verified,) = groups(tmp_path, "verified")
    assert [row.label for row in verified.rows] == ["GKD", "Half", "Holed", "Teacher"]
    assert values(verified.rows[1]) == [20.0, None, None]
    shown, other = groups(tmp_path, "all")
    marks = {row.label: [cell.unverified for cell in row.cells if cell] for row in shown.rows}
    assert marks["KD"] == [True, True, True]
    assert marks["Half"] == [False, True, True]
    assert marks["GKD"] == [False, False, False]
    assert other.id == "empty"


def test_rows_of_a_different_metric_or_without_the_columns_are_left_out(tmp_path):
    assert groups(tmp_path, metric="lm_loss") == []
    assert groups(tmp_path, columns=("unnatural",)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (FILE, "[1", "not YAML: line 2"),
        (FILE, "", "file: input should be a valid dictionary"),
        (FILE, "- rougeL", "file: input should be a valid dictionary"),
        ("schema: 1\n", "", "schema: field required"),
        ("schema: 1\n", "schema: 2\n", "schema: input should be 1"),
        ("metric: rougeL\n", "", "metric: field required"),
        ("columns: [dolly, vicuna]\n", "", "columns: field required"),
        ("sources:", "origins:", "sources: field required"),
        ("settings:", "pairs:", "settings: field required"),
        ("settings:", "settings: [1]\nmore:", "settings.0: input should be a valid dictionary"),
        ("url:", "address:", "sources.page.url: field required"),
        ("title: A page", "title: 1", "sources.page.title: input should be a valid string"),
        ("    teacher: one\n", "", "settings.0.teacher: field required"),
        ("    student: three\n", "", "settings.1.student: field required"),
        ("role: student", "role: pupil", "settings.0.rows.0.role: input should be 'student'"),
        ("role: student", "rank: student", "settings.0.rows.0.role: field required"),
        ("source: page, ", "", "settings.0.rows.0.source: field required"),
        ("unverified,", "unverifed,", "settings.0.rows.1.certainty: input should be 'verified'"),
        ("decimals: 2", "decimals: -1", "settings.0.rows.0.decimals: input should be greater"),
        ("decimals: 2", "decimals: 1.5", "settings.0.rows.0.decimals: input should be a valid int"),
        ("23.75", "many", "settings.0.rows.0.values.dolly: input should be a valid number"),
        ("23.75", "null", "settings.0.rows.0.values.dolly: input should be a valid number"),
        ("23.75", ".nan", "settings.0.rows.0.values.dolly: input should be a finite number"),
        ("{vicuna: 10.0}", "{vicuna: many}", "settings.0.rows.3.values.vicuna: input should be"),
        ("sd: {dolly: 0.5}", "sd: null", "settings.0.rows.0.sd: input should be a valid dict"),
        ("note: by hand", "notes: by hand", "settings.0.rows.0.notes: extra inputs are not"),
    ],
)
def test_an_invalid_file_is_refused_by_name_and_field(tmp_path, old, new, message):
    assert old in FILE
    with pytest.raises(InputError) as caught:
        groups(tmp_path, text=FILE.replace(old, new, 1))
    path = tmp_path / "published.yaml"
    assert str(caught.value).startswith(f"{path}: not a file of published numbers: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("show", ["verified", "all"])
@pytest.mark.parametrize("row", ["GKD", "KD", "Teacher"])
def test_a_row_of_an_unknown_source_is_refused_by_name(tmp_path, show, row):
    head, mark, rest = FILE.partition(f"method: {row},")
    text = head + mark + rest.replace("source: page", "source: pgae", 1)
    with pytest.raises(InputError, match=rf"row '{row}': source: unknown name 'pgae'$"):
        groups(tmp_path, show, text)


@pytest.mark.parametrize(
    ("field", "task"), [("values", "vicuna"), ("sd", "dolly"), ("unverified", "vicuna")]
)
def test_a_misspelt_task_is_refused_by_name(tmp_path, field, task):
    """A misspelt task would drop a number, or hide that it is unverified."""
    head, mark, rest = FILE.partition(f"{field}:")
    text = head + mark + rest.replace(task, "vicnua", 1)
    assert text != FILE
    with pytest.raises(InputError, match=f"{field}: unknown name 'vicnua'$"):
        groups(tmp_path, "all", text)


def test_a_file_that_is_not_utf8_is_refused_by_name(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_bytes(FILE.replace("A page", "café").encode("latin-1"))
    with pytest.raises(InputError, match=r"p\.yaml: not a file of published .*: 'utf-8' codec"):
        published_groups(path, FIVE, "rougeL", "all")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"^baselines=.*no\.yaml: No such file"):
        published_groups(tmp_path / "no.yaml", FIVE, "rougeL", "all")


def test_every_row_of_the_repository_is_complete():
    content, rows = raw_rows()
    assert content["columns"] == list(FIVE)
    assert len({setting["id"] for setting in content["settings"]}) == len(content["settings"])
    assert len({(setting["id"], row["method"]) for setting, row in rows}) == len(rows)
    for _, row in rows:
        assert row["role"] in ("student", "teacher", "composite")
        assert row["certainty"] in ("verified", "second_hand", "unverified")
        assert row["source"] in content["sources"]
        assert set(row["values"]) <= set(FIVE)
        assert row["values"]
        assert set(row.get("sd", {})) | set(row.get("unverified", ())) <= set(row["values"])
        assert all(0 < value < 100 for value in row["values"].values())


def test_every_row_of_the_repository_is_shown_with_all():
    _, rows = raw_rows()
    shown = [row for group in published_groups(None, FIVE, "rougeL", "all") for row in group.rows]
    assert [row.label for row in shown] == [row["method"] for _, row in rows]


def test_the_bundled_numbers_are_shown_where_asked(tmp_path):
    table = build_table(TableSettings(results=tmp_path, published="verified"))
    assert table.columns[:2] == ("Dolly", "Self-inst")
    assert len(table.columns) == len(FIVE) + 1
    assert "CKD" in str(table)


def test_the_averages_of_the_ckd_page_are_in_the_table(tmp_path):
    drawn = build_table(TableSettings(results=tmp_path, published="verified"))
    rows = [row for group in drawn.groups for row in group.rows if "(CKD), project" in row.source]
    averages = {row.label.split(" (")[0]: drawn.text(row.cells[-1]) for row in rows}
    assert averages == {"GKD": "21.37", "MiniLLM": "20.09", "DistiLLM": "23.07", "CKD": "23.38"}
