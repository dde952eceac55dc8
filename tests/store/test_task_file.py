"""Results that are read in parts are those that are read as a whole."""

import json
import math
import os
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.errors import InputError
from kdbench.store.column import NumberColumn, packed
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult, open_task, read_task

FINITE = st.floats(-1e6, 1e6).map(lambda value: round(value, 6) + 0.0)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)


def metric(value):
    return MetricResult(value, None, None, None, {"10": value}, 2, "points", "higher", "1")


def result(columns, ids, task="dolly"):
    return TaskResult(
        fingerprint={"task": task, "protocol": {"name": "minillm", "seeds": [10]}},
        metrics={name: metric(1.5 * place) for place, name in enumerate(columns)},
        documents={"id": list(ids), **columns},
        data={"rows": len(ids), "used": len(ids)},
        cut_prompts=None,
        main_metric=next(iter(columns)),
    )


@st.composite
def results(draw):
    ids = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    numbers = st.lists(
        st.one_of(st.none(), FINITE, st.integers(0, 9)), min_size=len(ids), max_size=len(ids)
    )
    names = draw(st.lists(NAMES.filter(lambda n: n not in ("id", "category")), min_size=1,
                          max_size=4, unique=True))  # fmt: skip
    return result({name: draw(numbers) for name in names}, ids)


def same(parts, whole):
    """Compare two results, and with them the types of their numbers."""
    assert list(parts.metrics) == list(whole.metrics)
    assert dict(parts.metrics) == dict(whole.metrics)
    assert list(parts.documents) == list(whole.documents)
    for name, column in whole.documents.items():
        assert list(parts.documents[name]) == list(column)
        assert list(map(type, parts.documents[name])) == list(map(type, column))
    rest = {"metrics": {}, "documents": {}}
    assert replace(parts, **rest) == replace(whole, **rest)


@given(results())
@settings(max_examples=60, deadline=None)
def test_in_parts_as_a_whole_and_in_another_layout(tmp_path_factory, stored):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    whole = folder.write_task(stored)
    path = folder.path / "dolly.json"
    same(open_task(path), whole)
    content = json.loads(path.read_text("utf-8"))
    for name, column in content["documents"].items():
        assert list(whole.documents[name]) == column
    for indent in (None, 1, 2):  # as an editor would leave it
        path.write_text(json.dumps(content, indent=indent), "utf-8")
        same(open_task(path), whole)
        same(read_task(path), whole)


@given(st.lists(st.sampled_from(["touch", "replace", "delete", "add"]), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_after_any_edits_the_files_of_now_count(tmp_path_factory, edits):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.write_task(result({"rougeL": [1.0, 2.0]}, ["a", "b"]))
    for number, edit in enumerate(edits):
        path = folder.path / "dolly.json"
        if edit == "touch" and path.exists():
            os.utime(path)
        elif edit == "delete":
            path.unlink(missing_ok=True)
        elif edit == "replace":  # by one of the same size, at the same time
            time = path.stat().st_mtime_ns if path.exists() else 1
            folder.write_task(result({"rougeL": [1.0, 3.0 + number]}, ["a", "b"]))
            os.utime(path, ns=(time, time))
        else:
            folder.write_task(result({"rougeL": [4.0]}, ["c"], f"task{number}"))
        names = [path.stem for path in sorted(folder.path.glob("*.json"))]
        parts = list(folder.tasks(in_parts=True))
        assert [part.task for part in parts] == names
        for part in parts:
            same(part, read_task(folder.path / f"{part.task}.json"))


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_task(result({"rougeL": [1.0, 2.0], "other": [1.0, 2.0]}, ["a", "b"]))
    stored = open_task(tmp_path / "dolly.json")
    assert list(stored.documents["rougeL"]) == [1.0, 2.0]
    folder.write_task(result({"rougeL": [9.0, 9.0], "other": [9.0, 9.0]}, ["a", "b"]))
    assert list(stored.documents["rougeL"]) == [1.0, 2.0]  # as it was read
    with pytest.raises(InputError, match=r"dolly\.json: changed while .* run the same command"):
        stored.documents["other"]
    (tmp_path / "dolly.json").unlink()
    with pytest.raises(InputError, match="changed while"):
        stored.metrics["other"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"other": [1.0, 2.0]', '"other": [1.0]', r"documents\.other: must be a list of 2"),
        ('"other": [1.0, 2.0]', '"other": [1.0, "x"]', "must hold numbers or null"),
        ('"other": [1.0, 2.0]', '"other": [1.0, 2.0', "not JSON"),
        ('"n": 2, "per_seed": {"10": 1.5}', '"n": -2, "per_seed": {}', r"metrics\.other\.n: must"),
    ],
)
def test_a_damaged_part_is_an_error_when_it_is_asked_for(tmp_path, old, new, message):
    folder, path = RunFolder(tmp_path), tmp_path / "dolly.json"
    folder.write_task(result({"rougeL": [1.0, 2.0], "other": [1.0, 2.0]}, ["a", "b"]))
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    stored = open_task(path)
    assert list(stored.documents["rougeL"]) == [1.0, 2.0]
    assert stored.metrics["rougeL"].value == 0.0
    with pytest.raises(InputError, match=message):
        _ = (stored.documents["other"], stored.metrics["other"])
    with pytest.raises(InputError, match=message):
        read_task(path)


@pytest.mark.parametrize("section", ["documents", "metrics"])
def test_two_entries_on_one_line_are_an_error_and_no_traceback(tmp_path, section):
    folder, path = RunFolder(tmp_path), tmp_path / "dolly.json"
    columns = {name: [1.0, 2.0] for name in ("m", "other", "z")}
    folder.write_task(result({"rougeL": [1.0, 2.0], **columns}, ["a", "b"]))
    before, head, after = path.read_text("utf-8").partition(f' "{section}": {{\n')
    lines = after.splitlines(keepends=True)
    places = [n for n, line in enumerate(lines) if line.startswith('  "')]
    place = places[0] if section == "metrics" else places[1]  # "m" and the next
    lines[place] = lines[place].rstrip("\n")
    path.write_text(before + head + "".join(lines), "utf-8")
    with pytest.raises(InputError, match=r"dolly\.json: .* needs a line of its own"):
        _ = [(dict(stored.documents), dict(stored.metrics)) for stored in [open_task(path)]]


@pytest.mark.parametrize("section", ["documents", "metrics"])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_comma_too_few_or_too_many_is_an_error(tmp_path, section, place):
    folder, path = RunFolder(tmp_path), tmp_path / "dolly.json"
    folder.write_task(result({"rougeL": [1.0, 2.0], "x": [1.0, 2.0], "y": [0.0, 0.0]}, ["a", "b"]))
    before, head, after = path.read_text("utf-8").partition(f' "{section}": {{\n')
    inner, end, rest = after.partition(" },\n")
    lines = inner.splitlines()
    lines[place] = lines[place].removesuffix(",") if place >= 0 else f"{lines[place]},"
    path.write_text(before + head + "\n".join(lines) + "\n" + end + rest, "utf-8")
    for read in (open_task, read_task):
        with pytest.raises(InputError, match="not JSON"):
            read(path)


def test_what_is_missing_is_missing(tmp_path):
    RunFolder(tmp_path).write_task(result({"rougeL": [1.0]}, ["a"]))
    stored = open_task(tmp_path / "dolly.json")
    assert "x" not in stored.documents
    assert stored.documents.get("x") is None
    assert stored.metrics.get("x") is None
    assert stored.categories is None


def test_memory_holds_places_and_no_numbers(tmp_path):
    documents, metrics = 300, 40
    columns = {f"m{place}": [0.5] * documents for place in range(metrics)}
    path = tmp_path / "dolly.json"
    RunFolder(tmp_path).write_task(result(columns, [f"d{n}" for n in range(documents)]))
    open_task(path)  # what all results share
    tracemalloc.start()
    stored = [open_task(path) for _ in range(50)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(stored[0].documents) == metrics + 1
    assert taken / len(stored) < 6_000  # bytes, of a file of 100 KB


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), max_size=9))
def test_a_packed_column_reads_like_the_list(values):
    column = packed(values)
    assert isinstance(column, NumberColumn)
    assert list(column) == values
    assert column == values
    assert column == packed(values)
    assert len(column) == len(values)
    assert [column[place] for place in range(len(values))] == values
    assert column[1:3] == values[1:3]
    assert [math.isnan(value) for value in column.values] == [value is None for value in values]
    assert column != [*values, 1.0]


def test_whole_numbers_and_categories_are_not_packed():
    for column in ([1, 2.0], ["a", None], [True]):
        assert packed(column) is column


def test_what_files_share_is_checked_for_each_of_them(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_task(result({"rougeL": [1.0, 2.0]}, ["a", "b"]))
    text = (tmp_path / "dolly.json").read_text("utf-8")
    open_task(tmp_path / "dolly.json")
    (tmp_path / "vicuna.json").write_text(text, "utf-8")
    for read in (open_task, read_task):
        with pytest.raises(InputError, match=r"fingerprint\.task: must be 'vicuna'"):
            read(tmp_path / "vicuna.json")
    for name in ("x", "y"):
        run = tmp_path / name / "dolly.json"
        run.parent.mkdir()
        run.write_text(text.replace('["a", "b"]', '["a", "a"]'), "utf-8")
        with pytest.raises(InputError, match="must hold different ids"):
            open_task(run)
    (tmp_path / "dolly.json").write_text(text.replace('"main_metric": "rougeL"',
                                                      '"main_metric": "no"'), "utf-8")  # fmt: skip
    with pytest.raises(InputError, match="main_metric: must be one of"):
        open_task(tmp_path / "dolly.json")


def test_a_large_file_is_read_line_by_line_and_its_faults_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("kdbench.store.results.LARGE", 0)
    monkeypatch.setattr("kdbench.store.task_file.LARGE", 0)
    monkeypatch.setattr("kdbench.store.task_file._LONG", 40)
    monkeypatch.setattr("kdbench.store.task_file._START", 30)
    folder, path = RunFolder(tmp_path), tmp_path / "dolly.json"
    ids = [f"d{number}" for number in range(300)]
    stored = result({"rougeL": [n / 7 for n in range(300)], "other": [None] * 300}, ids)
    written = folder.write_task(stored)
    monkeypatch.undo()
    whole = read_task(path)
    same(written, whole)
    assert list(whole.documents["rougeL"]) == [round(n / 7, 6) for n in range(300)]
    text = path.read_text("utf-8")
    for old, new, message in [
        ('"other": [null, ', '"other": [', r"documents\.other: must be a list of 300"),
        ('"other": [null, ', '"other": [nul, ', "not JSON"),
        ('"n": 2', '"n": -2', r"metrics\.\w+\.n: must be a whole number"),
    ]:
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
        messages = []
        for large in (0, 2**30):
            monkeypatch.setattr("kdbench.store.results.LARGE", large)
            with pytest.raises(InputError, match=message) as caught:
                read_task(path)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
