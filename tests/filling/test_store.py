"""Evaluations and tables whose folders are URLs: the same bytes, and nothing lost on the way."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import yaml
from flaky_store import FlakyStore

import kdbench
from kdbench.config import EvalSettings, FillSettings, TableSettings, TrainSettings, build
from kdbench.errors import InputError
from kdbench.evaluation import evaluate
from kdbench.filling.choice import MakeExecutor
from kdbench.filling.executor import Executor, NeedsOf
from kdbench.filling.nodes import Node
from kdbench.filling.table import fill
from kdbench.filling.work import NodeResult, do
from kdbench.system.remote import storage
from kdbench.system.remote.hooks import close_mirrors
from kdbench.toy.models import World

_URL = "flaky://bucket"


class Inline(Executor):
    """Runs each node at once, in this process."""

    def __init__(self, models: Path, needs: NeedsOf):
        super().__init__(None, models, needs)
        self.slots = 1
        self._ended: list[NodeResult] = []

    def submit(self, node: Node) -> None:
        self._ended.append(do(node, self.models))

    def finished(self, timeout: float) -> list[NodeResult]:
        del timeout
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[FlakyStore]]:
    monkeypatch.setattr(storage, "_WAITS", (0.0,) * 8)
    monkeypatch.setenv("KDBENCH_REMOTE_CACHE", str(tmp_path / "cache"))
    fsspec.register_implementation("flaky", FlakyStore, clobber=True)
    yield FlakyStore.fresh()
    close_mirrors()


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(_: object) -> MakeExecutor:
        return Inline

    monkeypatch.setattr("kdbench.filling.table.choose_executor", choose)


def settings(world: World, results: object, **keys: object) -> EvalSettings:
    small = {"tasks": ["dolly", "vicuna"], "limit": 4, "seeds": [10, 20], "max_new_tokens": 8}
    given = {"model": str(world.student), "data": str(world.data), "results": str(results)}
    return build(EvalSettings, {**given, **small, **keys})


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder but run.json, which holds times, and locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.json" and not path.name.endswith(".lock")
    }


def published(store: type[FlakyStore], folder: str = "") -> dict[str, bytes]:
    start = f"{folder}/" if folder else ""
    return {
        path.removeprefix(start): content
        for path, content in store.contents().items()
        if path.startswith(start) and not path.endswith("run.json")
    }


def new_machine() -> None:
    """Forget all mirrors, as a machine that was never there before."""
    close_mirrors()
    shutil.rmtree(storage_cache())


def storage_cache() -> Path:
    import os

    return Path(os.environ["KDBENCH_REMOTE_CACHE"])


def test_an_evaluation_at_a_url_has_the_bytes_of_one_on_disk(
    store: type[FlakyStore], world: World, tmp_path: Path
) -> None:
    local = evaluate(settings(world, tmp_path / "local"))
    store.faults = 0.1
    there = evaluate(settings(world, _URL))
    store.faults = 0.0
    assert there.run.name == local.run.name
    assert published(store) == contents(tmp_path / "local")
    record = store.contents()[f"student/{there.run.name}/run.json"].decode()
    assert str(tmp_path / "cache") not in record
    assert json.loads(record)["status"] == "complete"
    assert not [path for path in store.store if "leases" in path]
    new_machine()
    assert evaluate(settings(world, _URL)).generated == 0
    assert kdbench.table(results=_URL, tasks=["dolly"]).to_pandas().shape[0]


def test_a_store_that_goes_down_loses_no_sample(
    store: type[FlakyStore], world: World, tmp_path: Path
) -> None:
    """What could not be published is published by the same command, which generates nothing."""
    wanted = settings(world, _URL)
    store.stop_after = len(store.puts) + 4
    with pytest.raises(InputError, match=r"flaky://bucket.*run the same command again to resume"):
        evaluate(wanted)
    store.down, store.stop_after = False, None
    assert not [path for path in published(store) if path.endswith("dolly.json")]
    close_mirrors()
    assert evaluate(settings(world, _URL)).generated == 0
    evaluate(settings(world, tmp_path / "local"))
    assert published(store) == contents(tmp_path / "local")


def test_another_machine_resumes(
    store: type[FlakyStore], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        from kdbench.measuring.measurement import Measurement

        patch.setattr(Measurement, "_average_groups", lambda _: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            evaluate(settings(world, _URL, tasks=["dolly"]))
    new_machine()
    assert evaluate(settings(world, _URL)).generated == 8  # those of the other task


def test_a_table_at_urls_has_the_bytes_of_one_on_disk(
    store: type[FlakyStore], inline: None, world: World, tmp_path: Path
) -> None:
    """A new machine finds all of it done, and one that lacks a checkpoint fetches it."""
    table = tmp_path / "table.yaml"
    values = {
        "title": "a table",
        "teacher": {"label": "Teacher", "checkpoint": str(world.teacher)},
        "student": {"label": "Student", "checkpoint": str(world.student)},
        "data_sets": {"few": {"builder": "teacher_responses", "limit": 16, "max_new_tokens": 4}},
        "rows": [{"train": {"recipe": "toy/kd", "train_set": "built:few"}}],
        "train": {"limit": 16, "steps": 2, "validation_limit": 2, "max_new_tokens": 4},
        "evaluate": {"limit": 2, "max_new_tokens": 4, "metrics": ["rougeL"]},
        "tasks": ["dolly"],
        "data": str(world.data),
    }
    table.write_text(yaml.safe_dump(values))
    place = {"models": f"{_URL}/m", "results": f"{_URL}/r"}
    filled = fill(build(FillSettings, {"table": str(table), **place}))
    assert filled.failed == {}
    here = {"models": str(tmp_path / "m"), "results": str(tmp_path / "r")}
    fill(build(FillSettings, {"table": str(table), **here}))
    for folder in ("m", "r"):
        ours, theirs = contents(tmp_path / folder), published(store, folder)
        assert {path for path in ours if not path.endswith((".lock", ".lease"))} == set(theirs)
        same = [path for path in ours if path.endswith((".safetensors", "dolly.json", ".jsonl"))]
        for path in same:
            if path not in ("times.jsonl",) and not path.endswith("training.jsonl"):
                assert theirs[path] == ours[path], path
    assert any(path.startswith("m/data/few-") for path in store.contents())
    new_machine()
    plan = fill(build(FillSettings, {"table": str(table), "plan": True, **place}))
    assert "nothing to do" in plan.notes
    (mark,) = [path for path in store.contents() if path.startswith("r/filled/KD-")]
    del store.store[f"/bucket/{mark}"]
    new_machine()
    uploads = len(store.puts)
    assert fill(build(FillSettings, {"table": str(table), **place})).failed == {}
    assert not [path for path in store.puts[uploads:] if path.endswith(".safetensors")]
    assert mark in store.contents()
    for path in [path for path in store.store if "/m/KD-" in path or path.endswith(mark)]:
        del store.store[path]
    new_machine()
    uploads = len(store.puts)
    assert fill(build(FillSettings, {"table": str(table), **place})).failed == {}
    new = store.puts[uploads:]  # trained again on the set that the first machine has built
    assert [path for path in new if path.endswith(".safetensors")]
    assert not [path for path in new if "/data/few-" in path]


@pytest.mark.parametrize(
    ("kind", "keys", "line"),
    [
        (EvalSettings, {"results": "foo://a"}, "results=foo://a: unknown protocol 'foo'"),
        (EvalSettings, {"results": "https://a.invalid/x"}, "https:// is read only, and this"),
        (EvalSettings, {"card": "s3://a/b"}, "card=s3://a/b: must be a path on this machine"),
        (EvalSettings, {"storage_options": {"a": 1}}, "storage_options= needs a folder that is"),
        (TrainSettings, {"out": "s3://a/b"}, "out=s3://a/b: must be a path on this machine"),
        (TableSettings, {"out": "s3://a/b"}, "must be a path on this machine, not a URL; res"),
    ],
)
def test_what_cannot_be_a_url_is_refused(
    store: type[FlakyStore], kind: type, keys: dict[str, object], line: str
) -> None:
    needed = {EvalSettings: {"model": "m"}, TrainSettings: {"method": "kd"}}.get(kind, {})
    with pytest.raises(InputError, match=line):
        build(kind, {**needed, **keys})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", lacks)
    with pytest.raises(InputError, match="s3:// needs a package: pip install s3fs"):
        build(EvalSettings, {"model": "m", "results": "s3://bucket/x"})


def test_a_url_needs_no_permission_to_write_for_a_table(
    store: type[FlakyStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(FlakyStore, "pipe_file", denied)
    build(TableSettings, {"results": _URL})
    with pytest.raises(InputError, match="no permission: it cannot be written"):
        build(EvalSettings, {"model": "m", "results": _URL})
