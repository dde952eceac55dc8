"""Plain text in chunks of tokens."""

from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import InputError
from kdbench.fidelity.plain.chunks import chunks_of, read_text

FILE = Path("text.txt")


class Letters:
    """A tokenizer of one token for each letter, perhaps with a begin token before a text."""

    def __init__(self, begins: bool, ends: bool = False):
        self.bos_token_id = 0
        self._before = [0] if begins else []
        self._after = [1] if ends else []

    def __call__(self, text: str, add_special_tokens: bool = True, **_: Any) -> Any:
        ids = [ord(letter) for letter in text]
        return {"input_ids": [*self._before, *ids, *self._after] if add_special_tokens else ids}


def words(chunks: list[tuple[int, ...]]) -> list[str]:
    return ["".join(map(chr, chunk)) for chunk in chunks]


def test_what_does_not_fill_a_chunk_is_left_out() -> None:
    for tokenizer in (Letters(begins=False), Letters(begins=False, ends=True)):
        assert words(chunks_of("abcdefghijk", tokenizer, 4, None, FILE)) == ["abcd", "efgh"]
        assert words(chunks_of("abcdefgh", tokenizer, 4, 1, FILE)) == ["abcd"]
        assert words(chunks_of("abcd", tokenizer, 4, 9, FILE)) == ["abcd"]


def test_each_chunk_begins_as_a_text_does() -> None:
    """The begin token takes a place in the first chunk, and that of a token in the others."""
    chunks = chunks_of("abcdefghijk", Letters(begins=True), 4, None, FILE)
    assert words(chunks) == ["\0abc", "\0efg", "\0ijk"]


def test_a_text_must_fill_a_chunk() -> None:
    with pytest.raises(InputError, match=r"text=text\.txt: has 7 tokens.*context=7 or less"):
        chunks_of("abcdefg", Letters(begins=False), 8, None, FILE)


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"ok \xff", r"not text in UTF-8 \(byte 3\)"), (b" \n", "holds no text"), (None, "No such")],
)
def test_a_text_must_be_readable(content: bytes | None, line: str, tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=rf"^text={file}: .*{line}"):
        read_text(file)


def test_a_shorter_context_is_advised_only_where_there_is_one() -> None:
    with pytest.raises(InputError, match=r"give a longer text, or context=5 or less$"):
        chunks_of("abcde", Letters(begins=False), 6, None, FILE)
    with pytest.raises(InputError, match=r"give a longer text$"):
        chunks_of("abc", Letters(begins=False), 6, None, FILE)
