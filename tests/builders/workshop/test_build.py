"""`kdbench build`: files that are complete or absent, and the same for the same settings."""

import errno
import json
import shutil
from pathlib import Path

import pytest
from built_sets import lines_of, prompts, rows_of, write_rows
from killed_builds import files_of
from typer.testing import CliRunner

import kdbench
from kdbench.builders import Builder, builders
from kdbench.cli.verbs import app
from kdbench.errors import InputError
from kdbench.system.files import Appender
from kdbench.toy.models import World


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data sets with one of ten rows."""
    write_rows(tmp_path / "data/said/train.jsonl", prompts(10, category="word", weight=2))
    write_rows(tmp_path / "data/said/valid.jsonl", prompts(2))
    return tmp_path / "data"


@pytest.fixture
def keys(data: Path, world: World, told) -> dict[str, str]:
    """The keys of a build that asks the scripted backend."""
    return {
        "data": str(data),
        "train_set": "said",
        "teacher": str(world.teacher),
        "backend": "told",
    }


def test_equal_keys_give_equal_bytes_and_other_seeds_other_texts(build_it, keys) -> None:
    first = build_it("teacher_responses", "a", **keys, responses=2)
    again = build_it("teacher_responses", "b", **keys, responses=2)
    other = build_it("teacher_responses", "c", **keys, responses=2, seed=11)
    assert files_of(first.folder) == files_of(again.folder)
    texts, others = ({row["response"][0] for row in rows_of(built)} for built in (first, other))
    assert len(texts) == len(others) == 20
    assert not texts & others  # near seeds share no response


def test_numbers_of_a_row_keep_every_digit(build_it, keys, data) -> None:
    write_rows(data / "said/train.jsonl", prompts(2, weight=1e-9, share=1 / 3))
    rows = rows_of(build_it("teacher_responses", **keys))
    assert {(row["weight"], row["share"]) for row in rows} == {(1e-9, 1 / 3)}


def test_a_new_version_of_a_builder_is_another_build(build_it, keys, monkeypatch) -> None:
    build_it("teacher_responses", "a", **keys)
    monkeypatch.setattr(builders.get("teacher_responses"), "version", 2)
    with pytest.raises(InputError, match="different version"):
        build_it("teacher_responses", "a", **keys)


def test_columns_and_validation_rows_stay(build_it, keys, data) -> None:
    built = build_it("teacher_responses", **keys)
    (first, *_) = rows = rows_of(built)
    assert len(rows) == 10
    assert first == {
        "id": "r0",
        "prompt": "Say word 0",
        "response": ["word 0 10 1.0"],
        "category": "word",
        "weight": 2,
    }
    valid = built.folder / "said/valid.jsonl"
    assert valid.read_bytes() == (data / "said/valid.jsonl").read_bytes()
    assert built.card.rows_in == built.card.rows_out == 10


def test_a_finished_build_asks_nothing(build_it, keys, told) -> None:
    first = build_it("teacher_responses", **keys)
    told.reset()
    assert build_it("teacher_responses", **keys) == first.__class__(first.folder, first.card, False)
    assert not told.made


def test_an_interrupted_build_asks_for_what_is_missing(build_it, keys, told, tmp_path) -> None:
    whole = build_it("teacher_responses", "whole", **keys, backend_options={})
    told.reset()
    told.fails_at = 7
    with pytest.raises(ConnectionError):
        build_it("teacher_responses", **keys)
    assert not (tmp_path / "out").exists()
    told.fails_at = None
    built = build_it("teacher_responses", **keys)
    assert files_of(built.folder) == files_of(whole.folder)
    # A backend that is given its batches gets the whole batch of two again.
    assert told.asked[7:] == [("r6", 10), ("r7", 10), ("r8", 10), ("r9", 10)]
    assert not (tmp_path / "out.unfinished").exists()


def test_an_engine_of_its_own_is_never_asked_twice(build_it, keys, told) -> None:
    keys["backend"] = "own"
    told.fails_at = 7
    with pytest.raises(ConnectionError):
        build_it("teacher_responses", **keys)
    told.fails_at = None
    build_it("teacher_responses", **keys)
    assert told.asked == [(f"r{number}", 10) for number in range(10)]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 12}, "seed (was 10, is 12)"),
        ({"responses": 3}, "responses (was 1, is 3)"),
        ({"temperature": 0.5}, "temperature"),
        ({"limit": 9}, "data rows (was 10, is 9)"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_is_of_one_build(build_it, keys, told, changed, named, finished) -> None:
    told.fails_at = None if finished else 3
    if finished:
        build_it("teacher_responses", **keys)
    else:
        with pytest.raises(ConnectionError):
            build_it("teacher_responses", **keys)
    with pytest.raises(InputError) as error:
        build_it("teacher_responses", **keys, **changed)
    assert f"was built with a different {named}" in str(error.value)
    assert "pass out=… to keep both" in str(error.value)


def test_other_models_rows_and_validation_rows_are_another_build(
    build_it, keys, data, world
) -> None:
    build_it("teacher_responses", **keys)
    with pytest.raises(InputError, match="different models teacher name"):
        build_it("teacher_responses", **{**keys, "teacher": str(world.student)})
    write_rows(data / "said/valid.jsonl", prompts(3))
    with pytest.raises(InputError, match="different data validation"):
        build_it("teacher_responses", **keys)
    write_rows(data / "said/train.jsonl", prompts(10, category="letter"))
    with pytest.raises(InputError, match="different data sha256"):
        build_it("teacher_responses", **keys)


def test_a_folder_without_work_is_taken_over(build_it, keys, told, tmp_path) -> None:
    """What a killed process left before it asked anything."""
    told.fails_at = 3
    with pytest.raises(ConnectionError):
        build_it("teacher_responses", **keys)
    shutil.rmtree(tmp_path / "out.unfinished/work")
    told.fails_at = None
    assert build_it("teacher_responses", **keys, seed=12).is_new


def test_a_fault_before_any_work_leaves_nothing(build_it, keys, told, tmp_path) -> None:
    write_rows(tmp_path / "texts.jsonl", [{"text": "a plain text"}])
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match="row 'texts-00000': a plain text asks nothing"):
        build_it("teacher_responses", **{**keys, "train_set": str(tmp_path / "texts.jsonl")})
    assert set(tmp_path.iterdir()) == before
    assert not told.made


def test_a_file_that_was_changed_is_not_what_was_built(build_it, keys) -> None:
    built = build_it("teacher_responses", **keys)
    with built.train_file.open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"train\.jsonl: has changed since it was built; delete"):
        build_it("teacher_responses", **keys)


def test_another_folder_is_not_overwritten(build_it, keys, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists, and kdbench did not build it; pass another out="):
        build_it("teacher_responses", **keys)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputError, match="a link that leads nowhere"):
        build_it("teacher_responses", "link", **keys)


def test_what_a_kill_left_beside_a_finished_set_goes(build_it, keys, told, tmp_path) -> None:
    told.fails_at = 3
    with pytest.raises(ConnectionError):
        build_it("teacher_responses", **keys)
    left = shutil.copytree(tmp_path / "out.unfinished", tmp_path / "copy")
    told.fails_at = None
    build_it("teacher_responses", **keys)
    left.rename(tmp_path / "out.unfinished")
    assert not build_it("teacher_responses", **keys).is_new
    assert not (tmp_path / "out.unfinished").exists()


def test_a_full_disk_is_one_line_and_the_build_goes_on(
    build_it, keys, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    whole = build_it("teacher_responses", "whole", **keys)
    words = ["build", "teacher_responses", *(f"{key}={value}" for key, value in keys.items())]
    add, lines = Appender.add, []

    def full(self: Appender, record: object) -> None:
        lines.append(record)
        if len(lines) == 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(self._path))
        add(self, record)

    monkeypatch.setattr(Appender, "add", full)
    done = CliRunner().invoke(app, [*words, f"out={tmp_path / 'out'}"])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) >= 1
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Appender, "add", add)
    built = build_it("teacher_responses", **keys)
    assert files_of(built.folder) == files_of(whole.folder)


def test_removed_rows_are_listed_with_the_reason(build_it, keys, told) -> None:
    told.empty = {"r1", "r4"}
    built = build_it("teacher_responses", **keys)
    assert [row["id"] for row in rows_of(built)] == [f"r{n}" for n in (0, 2, 3, 5, 6, 7, 8, 9)]
    assert lines_of(built.folder / "removed.jsonl") == [
        {"id": f"r{n}", "prompt": f"Say word {n}", "reason": "empty response"} for n in (1, 4)
    ]
    assert built.card.figures["removed: empty response"] == 2


def test_a_set_without_rows_is_no_set(build_it, keys, told, tmp_path) -> None:
    told.empty = {f"r{number}" for number in range(10)}
    with pytest.raises(InputError, match=r"kept none of 10 rows; .*removed: empty response 10"):
        build_it("teacher_responses", **keys)
    assert not (tmp_path / "out").exists()


def test_an_id_that_a_builder_gives_twice_is_its_fault(build_it, keys) -> None:
    @builders.register("twice")
    class Twice(Builder):
        """Yield each row twice."""

        title = "Twice"
        paper = "none"
        cost = "nothing"

        def build(self, work):
            """Yield each row twice."""
            for rows in work.chunks():
                yield from ({"id": row.id, "text": "x"} for row in rows for _ in range(2))

    del keys["teacher"], keys["backend"]
    with pytest.raises(InputError, match="a second row with the id 'r0'"):
        build_it("twice", **keys)


def test_a_row_that_training_cannot_read_is_refused(build_it, keys, tmp_path) -> None:
    @builders.register("broken")
    class Broken(Builder):
        """Yield rows without a response."""

        title = "Broken"
        paper = "none"
        cost = "nothing"

        def build(self, work):  # noqa: ARG002
            """Yield a row without a response."""
            yield {"id": "x", "prompt": "y"}

    del keys["teacher"], keys["backend"]
    with pytest.raises(InputError, match="'response' must be a non-empty text"):
        build_it("broken", **keys)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.unfinished").exists()


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (None, "its build\\(\\) must yield rows; it returned None"),
        (["text"], "row 1 must have columns by name: 'text'"),
        ([{"prompt": "y", "response": "z"}], "row 1 has no 'id'"),
        ([{"id": "x", "prompt": "y", "response": "z", "w": {1}}], "row 'x' is not JSON: .*set"),
        ([{"id": "x", "prompt": "y", "response": "z", "w": float("nan")}], "row 'x' is not JSON"),
        ([{"id": "x", "prompt": "\ud800", "response": "z"}], "row 'x' is not JSON: .*surrogates"),
        ([{"id": "x", "text": "y"}, {"id": "z", "text": ""}], "reads what it wrote: row 2: 'text'"),
    ],
)
def test_a_bad_row_of_a_builder_is_named(build_it, keys, tmp_path, rows, fault) -> None:
    @builders.register("wrong")
    class Wrong(Builder):
        """Writes what no file can hold."""

        title = "Wrong"
        paper = "none"
        cost = "nothing"

        def build(self, work):  # noqa: ARG002
            """Return the given rows."""
            return rows

    del keys["teacher"], keys["backend"]
    with pytest.raises(InputError, match=f"^builder=wrong: .*{fault}"):
        build_it("wrong", **keys)
    assert not (tmp_path / "out.unfinished").exists()


def test_the_document_has_the_card(keys, tmp_path) -> None:
    words = ["build", "teacher_responses", *(f"{key}={value}" for key, value in keys.items())]
    done = CliRunner().invoke(app, [*words, f"out={tmp_path / 'out'}", "--json"])
    assert done.exit_code == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["new"] is True
    assert content["card"] == json.loads((tmp_path / "out/card.json").read_text())
    assert content["file"].endswith("out/said/train.jsonl")


def test_a_dry_run_writes_nothing_and_loads_nothing(keys, told, tmp_path) -> None:
    before = set(tmp_path.rglob("*"))
    words = [f"{key}={value}" for key, value in keys.items()]
    done = CliRunner().invoke(
        app, ["build", "teacher_responses", *words, "responses=3", "--dry-run"]
    )
    assert done.exit_code == 0, done.stderr
    assert "30 responses" in done.stdout
    assert "Say word 0" in done.stdout
    assert set(tmp_path.rglob("*")) == before
    assert not told.made


def test_the_function_takes_the_same_keys(keys, tmp_path) -> None:
    built = kdbench.build("teacher_responses", out=tmp_path / "out", **keys, responses=2)
    assert built.card.rows_out == 20
    with pytest.raises(InputError, match="dry_run= is for the command line"):
        kdbench.build("teacher_responses", out=tmp_path / "b", **keys, dry_run=True)
