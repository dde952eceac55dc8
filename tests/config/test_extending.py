"""Files of keys that extend others."""

import re
from pathlib import Path

import pytest

from kdbench.config.extending import read_chain
from kdbench.errors import InputError


def beside(upper: Path, name: str) -> Path:
    return upper.parent / name


def put(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def test_a_chain_has_the_file_itself_first(tmp_path: Path) -> None:
    put(tmp_path, a="extends: b.yaml\nx: 1\n", b="extends: c.yaml\ny: 2\n", c="x: 3\n")
    chain = read_chain(tmp_path / "a.yaml", "table", beside)
    assert [(part.file.name, part.values) for part in chain] == [
        ("a.yaml", {"x": 1}),
        ("b.yaml", {"y": 2}),
        ("c.yaml", {"x": 3}),
    ]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"a": "extends: ./a.yaml\n"}, "a.yaml: extends: ./a.yaml: is this file itself"),
        (
            {"a": "extends: b.yaml\n", "b": "extends: c.yaml\n", "c": "extends: b.yaml\n"},
            "c.yaml: extends: b.yaml: extends this file in turn (b.yaml → c.yaml → b.yaml)",
        ),
        ({"a": "extends: [b.yaml]\n", "b": ""}, "a.yaml: extends: must be one name"),
        ({"a": "extends: ''\n"}, "a.yaml: extends: must be one name"),
        ({"a": "extends: b.yaml\n", "b": "- 1\n"}, "b.yaml: must hold key: value lines"),
        ({"a": "extends: c.yaml\n"}, "c.yaml: No such file"),
    ],
)
def test_a_wrong_chain_is_one_line(tmp_path: Path, texts: dict[str, str], message: str) -> None:
    put(tmp_path, **texts)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_chain(tmp_path / "a.yaml", "table", beside)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("table=")
