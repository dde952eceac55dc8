"""Rows become documents: what is missing is refused, and a conversation stays one."""

import json
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.checkpoint import find_checkpoint
from kdbench.errors import InputError
from kdbench.generate import Options
from kdbench.generate.hf import HFBackend
from kdbench.protocol import get_protocol
from kdbench.task import load_tasks
from kdbench.toy.models import World

TALK = [
    {"role": "user", "content": "Name a pet."},
    {"role": "assistant", "content": "A cat."},
    {"role": "user", "content": "Another."},
]


@pytest.fixture(autouse=True)
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def write(folder: Path, rows: list[dict[str, Any]], **keys: str) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"doc_to_text": '"{{question}}"', "doc_to_target": "answer", **keys}
    lines = "".join(f"{key}: {value}\n" for key, value in given.items())
    (folder / "made.yaml").write_text(
        "task: made\noutput_type: generate_until\ndataset_path: json\ntest_split: test\n"
        f"dataset_kwargs: {{data_files: {{test: {folder / 'rows.jsonl'}}}}}\n"
        f"generation_kwargs: {{until: []}}\n{lines}"
    )
    return folder / "made.yaml"


@pytest.mark.parametrize("target", ["answer", '"{{answer}}"', '"It is {{ answer }}."'])
@pytest.mark.parametrize("second", [{"answer": None}, {}])
def test_a_missing_reference_is_not_the_word_none(
    target: str, second: dict[str, Any], tmp_path: Path
) -> None:
    rows = [{"id": "a", "question": "x", "answer": "13"}, {"id": "b", "question": "y", **second}]
    with pytest.raises(InputError, match=r"document 'b': .*(null or missing)"):
        load_tasks([str(write(tmp_path, rows, doc_to_target=target))])


@pytest.mark.parametrize("answer", [[["x"]], [{"text": "x"}]])
def test_a_nested_reference_is_refused(answer: list[Any], tmp_path: Path) -> None:
    rows = [{"id": "a", "question": "x", "answer": answer}]
    with pytest.raises(InputError, match="document 'a': a reference must be text, not a "):
        load_tasks([str(write(tmp_path, rows))])


def test_a_missing_field_of_the_prompt_is_not_the_word_none(tmp_path: Path) -> None:
    rows = [{"question": None, "answer": "None"}, {"question": "x", "answer": "y"}]
    with pytest.raises(InputError, match="document '0': doc_to_text: the field 'question' is null"):
        load_tasks([str(write(tmp_path, rows))])
    guarded = '"{% if question %}{{question}}{% else %}no question{% endif %}"'
    (task,) = load_tasks([str(write(tmp_path, rows, doc_to_text=guarded))])
    assert [d.prompt for d in task.documents] == ["no question", "x"]
    assert task.documents[0].references == ("None",)


def test_numbers_booleans_and_dates_are_texts(tmp_path: Path) -> None:
    rows = [{"question": "x", "answer": value} for value in (0, 5)]
    (task,) = load_tasks([str(write(tmp_path, rows))])
    assert [d.references for d in task.documents] == [("0",), ("5",)]
    rows = [{"question": 2.5, "answer": True}]
    (task,) = load_tasks([str(write(tmp_path, rows))])
    assert (task.documents[0].prompt, task.documents[0].references) == ("2.5", ("True",))


@pytest.mark.parametrize("text", ['"{{messages}}"', '"{{ messages }}"', "messages"])
def test_a_list_of_turns_is_a_conversation(text: str, tmp_path: Path, world: World) -> None:
    path = write(tmp_path, [{"messages": TALK, "answer": "A dog."}], doc_to_text=text)
    (task,) = load_tasks([str(path)])
    (document,) = task.documents
    checkpoint = find_checkpoint(str(world.student))
    chat = HFBackend(checkpoint, get_protocol("chat"), Options("float32", "cpu", 1))
    template = chat.tokenizer.apply_chat_template(TALK, tokenize=False, add_generation_prompt=True)
    ids = chat.tokenizer(template, add_special_tokens=False)["input_ids"]
    assert list(chat.encode(document.prompt, document.message).ids) == ids
    with pytest.raises(InputError, match="lists of chat turns: use protocol=chat"):
        kdbench.evaluate(
            model=str(world.student), tasks=str(path), protocol="greedy", results=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.json*"))


def test_a_list_of_turns_inside_a_text_is_refused(tmp_path: Path) -> None:
    row = {"messages": TALK, "answer": "A dog."}
    path = write(tmp_path, [row], doc_to_text='"Go on: {{messages}}"')
    with pytest.raises(InputError, match="puts a list of chat turns into a text"):
        load_tasks([str(path)])


def test_a_prefix_begins_the_models_answer_in_a_chat(tmp_path: Path, world: World) -> None:
    path = write(tmp_path, [{"question": "Pet?", "answer": "A dog."}], gen_prefix="It is")
    (task,) = load_tasks([str(path)])
    (document,) = task.documents
    assert document.prompt == "Pet? It is"
    checkpoint = find_checkpoint(str(world.student))
    chat = HFBackend(checkpoint, get_protocol("chat"), Options("float32", "cpu", 1))
    text = chat.tokenizer.decode(chat.encode(document.prompt, document.message).ids)
    assert text.endswith("Response:\nIt is")
    assert "It is" not in text.removesuffix("It is")
