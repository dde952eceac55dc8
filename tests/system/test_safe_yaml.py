"""YAML within limits: what is refused, at once and in one line."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.system.safe_yaml import MAX_BYTES, check_yaml, parse_yaml, read_yaml_file

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested deeper than"),
        ("- " * 100_000, "nested deeper than"),
        ("{a: " * 100_000, "nested deeper than"),
        ("? " * 100_000, "nested deeper than"),
        (BOMB, "aliases stand for over"),
        ("a: &a [*a]", "alias"),
        ("a: 1\na: 2", "line 2: the key 'a' comes twice"),
        ("limit: 010", "'010' is ambiguous"),
        ("limit: 1:30", "'1:30' is ambiguous"),
        ("a: !!python/object/apply:os.system [x]", "constructor"),
        ("a: [1", "line 2"),
        ("{[a]: 1}", "unhashable"),
        ("day: 2024-99-99", "month"),
        ("a: \0", "not YAML"),
    ],
)
def test_a_bad_text_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_plain_yaml_is_read() -> None:
    text = "base: &b {x: 1}\nc: {<<: *b, y: '010'}\nd: [1, -0.5, 0x1f, 1_000, .inf, null, true]\n"
    assert parse_yaml(text) == {
        "base": {"x": 1},
        "c": {"x": 1, "y": "010"},
        "d": [1, -0.5, 31, 1000, float("inf"), None, True],
    }


def test_tags_of_other_readers_pass_the_check_of_limits() -> None:
    check_yaml("doc_to_text: !function utils.text\n")
    check_yaml("a: 1\na: 2\n")


def test_only_regular_files_of_some_size_are_read(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        read_yaml_file(tmp_path / "pipe")
    (tmp_path / "large").write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="larger than 1 MB"):
        read_yaml_file(tmp_path / "large")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_yaml_file(tmp_path / "bytes")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml_file(tmp_path / "bom") == {"a": 1}
