"""Commands are shared without the folders of the machine, and otherwise unchanged."""

import shlex
from pathlib import Path

import pytest
from api_functions import FUNCTIONS
from hypothesis import given
from hypothesis import strategies as st

from kdbench.builders import builders
from kdbench.builders.selection import selection_rules
from kdbench.config import fields_by_key
from kdbench.config.kinds import types_in
from kdbench.exchange.settings import PushSettings
from kdbench.methods import methods
from kdbench.store.command import _FREE_TEXT, shareable


@pytest.mark.parametrize(
    ("word", "shared"),
    [
        ("data=/home/me/kd/data", "data=path/to/data"),
        ("data=/home/me/data/", "data=path/to/data"),
        ("data=/home/my name/all data", "data=path/to/all data"),
        ("teacher=~/models/big.gguf", "teacher=path/to/big.gguf"),
        ("teacher=~me/big.gguf", "teacher=path/to/big.gguf"),
        ("~/x", "path/to/x"),
        ("/home/u/models/x", "path/to/x"),
        ("/home/u/lr=1e-4/last", "path/to/last"),
        ("--model=/home/u/m/x", "--model=path/to/x"),
        ("students=/a/b/kd,runs/gkd,org/name", "students=path/to/kd,runs/gkd,org/name"),
        ("students=[/home/u/a/,/home/u/b]", "students=[path/to/a,path/to/b]"),
        ("student=prune:/home/u/big,layers=20", "student=prune:path/to/big,layers=20"),
        ("judge=local:/home/anna/judge", "judge=local:path/to/judge"),
        ("watch=oracle=/home/u/o,own=teacher", "watch=oracle=path/to/o,own=teacher"),
        ("train.student=/home/u/x", "train.student=path/to/x"),
        ("task=file:///home/u/x", "task=file:path/to/x"),
        ("task=file://localhost/home/u/x", "task=file:path/to/x"),
        ('o=draft={"model": "/home/u,v/x/"},k=1', 'o=draft={"model": "path/to/x"},k=1'),
        ("o=setup=source /home/u/env/activate", "o=setup=source path/to/activate"),
        ("system=@/home/u/turn.txt", "system=@path/to/turn.txt"),
        (r"system=@C:\me\turn.txt", "system=@path/to/turn.txt"),
        ("chat_template=/home/u/x.jinja", "chat_template=path/to/x.jinja"),
        (r"model=C:\me\student", "model=path/to/student"),
        ("model=c:/me/student", "model=path/to/student"),
        (r"model=\\server\me\student", "model=path/to/student"),
    ],
)
def test_an_absolute_path_keeps_its_last_name(word: str, shared: str) -> None:
    assert shareable(["kdbench", word]) == ["kdbench", shared]


KEPT = (
    "eval",
    "--check",
    "data=../data",
    "data=/",
    "shard=1/4",
    "model=org/name@rev",
    "model=hf://org/name/file.gguf",
    "data=s3://bucket/x",
    "teacher=cache:s3://bucket/x",
    "teacher=math=http://localhost:8000/v1,code=https://host/path?at=/home/u",
    "judge_url=http://[::1]:8000/v1",
    'o=stop=["\\\\boxed\\\\frac"],bad=["</s>"]',
    "o=[/], a / b",
    r"parameters=layers\.\d+/mlp",
    "system=/no_think",
    "system=/no_think/please, now",
    "--system=/no_think/please",
    "evaluate.system=/no_think/please",
    "system=@you, /no_think/please",
    "chat_template={{ messages }} /no_think/please",
    "thinking_marks=<think>,</think>",
    "setting=GPT-2, /a/b to c",
    "reason=data moved, /a/b to c",
)


@pytest.mark.parametrize("word", KEPT)
def test_what_is_no_path_stays(word: str) -> None:
    assert shareable(["kdbench", word]) == ["kdbench", word]


def test_an_option_and_its_value_may_be_two_words() -> None:
    words = ["--model", "/home/u/x", "--system", "k=/no_think/please", "--check", "data=/home/u/d"]
    assert shareable(words) == [
        *("--model", "path/to/x", "--system", "k=/no_think/please", "--check", "data=path/to/d")
    ]
    assert shareable(["--label", "--data=/home/u/x"]) == ["--label", "--data=path/to/x"]
    assert shareable(["--label=kd", "/home/u/x"]) == ["--label=kd", "path/to/x"]


POSITIONS = (
    *("{}", "--model={}", "data={}", "data={}/", "train.data={}", "o=a {}", "system=@{}"),
    *("student=prune:{},layers=20", "judge=local:{}", "watch=a=teacher,b={}", "w=teacher:{}"),
    *("students={},{}", "teachers=[{},{}]", "teachers=[{}/]", "task=file://{}", "card=file:{}"),
    *('o=draft={{"model": "{}", "n": 2}}', 'o=many=["{}/", "{}"]', "o=many=['{}','{}']"),
)
ROOTS = ("/", "~/", "~anna/", "C:\\", "d:/", "\\\\server\\share\\")
OF_INNER_FOLDERS = "ж"

inner_folders = st.text("aB7 ._-=:@()[]{}~;" + OF_INNER_FOLDERS).map(
    lambda name: f"a{name}{OF_INNER_FOLDERS}"
)
last_names = st.from_regex(r"[a-z][a-z0-9._=@ -]{0,8}[a-z0-9]", fullmatch=True)
kept_words = st.sampled_from(KEPT)
rough_texts = st.lists(
    st.sampled_from([*"/\\~:,;=@\"'[]{}( a\n", "C:", "file:", "https://h", "x", "system", "--"])
).map("".join)


@st.composite
def words_with_a_folder(draw: st.DrawFn) -> tuple[str, str]:
    """A word with an absolute folder, and the folder's last name."""
    root, last = draw(st.sampled_from(ROOTS)), draw(last_names)
    separator = "\\" if "\\" in root else "/"
    folder = root + separator.join([*draw(st.lists(inner_folders, min_size=1)), last])
    position = draw(st.sampled_from(POSITIONS))
    return position.format(folder, folder), last


@given(words_with_a_folder(), st.lists(kept_words))
def test_no_part_of_a_folder_is_shared_but_its_last_name(
    made: tuple[str, str], others: list[str]
) -> None:
    word, last = made
    line = shlex.join(shareable([*others, "kdbench", word]))
    *before, shared = shlex.split(line)
    assert before == [*others, "kdbench"]
    assert f"path/to/{last}" in shared
    assert OF_INNER_FOLDERS not in shared


@given(st.lists(kept_words))
def test_a_command_without_absolute_paths_is_unchanged(words: list[str]) -> None:
    assert shareable(words) == words


@given(st.lists(rough_texts))
def test_what_is_shared_can_be_shared_again(words: list[str]) -> None:
    once = shareable(words)
    assert shareable(once) == once


@given(st.sampled_from(sorted(_FREE_TEXT)), rough_texts)
def test_free_text_is_unchanged(key: str, text: str) -> None:
    word = f"{key}=: {text}"
    assert shareable([word]) == [word]


def test_free_text_has_keys_that_name_no_files() -> None:
    parts = [
        registry.get(name)
        for registry in (methods, builders, selection_rules)
        for name in registry.names()
    ]
    kinds = [PushSettings, *(function.kind for function in FUNCTIONS), *parts]
    fields = [item for kind in kinds for item in fields_by_key(kind).items()]
    files = {key for key, field in fields if Path in types_in(field.annotation)}
    assert {key for key, _ in fields} >= _FREE_TEXT
    assert not files & _FREE_TEXT
