"""A file of prompts is a task: how each row is asked, and what of a row is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import InputError
from kdbench.task import Task, load_tasks, result_names, task_definition
from kdbench.views.chat import Turn

TALK = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi."}]
TURNS = (Turn("system", "Be kind."), Turn("user", "Hi."))


@pytest.fixture(autouse=True)
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def write(folder: Path, *rows: dict[str, Any], name: str = "mine.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(folder / name)


def load(folder: Path, *rows: dict[str, Any], **keys: Any) -> Task:
    (task,) = load_tasks([write(folder, *rows)], **keys)
    return task


def test_a_prompt_is_asked_as_it_is(tmp_path: Path) -> None:
    task = load(tmp_path, {"prompt": " Say hi. "}, {"prompt": "Bye.", "id": 7, "category": "b"})
    assert [(d.id, d.prompt, d.message) for d in task.documents] == [
        ("mine-00000", " Say hi. ", " Say hi. "),
        ("7", "Bye.", "Bye."),
    ]
    assert [d.category for d in task.documents] == [None, "b"]
    assert (task.name, task.version, task.bundled, task.lm_eval) == ("mine", "1", False, None)
    assert not task.has_references


def test_an_instruction_is_asked_as_in_the_bundled_sets(tmp_path: Path) -> None:
    (tmp_path / "dolly").mkdir()
    rows = [
        {"id": "a", "instruction": "Add.", "input": "1 2", "output": ["3"]},
        {"id": "b", "instruction": "Sing.", "input": "<noinput>", "output": ["la", "do"]},
    ]
    write(tmp_path / "dolly", *rows, name="test.jsonl")
    (dolly,) = load_tasks(["dolly"], tmp_path)
    own = load(tmp_path, rows[0], {**rows[1], "input": None})
    assert own.documents == dolly.documents
    context = load(tmp_path, {"instruction": "Add.", "context": "1 2"})
    assert context.documents[0].prompt == dolly.documents[0].prompt


def test_messages_are_a_conversation_whose_last_answer_is_the_reference(tmp_path: Path) -> None:
    answered = [*TALK, {"role": "assistant", "content": "Hello."}]
    task = load(tmp_path, {"messages": TALK}, {"messages": answered}, {"prompt": TALK})
    assert [(d.prompt, d.message) for d in task.documents] == [("", TURNS)] * 3
    assert [d.references for d in task.documents] == [(), ("Hello.",), ()]


@pytest.mark.parametrize(
    ("fields", "references"),
    [
        ({"reference": "x"}, ("x",)),
        ({"references": ["x", 2]}, ("x", "2")),
        ({"answer": "x", "notes": "y"}, ("x",)),
        ({"reference": "x", "output": "a response"}, ("x",)),
        ({"reference": None, "references": []}, ()),
    ],
)
def test_references(fields: dict[str, Any], references: tuple[str, ...], tmp_path: Path) -> None:
    assert load(tmp_path, {"prompt": "p", **fields}).documents[0].references == references


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": 5}, "'prompt' must be text, not a number"),
    ({"prompt": " "}, "'prompt' is empty"),
    ({"prompt": None}, "no 'prompt', 'messages' or 'instruction'"),
    ({"question": "x"}, "no 'prompt', .*rename 'question' to 'prompt'"),
    ({"Prompt": "x"}, "rename 'Prompt' to 'prompt'"),
    ({"prompt": "x", "instruction": "y"}, "has both 'prompt' and 'instruction'"),
    ({"instruction": "x", "input": ["y"]}, "'input' must be text, not a list"),
    ({"prompt": "x", "reference": ""}, "'reference' is empty"),
    ({"prompt": "x", "reference": True}, "'reference' must be text, not true or false"),
    ({"prompt": "x", "references": ["y", None]}, "'references' must be text, not null"),
    ({"prompt": "x", "answer": {"a": 1}}, "'answer' must be text, not an object"),
    ({"prompt": "x", "answer": "y", "output": "z"}, "'answer' and 'output' could both be"),
    ({"prompt": "x", "reference": "y", "references": "z"}, "both 'reference' and 'references'"),
    ({"prompt": "x", "Category": "y"}, "unknown field 'Category': did you mean 'category'"),
    ({"prompt": "x", "category": "y\nz"}, "'category' must be one line"),
    ({"prompt": "x", "category": "y" * 101}, "'category' must be one line"),
    ({"prompt": "x", "category": ["y"]}, "'category' must be text, not a list"),
    ({"prompt": "x", "id": False}, "'id' must be text, not true or false"),
    ({"messages": "x"}, "messages: must be a list of turns"),
    ({"messages": []}, "'messages' is empty"),
    ({"messages": [{"role": "user"}]}, r"messages\[0\]: 'content' is missing"),
    ({"messages": [*TALK, {"role": "human", "content": "x"}]}, r"messages\[2\]: the role 'human'"),
    ({"messages": [{"from": "human", "value": "x"}]}, "'role' is missing.*ShareGPT"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "'content' must be text, not a list"),
    ({"messages": TALK[:1]}, "no turn of the user to answer"),
    ({"messages": [*TALK, {"role": "assistant", "content": "x"}], "answer": "y"}, "another one"),
]


@pytest.mark.parametrize(("row", "message"), BAD)
def test_a_bad_row_is_named_by_file_line_and_field(
    row: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"mine\.jsonl:2: .*{message}"):
        load(tmp_path, {"prompt": "fine"}, row)


def test_other_fields_are_no_misspelt_ones(tmp_path: Path) -> None:
    load(tmp_path, {"prompt": "x", "preference": 1, "reference_id": 2, "ids": 3, "source": "y"})


def test_an_id_comes_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":2: the id 'a' occurs twice; the first is at .*:1"):
        load(tmp_path, {"prompt": "x", "id": "a"}, {"prompt": "y", "id": "a"})


def test_hashes_follow_the_content_and_not_the_format(tmp_path: Path) -> None:
    rows = [{"prompt": "x", "reference": "1", "category": "a"}, {"prompt": "y"}]
    task = load(tmp_path, *rows, limit=1)
    assert (task.data["rows"], task.data["used"], len(task.documents)) == (2, 1, 1)
    (tmp_path / "mine.csv").write_text("category,reference,prompt\na,1,x\n,,y\n")
    (as_csv,) = load_tasks([str(tmp_path / "mine.csv")])
    assert as_csv.data["sha256"] == task.data["sha256"]
    assert as_csv.definition_sha256 == task.definition_sha256
    definition = task_definition(str(tmp_path / "mine.csv"))
    assert definition == task_definition(str(tmp_path / "mine.jsonl"))
    renamed = load(tmp_path, {**rows[0], "category": "b"}, rows[1])
    assert renamed.data["sha256"] == task.data["sha256"]
    assert renamed.definition_sha256 != task.definition_sha256
    assert task_definition(str(tmp_path / "mine.jsonl")) != definition
    answered = load(tmp_path, rows[0], {"prompt": "y", "reference": "2"})
    assert answered.data["sha256"] != task.data["sha256"]


def test_the_file_names_the_task(tmp_path: Path) -> None:
    for word, name in {
        "a/b.jsonl": "b",
        "b.v2.JSONL.gz": "b.v2",
        "hf:org/set": "set",
        "hf:org/set:test": "set-test",
        "hf:org/set:main:test": "set-main-test",
        "hf:org/set:main:": "set-main",
        "capitals.yaml": "capitals",
        "dolly": "dolly",
    }.items():
        assert result_names(word) == [name]
    for name, message in {
        "dolly.jsonl": "'dolly' names an installed task",
        "my own.jsonl": "'my own' cannot name a file",
        "run.jsonl": "'run' cannot name a file",
    }.items():
        with pytest.raises(InputError, match=message):
            load_tasks([write(tmp_path, {"prompt": "x"}, name=name)])
    mine = write(tmp_path, {"prompt": "x"})
    with pytest.raises(InputError, match="'mine' is named twice"):
        load_tasks([mine, mine])
    for word, message in {
        "gone.csv": "tasks=gone.csv: no such file",
        "hf:": "write hf:NAME",
        "hf:a:b:c:d": "write hf:NAME",
    }.items():
        with pytest.raises(InputError, match=message):
            load_tasks([word])
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"mine\.txt: neither an lm-eval YAML file nor prompts"):
        load_tasks([str(tmp_path / "mine.txt")])


def test_data_sets_of_the_datasets_library(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    rows = [{"messages": TALK, "category": "a"}, {"messages": TALK, "category": None}]
    whole = Dataset.from_list(rows)
    whole.save_to_disk(tmp_path / "one")
    DatasetDict({"train": whole, "dev": whole.select([0])}).save_to_disk(tmp_path / "two")
    (tmp_path / "files").mkdir()
    write(tmp_path / "files", *rows, name="test.jsonl")
    for word, name, count in [
        (str(tmp_path / "one"), "one", 2),
        (f"hf:{tmp_path / 'two'}:dev", "two-dev", 1),
        (f"hf:{tmp_path / 'files'}", "files", 2),
    ]:
        (task,) = load_tasks([word])
        assert (task.name, len(task.documents)) == (name, count)
        assert task.documents[0].message == TURNS
        assert [d.category for d in task.documents] == ["a", None][:count]
    for word, message in [
        (str(tmp_path / "two"), r"name one of its splits \(train, dev\), as in hf:.*two:train"),
        (f"hf:{tmp_path / 'two'}:tset", "no split 'tset'; it has train, dev"),
        (f"hf:{tmp_path / 'one'}:test", "a data set without splits"),
        (f"hf:{tmp_path / 'one'}:main:", "no configurations"),
        (f"hf:{tmp_path / 'gone'}", "a saved file works too"),
    ]:
        with pytest.raises(InputError, match=message):
            load_tasks([word])
    Dataset.from_list([{"prompt": 1}]).save_to_disk(tmp_path / "bad")
    with pytest.raises(InputError, match=r"hf:.*bad: row 1: 'prompt' must be text"):
        load_tasks([str(tmp_path / "bad")])


def test_a_yaml_without_doc_to_target_has_no_references(tmp_path: Path) -> None:
    rows = [{"prompt": "x", "kind": "a"}, {"prompt": "y", "kind": None}]
    data = write(tmp_path, *rows)
    text = (
        "task: bare\noutput_type: generate_until\ndataset_path: json\ntest_split: test\n"
        f"dataset_kwargs: {{data_files: {{test: {data}}}}}\ndoc_to_text: '{{{{prompt}}}}'\n"
    )
    (tmp_path / "bare.yaml").write_text(text)
    (task,) = load_tasks([str(tmp_path / "bare.yaml")])
    assert [d.references for d in task.documents] == [(), ()]
    assert [d.category for d in task.documents] == [None, None]
    plain = task.definition_sha256
    (tmp_path / "bare.yaml").write_text(text + "metadata: {category: kind}\n")
    (task,) = load_tasks([str(tmp_path / "bare.yaml")])
    assert [d.category for d in task.documents] == ["a", None]
    categories = task.definition_sha256
    assert categories != plain
    write(tmp_path, rows[0], {"prompt": "y", "kind": "b"})
    (task,) = load_tasks([str(tmp_path / "bare.yaml")])
    assert task.definition_sha256 != categories
    for addition, message in {
        "num_fewshot: 1": "num_fewshot needs doc_to_target",
        "metadata: {category: kid}": "metadata.category: no field 'kid'; it has prompt, kind",
        "doc_to_target: '{{kind}}'": "null or missing",
    }.items():
        write(tmp_path, *rows)
        (tmp_path / "bare.yaml").write_text(f"{text}{addition}\n")
        with pytest.raises(InputError, match=message):
            load_tasks([str(tmp_path / "bare.yaml")])
