"""The place of a text is found by its hash, from the stored index or without one."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from kdbench.scores.index import index_files, joined, read_index, sizes_of_files, write_index
from kdbench.scores.shards import Block, read_texts, shard_content, shard_name


def block(number: int) -> Block:
    content = f"scores of {number}".encode() * (number % 5 + 1)
    return Block(hashlib.sha256(str(number).encode()).digest(), number % 9 + 1, 0.5, content)


def shard(folder: Path, numbers: range) -> str:
    blocks = [block(number) for number in numbers]
    name = shard_name([one.digest for one in blocks])
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(shard_content(blocks))
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for start in (0, 50, 70):
        shard(tmp_path / "scores", range(start, start + 60))
    return tmp_path


def check(index, folder: Path, numbers: range) -> None:
    for number in numbers:
        one = block(number)
        place = index.find(one.digest)
        with (folder / "scores" / place.file).open("rb") as file:
            file.seek(place.start)
            assert file.read(place.size) == one.content
        assert place.tokens == one.tokens
    assert index.find(block(10**6).digest) is None


def test_every_text_is_found_in_its_file(folder: Path) -> None:
    sizes = sizes_of_files(folder / "scores")
    index = index_files(folder / "scores", sizes)
    check(index, folder, range(130))
    assert index.rows.shape == (6, 130)
    parts = [index_files(folder / "scores", {name: size}) for name, size in sizes.items()]
    check(joined(parts), folder, range(130))
    assert joined(parts).rows.shape == (6, 130)
    assert read_index(folder, sizes) is None
    write_index(folder, index)
    stored = read_index(folder, sizes)
    assert isinstance(stored.rows, np.memmap)
    check(stored, folder, range(130))


def test_an_index_that_does_not_fit_is_not_used(folder: Path) -> None:
    scores = folder / "scores"
    write_index(folder, index_files(scores, sizes_of_files(scores)))
    more = shard(scores, range(200, 210))
    assert more not in read_index(folder, sizes_of_files(scores)).files
    other = next(name for name in sizes_of_files(scores) if name != more)
    (scores / other).unlink()
    assert read_index(folder, sizes_of_files(scores)) is None
    for content in (b"", b"oops" * 99, (folder / "index.safetensors").read_bytes()[:-1]):
        (folder / "index.safetensors").write_bytes(content)
        assert read_index(folder, sizes_of_files(scores)) is None


def test_halves_of_hashes_that_are_equal_are_told_apart(tmp_path: Path) -> None:
    digests = [bytes(8) + bytes([number]) * 24 for number in range(5)]
    blocks = [Block(digest, 1, 0.0, bytes([n]) * 20) for n, digest in enumerate(digests)]
    (tmp_path / "a.safetensors").write_bytes(shard_content(blocks))
    index = index_files(tmp_path, sizes_of_files(tmp_path))
    starts = read_texts(tmp_path / "a.safetensors").starts.tolist()
    assert [index.find(digest).start for digest in digests] == starts
    assert index.find(bytes(8) + bytes([9]) * 24) is None


def test_a_file_whose_texts_others_have_is_not_needed(folder: Path) -> None:
    scores = folder / "scores"
    inside = shard(scores, range(20, 40))
    sizes = sizes_of_files(scores)
    assert index_files(scores, sizes).unneeded() == [inside]


def test_the_bytes_of_a_file_do_not_depend_on_the_order() -> None:
    blocks = [block(number) for number in range(30)]
    assert shard_content(blocks) == shard_content(blocks[::-1])
