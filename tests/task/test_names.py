"""lm-eval's own tasks by name, with data from a folder."""

import json
from pathlib import Path

import datasets
import pytest

from kdbench.errors import InputError
from kdbench.task import Task, check_installed, load_tasks, result_names, task_definition

ARC = [
    {
        "id": "same" if number < 2 else number,
        "question": f"What is {number} plus 1?",
        "choices": {"text": ["one", "two", "three"], "label": ["A", "B", "C"]},
        "answerKey": "ABC"[number],
    }
    for number in range(3)
]
BOOLQ = [{"question": "is it", "passage": "It is.", "label": 1, "idx": 0}]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    for task in ("arc_easy", "arc_challenge"):
        write(tmp_path / task / "test.jsonl", ARC)
    return tmp_path


def write(file: Path, rows: list[dict[str, object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(name: str, data: Path | None) -> list[Task]:
    return load_tasks([f"lm_eval:{name}"], data)


def test_a_task_and_a_tag_load_with_rows_from_a_folder(data: Path) -> None:
    (task,) = load("arc_easy", data)
    assert (task.name, task.output_type, task.bundled) == ("arc_easy", "multiple_choice", False)
    assert [document.id for document in task.documents] == ["0", "1", "2"]  # two rows are "same"
    assert task.documents[1].requests[2] == ("Question: What is 1 plus 1?\nAnswer:", " three")
    assert [document.references for document in task.documents] == [
        (" one",),
        (" two",),
        (" three",),
    ]
    assert [t.name for t in load("ai2_arc", data)] == ["arc_challenge", "arc_easy"]
    assert result_names("lm_eval:ai2_arc") == ["arc_challenge", "arc_easy"]
    assert len(task_definition("lm_eval:ai2_arc")) == 64


def test_a_saved_data_set_is_found_by_its_name_on_the_hub(data: Path) -> None:
    saved = datasets.DatasetDict({"validation": datasets.Dataset.from_list(BOOLQ)})
    saved.save_to_disk(str(data / "aps" / "super_glue" / "boolq"))
    (task,) = load("boolq", data)
    assert task.documents[0].references == (" yes",)
    write(data / "boolq" / "train.jsonl", BOOLQ)
    with pytest.raises(InputError, match="boolq lacks the split 'validation'; it has train"):
        load("boolq", data)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("arc_eazy", "no task, group or tag of this name; did you mean 'arc_easy'"),
        ("qqqqqqqqqqqqqqqqqqqqq", "no task, group or tag of this name$"),
        ("humaneval", "runs code that the model wrote, .*run_code=humaneval permits it"),
        ("winogrande", r"data=.* has no data of this task: put them into .*/winogrande/"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(name: str, message: str, data: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        load(name, data)
    assert str(error.value).startswith("lm_eval:")
    assert "\n" not in str(error.value)


def test_a_python_class_runs_if_it_asks_for_one_response(data: Path) -> None:
    row = {
        "doc_id": "1",
        "title": "t",
        "context": "c",
        "question": "q",
        "value": "v",
        "text": "abc ",
    }
    write(data / "squad_completion" / "validation.jsonl", [row])
    (task,) = load("squad_completion", data)
    assert (task.documents[0].prompt, task.documents[0].references) == ("abc", ("v",))
    assert task.until == ("\n\n",)
    assert task.own_metrics
    squad = {"id": "1", "title": "t", "context": "c", "question": "q"}
    for split in ("train", "validation"):
        write(data / "squadv2" / f"{split}.jsonl", [{**squad, "answers": {"text": ["a"]}}])
    with pytest.raises(InputError, match="asks for 2 requests of generate_until and loglikelihood"):
        load("squadv2", data)


def test_without_a_network_the_line_names_the_file_to_supply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with pytest.raises(InputError, match=r"'allenai/ai2_arc' .*DIR/arc_easy/test\.jsonl"):
        load("arc_easy", None)


def test_a_permission_must_be_needed(data: Path) -> None:
    with pytest.raises(InputError, match="run_code=arc_easy: no task of this name in tasks= runs"):
        load_tasks(["lm_eval:arc_easy"], data, run_code=("arc_easy",))


def test_a_name_in_a_file_is_told_how_to_be_given() -> None:
    with pytest.raises(InputError, match="tasks=PATH, or one of lm-eval's own with tasks=lm_eval:"):
        check_installed(["arc_easy"], "run.json", "tasks=PATH")
