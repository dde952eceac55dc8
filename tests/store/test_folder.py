"""The files of a run are deterministic and survive a crash."""

import errno
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder, run_id
from kdbench.store.results import MetricResult, TaskResult, read_task
from kdbench.system.files import read_json, write_json

HOLDER = """
import sys
from pathlib import Path
from kdbench.store.folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock("dolly"):
    print("held", flush=True)
    sys.stdin.read()
"""


def metric(value=23.75):
    return MetricResult(value, 22.5, 25.0, None, {"10": value}, 2, "points", "higher", "1")


def result(value=23.75):
    return TaskResult(
        fingerprint={"task": "dolly", "prompts_sha256": "ab"},
        metrics={"rougeL": metric(value)},
        documents={"id": ["a", "ü"], "rougeL": [value, None]},
        data={"rows": 2, "used": 2},
        cut_prompts=0,
        main_metric="rougeL",
    )


@contextmanager
def held_elsewhere(path):
    """Hold the task's lock in a different process."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        yield
        other.stdin.close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_task_comes_back_as_it_was_written(tmp_path):
    run = RunFolder(tmp_path / "model" / "run")
    assert run.read_task("dolly") is None
    run.write_task(result())
    assert run.read_task("dolly") == result()
    assert names(run.path) == ["dolly.json"]


def test_every_file_of_a_run_except_its_record_is_a_task(tmp_path):
    run = RunFolder(tmp_path)
    run.write_run({"status": "complete"})
    run.write_task(result())
    assert [result.task for result in run.tasks()] == ["dolly"]
    assert run.read_run() == {"schema": 1, "status": "complete"}


def test_numbers_are_written_with_six_decimals_and_never_nan(tmp_path):
    path = tmp_path / "x.json"
    numbers = [1 / 3, float("nan"), float("inf"), -float("inf"), 2.0, 3]
    write_json(path, {"schema": 1, "deep": {"er": {"x": numbers}}})
    assert read_json(path)["deep"]["er"]["x"] == [0.333333, None, None, None, 2.0, 3]
    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()


def test_keys_are_sorted_at_every_depth_and_the_file_ends_with_a_newline(tmp_path):
    path = tmp_path / "x.json"
    deep = {"b": {"d": {"z": 1, "y": [{"q": 1, "p": 2}]}, "c": 1}, "a": 1}
    write_json(path, {"schema": 1, **deep})
    text = path.read_text()
    assert text.endswith("}\n")
    assert not text.endswith("\n\n")

    def sorted_pairs(pairs):
        assert [key for key, _ in pairs] == sorted(key for key, _ in pairs)
        return dict(pairs)

    assert json.loads(text, object_pairs_hook=sorted_pairs) == {"schema": 1, **deep}


def test_equal_content_gives_equal_bytes(tmp_path):
    write_json(tmp_path / "a", {"schema": 1, "x": {"b": 0.1 + 0.2, "a": (1, 2)}})
    write_json(tmp_path / "b", {"x": {"a": [1, 2], "b": 0.3}, "schema": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    run = RunFolder(tmp_path)
    run.write_task(result(1.0))
    before = (tmp_path / "dolly.json").read_bytes()

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            run.write_task(result(2.0))
    assert (tmp_path / "dolly.json").read_bytes() == before
    assert names(tmp_path) == ["dolly.json"]
    run.write_task(result(2.0))
    assert run.read_task("dolly") == result(2.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"[]", "schema None; this kdbench reads schema 1"),
        (b'{"schema": 2}', "schema 2; this kdbench reads schema 1"),
        (b'{"schema": 1}', "not a result of kdbench"),
        (b'{"schema": 1, "metrics": []}', "not a result of kdbench"),
        (b'{"schema": 1, "metrics": {"x": {"value": 1}}}', "not a result of kdbench"),
        (b'{"schema": 1, "metrics": {}, "extra": 1}', "not a result of kdbench"),
    ],
)
def test_an_invalid_result_file_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "dolly.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_task(path)
    assert str(caught.value).startswith(f"{path}: {reason}")


def test_a_runs_name_depends_on_its_protocol_and_inputs():
    name = run_id("minillm+seeds=1,2", {"a": 1, "b": [2]})
    assert name.startswith("minillm+seeds=1-2-")
    assert len(name.rpartition("-")[2]) == 8
    assert name == run_id("minillm+seeds=1,2", {"b": [2], "a": 1})
    assert name != run_id("minillm+seeds=1,2", {"a": 1, "b": [3]})
    assert "/" not in run_id("../x y", {})
    assert len(run_id("chat+system=" + "m" * 300, {})) == 255
    assert run_id("m" * 300, {"a": 1}) != run_id("m" * 300, {"a": 2})


def test_a_runs_name_is_stable_across_versions():
    assert run_id("minillm", {"limit": None, "model": "x"}) == "minillm-704ecad6"


def test_a_lock_held_by_a_different_process_is_refused_by_name(tmp_path):
    run = RunFolder(tmp_path / "results" / "model" / "run")
    with held_elsewhere(run.path):
        with (
            pytest.raises(InputError, match="another kdbench process is already running 'dolly'"),
            run.lock("dolly"),
        ):
            pass
        with run.lock("vicuna"):
            pass
    with run.lock("dolly"):
        pass


def test_a_waiting_process_gets_the_lock_once_it_is_free(tmp_path):
    run, got = RunFolder(tmp_path), threading.Event()
    run.write_run({})

    def wait():
        with run.lock("dolly", wait=True):
            got.set()

    waiting = threading.Thread(target=wait)
    with held_elsewhere(run.path):
        waiting.start()
        assert not got.wait(0.2)
    assert got.wait(600)
    waiting.join()


def test_a_run_that_never_started_leaves_no_files(tmp_path):
    run = RunFolder(tmp_path / "results" / "model" / "run")
    with pytest.raises(InputError, match="no"), run.lock("dolly"):
        raise InputError("no")
    assert names(tmp_path) == []


def test_files_of_a_different_run_are_kept(tmp_path):
    results = tmp_path / "results"
    RunFolder(results / "model" / "old").write_run({})
    with RunFolder(results / "model" / "new").lock("dolly"):
        pass
    assert names(results / "model") == ["old"]


def test_a_started_run_is_kept(tmp_path):
    run = RunFolder(tmp_path / "results" / "model" / "run")
    with run.lock("dolly"):
        run.write_run({"status": "running"})
    assert run.read_run()["status"] == "running"


def test_the_results_folder_can_be_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no"), RunFolder(Path("model/run")).lock("dolly"):
        raise InputError("no")
    assert names(tmp_path) == []


def test_the_record_is_rewritten_only_when_it_changes(tmp_path):
    run = RunFolder(tmp_path)
    run.update_run(lambda old: {**old, "tasks": ["a"]})
    first = (tmp_path / "run.json").stat()
    run.update_run(dict)
    assert (tmp_path / "run.json").stat().st_ino == first.st_ino
    run.update_run(lambda old: {**old, "tasks": [*old["tasks"], "b"]})
    assert run.read_run()["tasks"] == ["a", "b"]


def test_the_shards_of_a_task_are_found(tmp_path):
    run = RunFolder(tmp_path)
    for name in ("dolly.shard-1-2", "dolly.shard-0-2", "dolly", "vicuna.shard-0-2"):
        run.lines(name).replace([])
    actual = [file.path.name for file in run.shard_files("dolly")]
    assert actual == ["dolly.shard-0-2.jsonl", "dolly.shard-1-2.jsonl"]
