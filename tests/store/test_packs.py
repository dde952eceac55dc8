"""What a pack refuses: damage, other versions, and paths that leave its folder."""

import json
import lzma
from dataclasses import replace

import pytest
from made_runs import put_run
from outcomes import run

from kdbench.errors import InputError
from kdbench.store.packing import gather_pack
from kdbench.store.packs import PACK, read_pack, result_hash, write_pack
from kdbench.system.files import sha256_of_file


@pytest.fixture
def file(tmp_path):
    put_run(tmp_path, "a", {"vicuna": [1.0, 2.0]})
    write_pack(tmp_path / PACK, gather_pack(tmp_path, lambda task, name: "whole").pack)
    return tmp_path / PACK


def lines(file):
    return [json.loads(line) for line in lzma.decompress(file.read_bytes()).splitlines()]


def rewrite(file, records):
    file.write_bytes(lzma.compress("".join(f"{json.dumps(r)}\n" for r in records).encode()))


@pytest.mark.parametrize(
    "damage",
    [lambda whole: whole[:-20], lambda _: b"", lambda _: b"version https://git-lfs"],
    ids=["cut short", "empty", "a pointer"],
)
def test_damage_is_one_line(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError) as error:
        read_pack(file)
    assert str(error.value) == (
        f"{file}: damaged or cut short; restore it, or delete it and run kdbench pack"
    )


def test_a_folder_in_place_of_a_pack_is_refused(tmp_path):
    (tmp_path / PACK).mkdir()
    outcome = run(["table", f"results={tmp_path}"])
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"kdbench: {tmp_path / PACK}: is a folder, and a pack of results is a file; rename or move "
        "the folder\n"
    )


def test_a_pack_that_cannot_be_read_is_one_line(file, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied; make it readable"):
        read_pack(file)


def test_a_later_version_is_named(file):
    head, *rest = lines(file)
    rewrite(file, [{**head, "pack": 2}, *rest])
    with pytest.raises(InputError, match="version 2; this kdbench reads version 1"):
        read_pack(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda head, run, marks: [head, marks],
        lambda head, run, marks: [head, run],
        lambda head, run, marks: [head, {**run, "run": "../a"}, marks],
        lambda head, run, marks: [head, {**run, "run": "/a"}, marks],
        lambda head, run, marks: [head, {**run, "tasks": {"vicuna": []}}, marks],
        lambda head, run, marks: [head, {"run": "a/b"}, marks],
        lambda head, run, marks: [head, run, {"marks": 3}],
        lambda head, run, marks: [head, run, {"marks": {"a.json": 3}}],
        lambda head, run, marks: [head, {**run, "run": "a\0/b"}, marks],
        lambda head, run, marks: [{**head, "runs": 2}, run, run, marks],
    ],
)
def test_what_is_no_pack_is_refused(file, change):
    rewrite(file, change(*lines(file)))
    with pytest.raises(InputError, match="is no pack of results; restore it"):
        read_pack(file)


def test_the_hash_is_that_of_the_file_it_was_taken_from(file):
    folder = file.parent / "a/run-1"
    task = folder / "vicuna.json"
    sha256 = sha256_of_file(task)
    (folder / "run.json").unlink()
    task.unlink()
    assert result_hash(folder, "vicuna") == sha256
    assert result_hash(folder, "dolly") is None
    assert result_hash(file.parent / "b/run-1", "vicuna") is None


def test_line_separators_in_texts_end_no_line(file):
    pack = read_pack(file)
    ((path, run),) = pack.runs.items()
    odd = replace(run, record={**run.record, "setting": "one\u2028two\x85three"})
    write_pack(file, replace(pack, runs={path: odd}))
    assert read_pack(file).runs[path].record["setting"] == "one\u2028two\x85three"
