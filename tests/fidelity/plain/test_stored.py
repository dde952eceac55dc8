"""Values of chunks in a file, from which a comparison resumes."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.errors import InputError
from kdbench.fidelity.plain.scoring import ChunkValues
from kdbench.fidelity.plain.stored import StoredChunks

IDENTITY = {"model": "a", "context": 8}


def some(seed: int) -> ChunkValues:
    return ChunkValues(*np.random.default_rng(seed).random((4, 3)))


def kept(path: Path, *seeds: int) -> StoredChunks:
    stored = StoredChunks(path, IDENTITY)
    with stored.appending() as file:
        for seed in seeds:
            file.add(seed, some(seed))
    return stored


def test_values_are_the_same_after_a_resume(tmp_path: Path) -> None:
    file = tmp_path / "new" / "values.jsonl"
    kept(file, 0, 1)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])  # killed while it wrote chunk 1
    assert set(StoredChunks(file, IDENTITY).values) == {0}
    kept(file, 1)
    assert file.read_bytes() == whole
    again = StoredChunks(file, IDENTITY).values
    assert np.array_equal(again[1].log_p, some(1).log_p)
    assert np.array_equal(again[0].kl, some(0).kl)


def test_nothing_is_stored_without_a_file(tmp_path: Path) -> None:
    stored = StoredChunks(None, IDENTITY)
    with stored.appending() as file:
        file.add(4, some(4))
    assert set(stored.values) == {4}
    kept(tmp_path / "unused.jsonl")
    assert (tmp_path / "unused.jsonl").read_text() == '{"context": 8, "model": "a"}\n'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"model": "b", "context": 8}\n', r"another model \(b, now a\); give another file"),
        ('{"model": "a"}\n', r"another context \(None, now 8\)"),
        ('{"model": "a", "context": 8}\n{"chunk": 0, "kl": [1]}\n', r":2: not the values"),
        (
            '{"model": "a", "context": 8}\n'
            '{"chunk": 0, "kl": "", "log_q": "", "log_p": "", "same_top": "AAAAAAAAAAA="}\n',
            r":2: not the values of a chunk; delete the file",
        ),
        ("text\n", ":1: not a line of JSON"),
    ],
)
def test_a_file_of_something_else_is_refused(lines: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "values.jsonl"
    file.write_text(lines)
    with pytest.raises(InputError, match=message):
        StoredChunks(file, IDENTITY)
    assert file.read_text() == lines
