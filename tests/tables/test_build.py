"""Results and published numbers become groups of comparable rows."""

import pytest
from typer.testing import CliRunner

from kdbench.cli.verbs import app
from kdbench.config import TableSettings
from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import stored_runs
from kdbench.tables import build_table, unshown_tasks

BASELINES = """
schema: 1
metric: rougeL
columns: [dolly, vicuna]
sources:
  page: {title: A page, url: https://x.org}
settings:
  - id: big-to-small
    title: Big → small, by hand
    teacher: big
    student: small
    rows:
      - {method: GKD, role: student, source: page, certainty: verified, decimals: 2,
         values: {dolly: 23.75, vicuna: 16.64}}
      - {method: KD, role: student, source: page, certainty: unverified, decimals: 1,
         values: {dolly: 99.9, vicuna: 99.9}}
"""
TWO = ("dolly", "vicuna")


@pytest.fixture
def results(tmp_path):
    (tmp_path / "published.yaml").write_text(BASELINES, encoding="utf-8")
    return tmp_path / "results"


RUN = {"method": None, "setting": None, "limit": None, "status": "complete", "tasks": {}}


def put(
    results,
    name,
    values,
    texts=None,
    other=None,
    metric="rougeL",
    version="1",
    teacher=None,
    **run,
):
    """Store a run with one number for each task.

    Args:
        texts: Hash of the prompts by task.
        other: Fields of the fingerprint that differ.
        teacher: Name of the run with whose checkpoint it is compared.
    """
    folder = RunFolder(results / name / "run-1")
    record = {**RUN, **run}
    protocol = {"name": record.pop("protocol", "minillm")}
    folder.write_run({**record, "model": {"name": name, "sha256": name}, "protocol": protocol})
    unit, direction = {
        "rougeL": ("points", "higher"),
        "lm_loss": ("nats", "lower"),
        "response_length": ("tokens", "none"),
    }[metric]
    for task, value in values.items():
        fields = (value, value - 1, value + 2, 0.5) if value is not None else (None,) * 4
        numbers = MetricResult(*fields, {"1": value, "2": value}, 100, unit, direction, version)
        fingerprint = {
            "task": task,
            "prompts_sha256": (texts or {}).get(task, "same"),
            "data_sha256": "same",
            "protocol": {"temperature": 1.0},
            **(other or {}),
        }
        compared = {"name": "big", "sha256": teacher} if teacher else None
        folder.write_task(
            TaskResult(
                fingerprint, {metric: numbers}, {"id": []}, {"used": 100}, 0, metric, compared
            )
        )


def draw(results, published="none", **settings):
    settings = {"tasks": TWO, "baselines": results.parent / "published.yaml", **settings}
    return build_table(TableSettings(results=results, published=published, **settings))


def labels(table):
    return [[row.label for row in group.rows] for group in table.groups]


def best(table, column=0):
    return [
        row.label
        for group in table.groups
        for row in group.rows
        if row.cells[column] is not None and row.cells[column].best
    ]


def test_a_run_becomes_a_measured_row(results):
    put(results, "student", {"dolly": 20.0, "vicuna": 10.0}, method="GKD", setting="A to b")
    table = draw(results)
    (group,) = table.groups
    (row,) = group.rows
    assert (row.label, row.kind, row.source) == ("GKD (student)", "measured", "student/run-1")
    assert (group.id, group.title) == ("A to b", "A to b, protocol minillm")
    cell = row.cells[0]
    assert (cell.value, cell.ci_low, cell.ci_high, cell.sd, cell.n) == (20, 19, 22, 0.5, 100)
    assert (table.columns, table.unit) == (("Dolly", "Vicuna", "AVG"), "points")
    assert table.kind_of(row) == "measured"


def test_the_average_covers_the_shown_tasks(results):
    put(results, "student", {"dolly": 20.0, "vicuna": 11.0, "unnatural": 90.0})
    average = draw(results).groups[0].rows[0].cells[-1]
    assert average.value == pytest.approx(15.5)
    assert average.n == 200
    half_low, half_high = (1 + 1) ** 0.5 / 2, (4 + 4) ** 0.5 / 2
    assert (average.ci_low, average.ci_high) == pytest.approx((15.5 - half_low, 15.5 + half_high))


def test_a_missing_cell_leaves_the_average_empty(results):
    put(results, "holed", {"dolly": 20.0})
    put(results, "undefined", {"dolly": 20.0, "vicuna": None})
    table = draw(results)
    for row in table.groups[0].rows:
        assert [table.text(cell) for cell in row.cells] == ["20.00 [19.00, 22.00]", "", ""]


@pytest.mark.parametrize(
    ("name", "method", "label"),
    [("m", None, "m"), ("m", "GKD", "GKD (m)"), ("GKD", "GKD", "GKD")],
)
def test_a_row_is_labelled_by_its_method_and_model(results, name, method, label):
    put(results, name, {"dolly": 1.0}, method=method)
    assert labels(draw(results)) == [[label]]


def test_an_incomplete_run_has_a_note(results):
    put(results, "m", {"dolly": 1.0}, status="running")
    assert draw(results).groups[0].rows[0].note == "the run is not complete"


def test_rows_with_the_same_prompts_share_a_group(results):
    put(results, "a", {"dolly": 1.0, "vicuna": 1.0}, {"dolly": "x", "vicuna": "y"})
    put(results, "b", {"dolly": 2.0}, {"dolly": "x"})
    put(results, "c", {"vicuna": 2.0}, {"vicuna": "y"})
    assert labels(draw(results)) == [["a", "b", "c"]]


def test_rows_of_different_prompts_never_share_a_group(results):
    put(results, "a", {"dolly": 1.0, "vicuna": 1.0}, {"dolly": "x", "vicuna": "y"})
    put(results, "b", {"dolly": 2.0, "vicuna": 2.0}, {"dolly": "x", "vicuna": "other"})
    put(results, "c", {"dolly": 3.0}, {"dolly": "third"})
    table = draw(results)
    assert labels(table) == [["a"], ["b"], ["c"]]
    assert best(table) == []


def test_a_row_that_joins_a_group_adds_its_prompts(results):
    put(results, "a", {"dolly": 1.0}, {"dolly": "x"})
    put(results, "b", {"vicuna": 1.0}, {"vicuna": "y"})
    put(results, "c", {"vicuna": 2.0}, {"vicuna": "other"})
    assert labels(draw(results)) == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    "other", [{"setting": "B"}, {"protocol": "minillm+top_k=5"}, {"limit": 20}]
)
def test_setting_protocol_and_limit_separate_groups(results, other):
    put(results, "a", {"dolly": 1.0})
    put(results, "b", {"dolly": 2.0}, **other)
    table = draw(results)
    assert labels(table) == [["a"], ["b"]]
    titles = " / ".join(group.title for group in table.groups)
    assert ("first 20 prompts per task" if "limit" in other else str(*other.values())) in titles


@pytest.mark.parametrize(
    "other",
    [{"data_sha256": "x"}, {"protocol": {"temperature": 0.5}}, {"of_a_later_version": 1}, None],
)
def test_fingerprint_and_metric_separate_groups(results, other):
    put(results, "a", {"dolly": 1.0})
    put(results, "b", {"dolly": 2.0}, other=other, version="1" if other else "2")
    table = draw(results)
    assert labels(table) == [["a"], ["b"]]
    assert best(table) == []


def test_the_fingerprint_of_a_hidden_task_does_not_separate_rows(results):
    put(results, "a", {"dolly": 1.0, "vicuna": 1.0}, {"vicuna": "x"})
    put(results, "b", {"dolly": 2.0, "vicuna": 2.0}, {"vicuna": "y"})
    assert labels(draw(results, tasks=("dolly",))) == [["a", "b"]]


def test_the_best_of_a_column_is_marked_and_teachers_are_not(results):
    put(results, "a", {"dolly": 20.0, "vicuna": 12.0}, teacher="t")
    put(results, "b", {"dolly": 21.0, "vicuna": 10.0})
    put(results, "t", {"dolly": 30.0, "vicuna": 30.0}, method="GPT-2 XL")
    table = draw(results)
    assert labels(table) == [["GPT-2 XL (t)", "a", "b"]]
    assert (best(table, 0), best(table, 1), best(table, 2)) == (["b"], ["a"], ["a"])


def test_a_label_does_not_make_a_teacher(results):
    put(results, "a", {"dolly": 20.0}, teacher="t")
    put(results, "b", {"dolly": 30.0}, method="Teacher")
    assert labels(draw(results)) == [["Teacher (b)", "a"]]
    assert best(draw(results)) == ["Teacher (b)"]


def test_a_teacher_in_one_setting_may_be_a_student_in_another(results):
    put(results, "small", {"dolly": 10.0}, setting="340M to 120M", teacher="medium")
    put(results, "medium", {"dolly": 20.0}, setting="1.5B to 340M")
    put(results, "other", {"dolly": 15.0}, setting="1.5B to 340M")
    assert best(draw(results)) == ["medium"]


def test_a_model_without_a_hash_is_not_a_teacher(results):
    put(results, "a", {"dolly": 20.0}, teacher="t")
    put(results, "b", {"dolly": 30.0})
    RunFolder(results / "b" / "run-1").update_run(
        lambda run: {**run, "model": {"name": "b", "sha256": None}}
    )
    assert best(draw(results)) == ["b"]


def test_equal_printed_values_are_best_together(results):
    put(results, "a", {"dolly": 20.001})
    put(results, "b", {"dolly": 20.004})
    put(results, "c", {"dolly": 19.99})
    assert best(draw(results)) == ["a", "b"]


def test_a_single_row_is_not_marked_as_best(results):
    put(results, "a", {"dolly": 20.0}, teacher="t")
    put(results, "t", {"dolly": 10.0})
    assert best(draw(results)) == []


def test_lower_is_better_where_the_metric_says_so(results):
    put(results, "a", {"dolly": 2.5}, metric="lm_loss")
    put(results, "b", {"dolly": 1.5}, metric="lm_loss")
    table = draw(results, metric="lm_loss", published="all")
    assert best(table) == ["b"]
    assert table.unit == "nats"
    assert table.text(table.groups[0].rows[1].cells[0]) == "1.500 [0.500, 3.500]"
    assert labels(table) == [["a", "b"]]


def test_a_metric_without_a_direction_has_no_best(results):
    put(results, "a", {"dolly": 25.0}, metric="response_length")
    put(results, "b", {"dolly": 15.0}, metric="response_length")
    assert best(draw(results, metric="response_length")) == []


def test_measured_and_reported_rows_are_never_ranked_together(results):
    put(results, "a", {"dolly": 20.0}, setting="Big → small")
    put(results, "b", {"dolly": 21.0}, setting="Big → small")
    table = draw(results, published="verified")
    assert labels(table) == [["a", "b"], ["GKD"]]
    kinds = [{row.kind for row in group.rows} for group in table.groups]
    assert kinds == [{"measured"}, {"reported"}]
    assert best(table) == ["b"]


@pytest.mark.parametrize(
    ("published", "expected"),
    [("none", []), ("verified", ["GKD"]), ("all", ["GKD", "KD"])],
)
def test_reported_rows_are_shown_as_asked(results, published, expected):
    put(results, "a", {"dolly": 20.0})
    table = draw(results, published=published)
    rows = [row for group in table.groups for row in group.rows if row.kind == "reported"]
    assert [row.label for row in rows] == expected
    assert [table.kind_of(row) for row in rows] == ["reported [1]"] * len(expected)
    assert ("†" in table.render("md")) == (published == "all")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("measured",), ["a", "b"]),
        (("Toy",), ["b"]),
        (("big-to-small",), ["GKD"]),
        (("big-to-small", "Toy"), ["b", "GKD"]),
        (("measured", "Toy"), ["a", "b"]),
        (("measured", "big-to-small"), ["a", "b", "GKD"]),
    ],
)
def test_groups_are_selected_by_id_or_as_measured(results, settings, expected):
    put(results, "a", {"dolly": 20.0})
    put(results, "b", {"dolly": 20.0}, setting="Toy")
    table = draw(results, "verified", settings=settings)
    assert [label for group in labels(table) for label in group] == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [("big-to-smal", "did you mean"), ("Big → small, by hand", ""), ("Toy, protocol minillm", "")],
)
def test_an_unknown_id_is_refused_with_the_nearest_one(results, setting, message):
    put(results, "a", {"dolly": 20.0}, setting="Toy")
    with pytest.raises(InputError, match=f"^settings={setting}: no such group of rows; {message}"):
        draw(results, "verified", settings=("Toy", setting))


def test_nothing_to_show_is_an_error(results):
    with pytest.raises(InputError, match="no result with metric 'rougeL'; there is no such folder"):
        draw(results)
    results.mkdir()
    with pytest.raises(InputError, match="no result with metric 'rougeL'; published=verified"):
        draw(results)
    put(results, "a", {"dolly": 20.0})
    with pytest.raises(InputError, match="no result with metric 'bleu'"):
        draw(results, metric="bleu")


def test_tasks_that_nobody_chose_and_that_no_column_shows_are_known(results):
    put(results, "a", {"dolly": 20.0, "mine": 30.0, "yours": 40.0})
    runs = list(stored_runs(results))
    assert unshown_tasks(TableSettings(results=results), runs) == ["mine", "yours"]
    settings = TableSettings(results=results, columns=("AVG", "mine"))
    assert unshown_tasks(settings, runs) == ["yours"]
    assert unshown_tasks(TableSettings(results=results, tasks=("dolly",)), runs) == []


def test_the_command_notes_them_on_stderr(results):
    put(results, "a", {"dolly": 20.0, "mine": 30.0})
    result = CliRunner().invoke(app, ["table", f"results={results}", "published=none"])
    assert result.exit_code == 0
    assert "Dolly" in result.stdout
    assert result.stderr == "note: not shown: mine; tasks= chooses the tasks\n"


def test_a_result_of_another_schema_is_refused_by_name(results):
    put(results, "a", {"dolly": 20.0})
    file = results / "a" / "run-1" / "dolly.json"
    file.write_text('{"schema": 99}')
    with pytest.raises(InputError, match=r"dolly\.json: schema 99"):
        draw(results)


@pytest.mark.parametrize("field", [*RUN, "model", "protocol"])
def test_a_record_that_lacks_a_field_is_refused_by_name(results, field):
    put(results, "a", {"dolly": 20.0})
    folder = RunFolder(results / "a" / "run-1")
    folder.write_run({key: value for key, value in folder.read_run().items() if key != field})
    with pytest.raises(InputError) as caught:
        draw(results)
    path = folder.path / "run.json"
    assert str(caught.value) == f"{path}: not the record of a run: '{field}' is missing"


def test_the_prompts_of_a_column_are_those_of_its_measured_rows(results):
    put(results, "a", {"dolly": 20.0, "vicuna": None})
    group = draw(results).groups[0]
    assert [group.prompts(column) for column in range(3)] == ["100", "", ""]


def test_rows_are_shown_as_requested_and_in_that_order(results):
    for name in ("c", "a", "b"):
        put(results, name, {"dolly": 20.0}, setting="s")
    assert labels(draw(results)) == [["a", "b", "c"]]
    assert labels(draw(results, rows=("b", "a"))) == [["b", "a"]]
    with pytest.raises(InputError, match=r"^rows=d: known: a, b, c$"):
        draw(results, rows=("a", "d"))
    put(results, "d", {"dolly": None}, setting="s")  # a teacher has no number of a comparison
    assert labels(draw(results, rows=("d", "a"))) == [["a"]]


def test_groups_without_a_requested_row_are_left_out(results):
    put(results, "a", {"dolly": 20.0}, setting="one")
    put(results, "b", {"dolly": 20.0}, setting="two")
    assert [group.id for group in draw(results, rows=("b",)).groups] == ["two"]


def test_a_table_states_when_and_where_it_was_measured(results):
    gpu, cpu = {"gpus": ["A card"]}, {"gpus": []}
    put(results, "a", {"dolly": 1.0}, created="2026-11-24T23:00:00+00:00", environment=gpu)
    assert "come from kdbench, run on 2026-11-24 on A card.\n" in str(draw(results))
    put(results, "b", {"dolly": 1.0}, created="2026-11-22T01:00:00+00:00", environment=cpu)
    put(results, "c", {"dolly": 1.0})  # neither date nor machine
    note = "come from kdbench, run between 2026-11-22 and 2026-11-24 on A card and CPU.\n"
    assert note in str(draw(results))
    assert "come from kdbench.\n" in str(draw(results, rows=("c",)))


def test_a_teacher_measured_under_another_label_joins_its_students(results):
    put(results, "a", {"dolly": 20.0, "vicuna": 12.0}, setting="small", teacher="t")
    put(results, "t", {"dolly": 30.0, "vicuna": 30.0}, limit=100)
    table = draw(results)
    assert labels(table) == [["t", "a"]]
    assert not table.groups[0].rows[0].ranked
    assert table.groups[0].title == "small, protocol minillm"


@pytest.mark.parametrize(
    "other",
    [
        {"texts": {"dolly": "other"}},  # it answered other prompts
        {"other": {"protocol": {"temperature": 0.5}}},
        {"protocol": "greedy"},
        {"version": "2"},
    ],
)
def test_a_teacher_of_other_prompts_or_rules_stays_by_itself(results, other):
    put(results, "a", {"dolly": 20.0}, setting="small", teacher="t")
    put(results, "t", {"dolly": 30.0}, **other)
    assert sorted(map(tuple, labels(draw(results)))) == [("a",), ("t",)]


def test_a_teacher_joins_all_its_students_and_leaves_no_group_of_its_own(results):
    put(results, "a", {"dolly": 20.0}, setting="one", teacher="t")
    put(results, "b", {"dolly": 21.0}, setting="two", teacher="t")
    put(results, "c", {"dolly": 22.0}, setting="two", teacher="t")
    put(results, "t", {"dolly": 30.0})
    put(results, "u", {"dolly": 31.0}, setting="two")  # a row beside, no teacher
    assert labels(draw(results)) == [["t", "a"], ["t", "b", "c", "u"]]


def test_rows_are_sorted_by_a_column_and_teachers_stay_on_top(results):
    put(results, "a", {"dolly": 20.0, "vicuna": 12.0}, teacher="t")
    put(results, "b", {"dolly": 22.0})
    put(results, "c", {"dolly": 21.0, "vicuna": 15.0})
    put(results, "t", {"dolly": 19.0, "vicuna": 30.0})
    assert labels(draw(results, sort="Dolly")) == [["t", "b", "c", "a"]]
    assert labels(draw(results, sort="-dolly")) == [["t", "a", "c", "b"]]
    assert labels(draw(results, sort="AVG")) == [["t", "c", "a", "b"]]  # b has no average
    assert labels(draw(results, sort="-avg")) == [["t", "a", "c", "b"]]


def test_the_direction_of_a_metric_decides_which_rows_come_first(results):
    for name, value in (("a", 2.0), ("b", 1.0), ("c", 3.0)):
        put(results, name, {"dolly": value, "vicuna": value}, metric="lm_loss")
    assert labels(draw(results, metric="lm_loss", sort="AVG")) == [["b", "a", "c"]]
    assert labels(draw(results, columns=("lm_loss",), sort="lm_loss")) == [["b", "a", "c"]]
    assert labels(draw(results, columns=("lm_loss",), sort="-lm_loss")) == [["c", "a", "b"]]


def test_an_unknown_column_to_sort_by_is_refused_with_the_nearest_one(results):
    put(results, "a", {"dolly": 20.0})
    with pytest.raises(InputError, match=r"sort=-Doly: no such column: did you mean 'Dolly'"):
        draw(results, sort="-Doly")


def test_reported_rows_are_shown_only_where_they_are_asked_for(results):
    put(results, "a", {"dolly": 20.0})

    def kinds(**keys):
        settings = TableSettings(results=results, tasks=TWO, **keys)
        return {row.kind for row in build_table(settings).rows}

    baselines = results.parent / "published.yaml"
    assert kinds() == {"measured"}
    assert kinds(published="verified") == {"measured", "reported"}
    assert kinds(baselines=baselines) == {"measured", "reported"}
    assert kinds(baselines=baselines, settings=("big-to-small",)) == {"reported"}
    assert kinds(settings=("measured",)) == {"measured"}
