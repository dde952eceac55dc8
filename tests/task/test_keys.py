# ruff: noqa: E501 - one line per case
"""Each key of an lm-eval YAML does what it does in lm-eval, or is refused by name."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.config.task import TaskConfig
from lm_eval.tasks import TaskManager

import kdbench
from kdbench.errors import InputError
from kdbench.task import load_tasks
from kdbench.task.keys import HONOURED, PROTOCOL_SETS, REFUSED, WITHOUT_EFFECT

ROWS = [
    {"id": "a", "question": "What is 6 plus 7?", "answer": "It is 13.", "lead": "So,", "many": ["x", "13"]},
    {"id": "b", "question": "Add 3 and 6", "answer": "It is 9.", "lead": "Then ", "many": ["9"]},
    {"id": "c", "question": "What is 1 plus 2?", "answer": "It is 3.", "lead": "Well", "many": ["3"]},
    {"id": "d", "question": "What is 4 plus 4?", "answer": "It is 8.", "lead": "Oh", "many": ["8"]},
]  # fmt: skip
ANSWERS = ["It is 13.", "x", "It is", "so it is 8. 8"]
FUNCTIONS = """
def scores(doc, results):
    value = 1.0 if doc["id"] == "d" else len(results[0]) / 8
    found = {"med": value, "worst": value, "avg": value, "bleu": (doc["answer"], results[0])}
    return found if doc["id"] != "b" else {key: found[key] for key in ("med", "worst", "bleu")}
def worst(items): return min(items)
def shots(): return [{"question": "Q1?", "answer": "A1", "lead": "", "many": []}] * 2
def load(**_):
    import datasets, json
    return {"test": datasets.Dataset.from_list(json.loads(ROWS)), "train": datasets.Dataset.from_list(json.loads(ROWS)[:2])}
def ask(doc): return doc["question"] + "!\\n"
def drop(docs): return docs.filter(lambda doc: doc["id"] != "c")
"""
FILTER = [
    {"name": "number", "filter": [{"function": "regex", "regex_pattern": "([0-9]+)"}, {"function": "take_first"}]},
    {"name": "lower", "filter": [{"function": "lowercase"}, {"function": "take_first"}]},
]  # fmt: skip
EXACT = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
BASE = {
    "task": "made",
    "output_type": "generate_until",
    "test_split": "test",
    "doc_to_text": "Q: {{question}}\n",
    "doc_to_target": "answer",
    "generation_kwargs": {"until": ["\n"]},
    "metric_list": [EXACT],
    "metadata": {"version": 3},
}
SHOTS = {"num_fewshot": 2, "fewshot_split": "train"}
AGGREGATED = [
    {"metric": "med", "aggregation": "median", "higher_is_better": True},
    {"metric": "worst", "aggregation": "!function fn.worst", "higher_is_better": False},
    {"metric": "avg", "aggregation": "mean", "higher_is_better": True},
    {"metric": "bleu", "aggregation": "bleu", "higher_is_better": True},
]

CASES: dict[str, dict[str, Any]] = {
    "custom_dataset": {"custom_dataset": "!function fn.load", "dataset_path": None},
    "dataset_kwargs": {},
    "dataset_name": {"dataset_name": "rows"},
    "dataset_path": {},
    "description": {"description": "Answer with {{id}}.\n\n"},
    "doc_to_choice": {"doc_to_choice": ["x", "It is 13."], "doc_to_target": "{{0 if id == 'b' else 1}}"},
    "doc_to_target": {"doc_to_target": "many"},
    "doc_to_text": {"doc_to_text": "!function fn.ask"},
    "fewshot_config": {"num_fewshot": 1, "fewshot_config": {"sampler": "first_n", "samples": "!function fn.shots"}},
    "fewshot_delimiter": {**SHOTS, "fewshot_delimiter": " ;; ", "generation_kwargs": {"do_sample": False}},
    "fewshot_split": {"num_fewshot": 1, "fewshot_split": "test"},
    "filter_list": {"filter_list": FILTER},
    "gen_prefix": {"gen_prefix": "The answer to {{id}} is"},
    "gen_prefix of a column": {**SHOTS, "gen_prefix": "lead"},
    "generation_kwargs": {"generation_kwargs": {"until": "It", "temperature": 0.5, "num_beams": 1}},
    "generation_kwargs left out": {"generation_kwargs": None},
    "metadata": {"metadata": {"version": 2.5, "more": [1]}},
    "metric_list": {"metric_list": [{**EXACT, "ignore_case": True, "regexes_to_ignore": ["[0-9]"]}]},
    "metric_list left out": {"metric_list": None},
    "metric_list with aggregations": {"metric_list": AGGREGATED, "process_results": "!function fn.scores"},
    "metric_list of corpora": {"metric_list": [{"metric": m, "aggregation": m, "higher_is_better": True} for m in ("bleu", "chrf", "ter")]},
    "num_fewshot": {"num_fewshot": 3},
    "output_type": {},
    "process_docs": {"process_docs": "!function fn.drop"},
    "process_results": {"process_results": "!function fn.scores", "metric_list": [AGGREGATED[i] for i in (0, 1, 3)]},
    "target_delimiter": {**SHOTS, "target_delimiter": " => "},
    "task": {"task": "other"},
    "test_split": {"test_split": "train"},
    "training_split": {"training_split": "train", "num_fewshot": 1},
    "validation_split": {"validation_split": "train", "num_fewshot": 1},
    "tag": {"tag": ["x"]},
    "task_alias": {"task_alias": "Made"},
    "should_decontaminate": {"should_decontaminate": True},
    "doc_to_decontamination_query": {"doc_to_decontamination_query": "question", "should_decontaminate": True},
}  # fmt: skip


class Canned(LM):
    """Gives the answers in turn, and keeps what it was asked."""

    def __init__(self, answers: list[str]):
        super().__init__()
        self.answers, self.prompts, self.until = answers, [], []

    def generate_until(self, requests: list[Any], **_: Any) -> list[str]:
        self.prompts = [request.args[0] for request in requests]
        self.until = [request.args[1]["until"] for request in requests]
        return [self.answers[index % len(self.answers)] for index in range(len(requests))]

    def loglikelihood(self, requests: list[Any], **_: Any) -> list[Any]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Any], **_: Any) -> list[Any]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def write(folder: Path, **keys: Any) -> Path:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "rows.jsonl").write_text(lines)
    (folder / "fn.py").write_text(f"ROWS = {json.dumps(ROWS)!r}\n{FUNCTIONS}")
    files = {"test": str(folder / "rows.jsonl"), "train": str(folder / "rows.jsonl")}
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    content = {key: value for key, value in {**data, **BASE, **keys}.items() if value is not None}
    text = yaml.safe_dump(content, sort_keys=False)
    text = re.sub(r"['\"]!function (\S+?)['\"]", r"!function \1", text)
    (folder / "made.yaml").write_text(text)
    return folder / "made.yaml"


def test_each_key_of_lm_eval_has_one_rule() -> None:
    ours = [*HONOURED, *WITHOUT_EFFECT, *REFUSED]
    assert sorted(ours) == sorted(field.name for field in fields(TaskConfig))


def test_the_page_lists_each_key_with_its_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lm-eval-keys.md").read_text("utf-8")
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (followed|no effect|refused|`until`)", page, re.MULTILINE)
    )
    rules = {
        **dict.fromkeys(HONOURED, "followed"),
        **dict.fromkeys(WITHOUT_EFFECT, "no effect"),
        **dict.fromkeys(REFUSED, "refused"),
        "generation_kwargs": "`until`",
    }
    assert rows == rules
    assert all(f"`{key}`" in page for key in PROTOCOL_SETS)


def test_each_key_that_is_not_refused_is_compared_with_lm_eval() -> None:
    assert {name.split()[0] for name in CASES} == HONOURED | WITHOUT_EFFECT


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_prompts_stops_metrics_and_aggregates_are_those_of_lm_eval(
    name: str, tmp_path: Path
) -> None:
    path = write(tmp_path, **CASES[name])
    lm = Canned(ANSWERS)
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    title = CASES[name].get("task", "made")
    found = simple_evaluate(
        model=lm, tasks=[title], task_manager=manager, bootstrap_iters=0, log_samples=False
    )
    theirs = {
        key: v for key, v in found["results"][title].items() if "," in key and "_stderr" not in key
    }
    (task,) = load_tasks([str(path)])
    assert [document.prompt for document in task.documents] == lm.prompts
    assert list(task.until) == ([lm.until[0]] if isinstance(lm.until[0], str) else lm.until[0])
    samples = tmp_path / "samples.jsonl"
    lines = [
        json.dumps({"id": document.id, "output": ANSWERS[index % len(ANSWERS)]}) + "\n"
        for index, document in enumerate(task.documents)
    ]
    samples.write_text("".join(lines))
    scored = kdbench.score(samples=samples, task=str(path), results=tmp_path / "results")
    metrics = scored.results[title].metrics
    ours = {key: metrics[key].value for key in metrics if "," in key}
    assert ours == {key: pytest.approx(float(v), abs=1e-6) for key, v in theirs.items()}
    assert str(task.version) == str(found["versions"][title])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"repeats": 4}, "repeats: 4: each seed is a response"),
        ({"doc_to_image": ["image"]}, "doc_to_image: .*text models"),
        ({"doc_to_audio": ["sound"]}, "doc_to_audio: .*text models"),
        ({"unsafe_code": True}, "unsafe_code: True: runs code that the model wrote, .*run_code=TASK permits"),
        ({"use_prompt": "promptsource:x"}, "use_prompt"),
        ({"num_fewshots": 2}, "no key 'num_fewshots': did you mean 'num_fewshot'"),
        ({"generation_kwargs": {"until": [], "num_beams": 4}}, r"generation_kwargs\.num_beams: 4"),
        ({"generation_kwargs": {"until": 5}}, r"until must be text or a list of texts, not 5"),
        ({"generation_kwargs": {"until": True}}, r"until must be text or a list"),
        ({"description": [1, 2]}, "description must be text, not a list"),
        ({"num_fewshot": -1}, "num_fewshot must be a whole number"),
        ({"filter_list": [{"name": "f", "filter": [{"function": "regex", "regex_pattern": "("}]}]}, "filter 'f': missing"),
        ({"group": "g", "task": ["one", "two"]}, "task 'one' of the group is in no YAML of"),
        ({"class": "x"}, "kdbench runs only lm-eval's own"),
        ({"process_docs": "!function fn.none"}, "has no function 'none'"),
        ({"metric_list": [{"metric": "exact_match", "aggregation": "meen"}]}, "metric 'exact_match': lm-eval has no aggregation 'meen': did you mean 'mean'"),
        ({"metric_list": [{"metric": "mine"}]}, "a metric of metric_list that is not lm-eval's needs an aggregation"),
        ({"metric_list": [{"metric": "exact_match", "aggregation": 5}]}, "no aggregation '5': known: bits_per_byte"),
    ],
)  # fmt: skip
def test_what_is_not_followed_is_refused_by_name(
    keys: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_tasks([str(write(tmp_path, **keys))])
    assert "\n" not in str(error.value)


CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_choice": ["It is 13.", "no"],
    "doc_to_target": "answer",
    "generation_kwargs": None,
    "metric_list": None,
}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"doc_to_choice": None}, "multiple_choice needs doc_to_choice"),
        ({"doc_to_choice": "question"}, "document 'a': doc_to_choice must be a list of texts, not What"),
        ({"doc_to_choice": "{{[1, 2]}}"}, "the options of doc_to_choice must be texts"),
        ({"doc_to_choice": []}, r"document 'a': doc_to_choice must be a list of texts, not \[\]"),
        ({"doc_to_target": "{{7}}"}, "doc_to_target names no option of doc_to_choice"),
        ({"doc_to_target": "lead"}, "4 of 4 documents name no right option"),
        ({"metric_list": [{"metric": "bleu", "aggregation": "bleu", "higher_is_better": True}]}, "lm-eval scores no bleu of multiple_choice: known: acc"),
        ({"output_type": "loglikelihood", "doc_to_target": "many"}, "document 'a': a request must be text"),
        ({"output_type": "other"}, "invalid output_type 'other'"),
        ({"test_split": "tset"}, "there is no 'tset'"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_asked_are_one_line(
    keys: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_tasks([str(write(tmp_path, **{**CHOICE, **keys}))])
    assert "\n" not in str(error.value)


def test_documents_without_a_right_option_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (task,) = load_tasks([str(write(tmp_path, **CHOICE))])
    assert [document.references for document in task.documents] == [(" It is 13.",), (), (), ()]
    assert "3 of 4 documents name no right option" in capsys.readouterr().err


def test_the_protocol_decides_what_the_yaml_says_about_sampling(tmp_path: Path) -> None:
    settings = dict.fromkeys(PROTOCOL_SETS, 1)
    (task,) = load_tasks([str(write(tmp_path, generation_kwargs={"until": ["#"], **settings}))])
    assert task.until == ("#",)


def functions(tmp_path: Path, text: str, **keys: Any) -> Path:
    path = write(tmp_path, **keys)
    (tmp_path / "fn.py").write_text(text)
    return path


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "Context is not a string"),
        ("return 5", "Context is not a string"),
        ("import sys; sys.exit(0)", "ended the program"),
        ("return 1 / 0", "division by zero"),
    ],
)
def test_a_function_that_fails_is_one_line(body: str, message: str, tmp_path: Path) -> None:
    path = functions(tmp_path, f"def ask(doc):\n    {body}\n", doc_to_text="!function fn.ask")
    with pytest.raises(InputError, match=message) as error:
        load_tasks([str(path)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 5", "document 'a': process_results returns int"),
        ("raise ValueError('boom')", "document 'a': process_results fails: boom"),
        ("return {'m': 'text'}", "metric 'm,none': aggregation mean: unsupported"),
    ],
)
def test_a_scoring_function_that_fails_is_one_line(body: str, message: str, tmp_path: Path) -> None:
    keys = {"metric": "m", "aggregation": "mean", "higher_is_better": True}
    path = functions(
        tmp_path,
        f"def pr(doc, results):\n    {body}\n",
        process_results="!function fn.pr",
        metric_list=[keys],
    )
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps({"id": i, "output": "x"}) + "\n" for i in "abcd"))
    with pytest.raises(InputError, match=message):
        kdbench.score(samples=samples, task=str(path), results=tmp_path / "results")


def test_a_task_without_documents_is_named(tmp_path: Path) -> None:
    text = "def none(docs): return docs.filter(lambda doc: False)\n"
    with pytest.raises(InputError, match="the task has no documents"):
        load_tasks([str(functions(tmp_path, text, process_docs="!function fn.none"))])


def test_a_yaml_that_would_kill_its_parser_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("task: x\nmetadata: " + "[" * 100_000)
    with pytest.raises(InputError, match="nested deeper than 50 levels"):
        load_tasks([str(path)])
    bomb = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path.write_text("\n".join(bomb))
    with pytest.raises(InputError, match="aliases stand for over"):
        load_tasks([str(path)])
    path.write_text("task: [")
    with pytest.raises(InputError, match="not YAML"):
        load_tasks([str(path)])


@pytest.mark.parametrize(
    ("limit", "bad"), [("reading._SECONDS_OF_A_DOCUMENT", "a"), ("documents._SECONDS", "b")]
)
def test_a_function_that_does_not_end_is_interrupted(
    limit: str, bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # lm-eval itself asks for the prompt of the first document, a.
    monkeypatch.setattr(f"kdbench.task.{limit}", 2)
    text = f"def ask(doc):\n    while doc['id'] == '{bad}':\n        pass\n    return 'x'\n"
    path = functions(tmp_path, text, doc_to_text="!function fn.ask")
    with pytest.raises(InputError, match="does not end within 2 seconds"):
        load_tasks([str(path)])
