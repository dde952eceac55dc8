"""A mirror and its store: what is fetched, what is published and in which order."""

import json
import os
import shutil
from pathlib import Path

import fsspec
import pytest
from flaky_store import FlakyStore
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.errors import InputError
from kdbench.system.remote import storage
from kdbench.system.remote.address import mirror_folder, url_of
from kdbench.system.remote.mirror import OWN, Mirror
from kdbench.system.remote.publish import merge_lines, publish


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> type[FlakyStore]:
    monkeypatch.setattr(storage, "_WAITS", (0.0,) * 8)
    fsspec.register_implementation("flaky", FlakyStore, clobber=True)
    return FlakyStore.fresh()


def mirror(folder: Path, name: str = "a") -> Mirror:
    made = Mirror.of("results", "flaky://bucket", {}, folder / name, writes=True)
    made.open()
    return made


def put(at: Mirror, path: str, text: str) -> None:
    file = at.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def run_of(at: Mirror, name: str = "m/run", text: str = "1") -> None:
    put(at, f"{name}/samples/dolly.jsonl", f'{{"id": "{text}"}}\n')
    put(at, f"{name}/dolly.json", text)
    put(at, f"{name}/run.json", json.dumps({"status": "complete", "text": text}))


def files(at: Mirror) -> dict[str, str]:
    return {
        str(path.relative_to(at.folder)): path.read_text()
        for path in at.folder.rglob("*")
        if path.is_file() and not str(path.relative_to(at.folder)).startswith(".")
    }


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        (Path("s3://bucket/a"), "s3://bucket/a"),
        ("file:///tmp/x/", "file:///tmp/x"),
        (Path("file:///tmp/x"), "file:///tmp/x"),
        ("memory://x", "memory://x"),
        ("results/a:b/c", None),
        ("C:/results", None),
        ("/results", None),
        (3, None),
    ],
)
def test_urls_are_told_from_paths(value: object, url: str | None) -> None:
    assert url_of(value) == url


@pytest.mark.parametrize("url", ["file://", "file://results", "local://x", "flaky://"])
def test_an_address_without_a_place_is_refused(
    store: type[FlakyStore], tmp_path: Path, url: str
) -> None:
    with pytest.raises(InputError, match=r"^results=\S+: (needs a whole path|names no place)"):
        Mirror.of("results", url, {}, tmp_path, writes=True).open()
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("content", [b"x" * 300, b"SQLite format 3\0" + bytes(4000), None])
def test_a_damaged_index_is_one_line_which_never_names_the_store(
    store: type[FlakyStore], tmp_path: Path, content: bytes | None
) -> None:
    made = mirror(tmp_path)
    run_of(made)
    publish(made, ["m"])
    made.index.close()
    file = made.folder / OWN / "index.sqlite"
    file.write_bytes(content or file.read_bytes()[:5000])
    with pytest.raises(InputError, match=f"^the local copy '{made.folder.name}'") as caught:
        mirror(tmp_path).fetch()
    assert "; delete it" in str(caught.value)
    assert str(made.folder) not in str(caught.value)  # which is shown as the URL
    shutil.rmtree(made.folder)
    again = mirror(tmp_path)
    again.fetch()
    assert files(again) == files(made)


def test_a_password_is_no_part_of_a_folders_name(tmp_path: Path) -> None:
    assert "secret" not in str(mirror_folder("s3://user:secret@bucket/a", tmp_path))


def test_what_one_machine_publishes_another_fetches_once(
    store: type[FlakyStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = mirror(tmp_path), mirror(tmp_path, "b")
    run_of(one)
    assert publish(one, ["m"]) == 3
    assert publish(one, ["m"]) == 0
    assert other.fetch() == []
    assert files(other) == files(one)
    fetched: list[str] = []
    monkeypatch.setattr(FlakyStore, "get_file", lambda _, path, __: fetched.append(path))
    other.fetch()
    os.utime(one.folder / "m/run/dolly.json")  # the same content at another time
    assert (fetched, publish(one, ["m"])) == ([], 0)


def test_what_makes_a_run_count_comes_last(store: type[FlakyStore], tmp_path: Path) -> None:
    at = mirror(tmp_path)
    run_of(at)
    put(at, "filled/mark.json", "{}")
    put(at, "m/run/samples/shards/logs/eval-0.log", "of a shard at work")
    put(at, "KD/model.safetensors", "weights")
    put(at, "KD/config.json", "{}")
    put(at, "KD/kdbench.json", "{}")
    publish(at, [""])
    assert not any("shards" in path for path in store.puts)
    order = {path: place for place, path in enumerate(store.puts)}
    run = ["m/run/samples/dolly.jsonl", "m/run/dolly.json", "m/run/run.json", "filled/mark.json"]
    checkpoint = ["KD/model.safetensors", "KD/config.json", "KD/kdbench.json"]
    for places in ([order[path] for path in run], [order[path] for path in checkpoint]):
        assert places == sorted(places)
    # Samples count only with a record, so that of a run that has begun comes first.
    assert next(path for path in store.puts if path.startswith("m/")) == "m/run/run.json"


def test_a_store_that_dies_anywhere_shows_no_half(store: type[FlakyStore], tmp_path: Path) -> None:
    """After each possible number of uploads: a reader sees nothing, or a run that is consistent."""
    one = mirror(tmp_path)
    store.puts.clear()
    for number in range(1, 7):  # a record that is opened, its samples, results, weights, …
        store.stop_after = number + len(store.puts)
        text = str(number)
        run_of(one, text=text)
        put(one, "KD/model.safetensors", text)
        put(one, "KD/kdbench.json", text)
        with pytest.raises(InputError, match="run the same command again to resume"):
            publish(one, ["m", "KD"])
        store.down, store.stop_after = False, None
        reader = mirror(tmp_path, f"reader{number}")
        reader.fetch()
        seen = files(reader)
        if "KD/kdbench.json" in seen and number == 1:
            assert seen["KD/model.safetensors"] == text
        if "m/run/run.json" in seen:
            record = json.loads(seen["m/run/run.json"])
            if record["status"] == "complete":
                assert seen["m/run/dolly.json"] == record["text"]
        else:
            assert not any(path.startswith("m/run/samples") for path in seen)
        publish(one, ["m", "KD"])
        reader.fetch()
        assert files(reader) == files(one)


@given(faults=st.floats(0.05, 0.3), seed=st.integers(0, 1000))
@settings(max_examples=4)
def test_random_faults_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory, faults: float, seed: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "_WAITS", (0.0,) * 40)
        fsspec.register_implementation("flaky", FlakyStore, clobber=True)
        store = FlakyStore.fresh()
        store._random.seed(seed)
        store.faults = faults
        one, other = mirror(tmp_path), mirror(tmp_path, "b")
        for text in "123":
            run_of(one, text=text)
            publish(one, ["m"])
            other.fetch()
            assert files(other) == files(one)


def test_a_store_that_stays_down_is_one_line(store: type[FlakyStore], tmp_path: Path) -> None:
    at = mirror(tmp_path)
    run_of(at)
    store.down = True
    line = r"^flaky://bucket/m/run/run.json: cannot be written: OSError: .*reset by peer; run the"
    with pytest.raises(InputError, match=line):
        publish(at, ["m"])
    with pytest.raises(InputError, match=r"^flaky://bucket: cannot be read: OSError"):
        at.fetch()


def test_unpublished_work_survives_a_fetch(store: type[FlakyStore], tmp_path: Path) -> None:
    at = mirror(tmp_path)
    run_of(at)
    publish(at, ["m"])
    put(at, "m/run/samples/dolly.jsonl", "more\n")
    put(at, "m/run/vicuna.json", "new")
    assert sorted(at.fetch("m")) == ["m/run/samples/dolly.jsonl", "m/run/vicuna.json"]
    assert files(at)["m/run/samples/dolly.jsonl"] == "more\n"


def test_an_upload_that_arrived_unnoticed_is_not_another_writers(
    store: type[FlakyStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was killed between the upload and its note of it, and made more samples."""
    at = mirror(tmp_path)
    run_of(at)
    publish(at, ["m"])
    put(at, "m/run/samples/dolly.jsonl", "a\nb\n")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(storage.Storage, "entry", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(at, ["m"])
    assert store.contents()["m/run/samples/dolly.jsonl"] == b"a\nb\n"
    put(at, "m/run/samples/dolly.jsonl", "a\nb\nc\n")
    assert at.fetch("m") == ["m/run/samples/dolly.jsonl"]
    assert files(at)["m/run/samples/dolly.jsonl"] == "a\nb\nc\n"
    publish(at, ["m"])
    assert store.contents()["m/run/samples/dolly.jsonl"] == b"a\nb\nc\n"


def test_what_another_machine_has_changed_or_deleted_is_so_here(
    store: type[FlakyStore], tmp_path: Path
) -> None:
    one, other = mirror(tmp_path), mirror(tmp_path, "b")
    run_of(one)
    put(one, "m/run/samples/dolly.shard-0-of-2.jsonl", "x\n")
    publish(one, ["m"])
    other.fetch()
    run_of(other, text="2")
    (other.folder / "m/run/samples/dolly.shard-0-of-2.jsonl").unlink()
    publish(other, ["m"])
    one.fetch()
    assert files(one) == files(other)
    assert "m/run/samples/dolly.shard-0-of-2.jsonl" not in store.contents()


def test_a_lost_mirror_deletes_nothing(store: type[FlakyStore], tmp_path: Path) -> None:
    at = mirror(tmp_path)
    run_of(at)
    publish(at, ["m"])
    before = store.contents()
    for file in at.folder.glob("m/run/**/*.json*"):
        file.unlink()
    publish(at, ["m"])
    assert store.contents() == before


def test_samples_without_a_record_are_not_fetched(store: type[FlakyStore], tmp_path: Path) -> None:
    """An upload that ended before its record says nothing about the prompts of its samples."""
    at = mirror(tmp_path)
    at.storage.write("m/run/samples/dolly.jsonl", b"x\n")
    at.fetch()
    assert files(at) == {}


def test_a_state_that_is_being_written_waits(store: type[FlakyStore], tmp_path: Path) -> None:
    at = mirror(tmp_path)
    put(at, "KD.unfinished/identity.json", "{}")
    put(at, "KD.unfinished/checkpoint-2/model.bin", "2")
    publish(at, ["KD.unfinished"])
    assert list(store.contents()) == ["KD.unfinished/identity.json"]
    put(at, "KD.unfinished/checkpoint-2/kdbench_state.json", "{}")
    publish(at, ["KD.unfinished"])
    assert store.puts[-1] == "KD.unfinished/checkpoint-2/kdbench_state.json"
    for path in list(at.folder.rglob("checkpoint-2/*")):
        path.unlink()
    publish(at, ["KD.unfinished"])
    assert list(store.contents()) == ["KD.unfinished/identity.json"]


def test_an_unfinished_line_is_not_published(store: type[FlakyStore], tmp_path: Path) -> None:
    at = mirror(tmp_path)
    put(at, "m/run/run.json", "{}")
    put(at, "m/run/samples/dolly.jsonl", '{"a": 1}\n{"b"')
    publish(at, ["m"])
    assert store.contents()["m/run/samples/dolly.jsonl"] == b'{"a": 1}\n'
    put(at, "m/run/samples/dolly.jsonl", '{"a": 1}\n{"b": 2}\n')
    publish(at, ["m"])
    assert store.contents()["m/run/samples/dolly.jsonl"] == b'{"a": 1}\n{"b": 2}\n'


def test_lines_of_several_machines_are_merged(store: type[FlakyStore], tmp_path: Path) -> None:
    one, other = mirror(tmp_path), mirror(tmp_path, "b")
    put(one, "times.jsonl", "a\nb")
    put(other, "times.jsonl", "b\nc")
    for at in (one, other, one):
        merge_lines(at, "times.jsonl")
    assert store.contents()["times.jsonl"] == b"a\nb\nc"


@pytest.mark.parametrize("name", ["{out}/x", "a//x", "../x", "a/../../x", "a/"])
def test_an_object_with_a_hostile_name_is_left_where_it_is(store, tmp_path, monkeypatch, name):
    at, path = mirror(tmp_path), name.format(out=tmp_path / "out")
    found = {path: storage.StoredObject(1, "1"), "kept": storage.StoredObject(1, "1")}
    monkeypatch.setattr(at.storage, "listing", lambda folder: found)
    monkeypatch.setattr(at.storage, "download", lambda path, file: file.write_text(path))
    at.fetch()
    assert files(at) == {"kept": "kept"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_store_that_lacks_the_bucket_by_now_is_no_success(store, tmp_path, monkeypatch):
    at = mirror(tmp_path)
    put(at, "times.jsonl", "{}\n")

    def gone(path, content):
        raise FileNotFoundError("The specified bucket does not exist")

    monkeypatch.setattr(at.storage, "write", gone)
    with pytest.raises(InputError, match=r"bucket/times.jsonl: cannot be written: The spec"):
        publish(at, ["times.jsonl"])
