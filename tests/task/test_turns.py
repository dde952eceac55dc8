"""Examples, description and the start of an answer as chat turns: equal to lm-eval's rendering."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.errors import InputError
from kdbench.generate.prompts import prompt_text
from kdbench.protocol import get_protocol
from kdbench.task import load_tasks
from kdbench.toy.chat import THINKING_TEMPLATE
from kdbench.toy.models import World

ROWS = [{"id": f"r{n}", "q": f"What is {n} plus 1?", "a": str(n + 1)} for n in range(9)]
SHOTS: dict[str, Any] = {"num_fewshot": 2, "fewshot_config": {"sampler": "first_n"}}


def task_file(folder: Path, **keys: Any) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    content = {
        "task": "sums",
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {split: str(folder / "rows.jsonl") for split in ("test", "train")}
        },
        "test_split": "test",
        "fewshot_split": "train",
        "output_type": "generate_until",
        "doc_to_text": "Q: {{q}}",
        "doc_to_target": "{{a}}",
        "generation_kwargs": {"until": []},
        **keys,
    }
    (folder / "sums.yaml").write_text(yaml.safe_dump(content))
    return folder / "sums.yaml"


@pytest.fixture(autouse=True)
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def chat(world: World) -> Any:
    """lm-eval's model with the toy student and a template that takes a system turn."""
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    tokenizer.chat_template = THINKING_TEMPLATE
    model = AutoModelForCausalLM.from_pretrained(world.student)
    return HFLM(pretrained=model, tokenizer=tokenizer, device="cpu")


@pytest.mark.parametrize("system", [None, "Be brief."])
@pytest.mark.parametrize(
    "keys",
    [
        {"num_fewshot": 2},
        SHOTS,
        {**SHOTS, "description": "Add the numbers."},
        {"description": "Add the numbers.", "fewshot_delimiter": "\n"},
        {"description": "Add.", "gen_prefix": "The sum is"},
        {**SHOTS, "gen_prefix": "The sum is", "target_delimiter": "\n"},
    ],
)
def test_the_prompt_equals_lm_evals(
    keys: dict[str, Any], system: str | None, tmp_path: Path, chat: Any
) -> None:
    path = task_file(tmp_path, **keys)
    (task,) = load_tasks([str(path)])
    (theirs,) = TaskManager(include_defaults=False).load([str(path)])["tasks"].values()
    theirs.set_fewshot_seed(1234)
    protocol = get_protocol("chat", {"system": system} if system else {})
    for document, row in zip(task.documents, theirs.eval_docs, strict=True):
        expected = theirs.fewshot_context(
            row,
            keys.get("num_fewshot", 0),
            system_instruction=system,
            apply_chat_template=True,
            fewshot_as_multiturn=True,
            chat_template=chat.apply_chat_template,
            gen_prefix=keys.get("gen_prefix"),
        )
        got = prompt_text(chat.tokenizer, protocol, document.prompt, document.conversation)
        assert got == expected
        if keys.get("num_fewshot"):
            assert [turn.role for turn in document.turns].count("user") == 3


def test_the_prompt_without_a_template_stays(tmp_path: Path) -> None:
    # The turns must not change which examples the text of the next prompt has.
    path = task_file(tmp_path, num_fewshot=2, description="Add.\n")
    (task,) = load_tasks([str(path)])
    (theirs,) = TaskManager(include_defaults=False).load([str(path)])["tasks"].values()
    theirs.set_fewshot_seed(1234)
    assert [document.prompt for document in task.documents] == [
        theirs.fewshot_context(row, 2) for row in theirs.eval_docs
    ]
    (plain,) = load_tasks([str(task_file(tmp_path))])
    assert {document.turns for document in plain.documents} == {()}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{m[:1]}}", [{"role": "user", "content": "x"}]),
        ("{{m}}", {"role": "user", "content": "x"}),
        ("{{m}}", {"role": ["user"], "content": ["x"]}),
        ("{{m | string}}", [{"role": "user", "content": "x"}]),
        ("{{m | tojson}}", [{"role": "user", "content": "x"}]),
        ("{{m | list}}", [{"from": "human", "value": "x"}]),
        ("{{m}}", ["a", "b"]),
        (" {{ m }} ", [1, 2]),
        ("{{m.turns}}", {"turns": [["user", "x"]]}),
        ("Go on: {{m}}", [{"role": "user", "content": "x"}]),
    ],
)
def test_a_prompt_that_prints_a_list_is_refused(template: str, value: Any, tmp_path: Path) -> None:
    path = task_file(tmp_path, doc_to_text=template)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "r", "m": value, "a": "1"}) + "\n")
    with pytest.raises(InputError, match=r"document 'r': .*list") as caught:
        load_tasks([str(path)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{m}}", "[1, 2]"),  # a text that looks like a list
        ("Options: {{m}}", ["a", "b"]),  # as some tasks of lm-eval ask
        ("{{m[0]}}", ["[a"]),
        ("{a} {{m}}", "x"),
    ],
)
def test_a_text_with_brackets_is_a_prompt(template: str, value: Any, tmp_path: Path) -> None:
    path = task_file(tmp_path, doc_to_text=template)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "r", "m": value, "a": "1"}) + "\n")
    (task,) = load_tasks([str(path)])
    assert task.documents[0].prompt
