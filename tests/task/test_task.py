"""Tasks are lm-eval YAML files, bundled or third-party."""

import json
import shutil
from pathlib import Path

import pytest

import kdbench
from kdbench.errors import InputError
from kdbench.task import Task, check_installed, known_tasks, load_tasks
from kdbench.toy.models import World

FIVE = ["dolly", "self_instruct", "super_natural", "unnatural", "vicuna"]


def load(world: World, name: str, **settings: object) -> Task:
    (task,) = load_tasks([name], world.data, **settings)  # type: ignore[arg-type]
    return task


def test_the_five_bundled_tasks_load(world: World) -> None:
    assert sorted(name for name in known_tasks() if not name.startswith("skills")) == FIVE
    for name in FIVE:
        task = load(world, name)
        rows = [
            json.loads(line) for line in (world.data / name / "test.jsonl").read_text().splitlines()
        ]
        assert [document.id for document in task.documents] == [row["id"] for row in rows]
        assert [list(document.references) for document in task.documents] == [
            row["output"] for row in rows
        ]
        assert task.until == ()


def test_the_prompt_equals_the_papers(world: World) -> None:
    with_input = "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"  # noqa: E501
    without = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"  # noqa: E501
    seen = set()
    for name in FIVE:
        for document in load(world, name).documents:
            template = with_input if document.fields["input"] else without
            seen.add(template)
            assert document.prompt == template.format(**document.fields)
    assert seen == {with_input, without}


def test_a_message_is_the_prompt_without_its_template(world: World) -> None:
    for document in load(world, "super_natural").documents:
        assert document.message == f"{document.fields['instruction']}\n\n{document.fields['input']}"


def test_limit_takes_the_first_documents_and_keeps_the_hash(world: World) -> None:
    whole, few = load(world, "dolly"), load(world, "dolly", limit=3)
    assert few.documents == whole.documents[:3]
    assert few.data == {**whole.data, "used": 3}
    assert few.prompts_sha256 != whole.prompts_sha256


@pytest.mark.parametrize("field", ["instruction", "output", "id"])
def test_any_change_of_the_data_changes_its_hash(world: World, tmp_path: Path, field: str) -> None:
    shutil.copytree(world.data, tmp_path / "data")
    file = tmp_path / "data" / "dolly" / "test.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[-1][field] = ["other"] if field == "output" else "other"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (changed,) = load_tasks(["dolly"], tmp_path / "data")
    assert changed.data["sha256"] != load(world, "dolly").data["sha256"]


def test_data_comes_from_the_variable_without_a_folder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_DATA", str(world.data))
    (task,) = load_tasks(["dolly"])
    assert task.documents == load(world, "dolly").documents


def test_without_data_the_error_explains_how_to_get_it() -> None:
    with pytest.raises(
        InputError, match=r"MiniLLM/dolly .*pass data=DIR with DIR/dolly/test\.jsonl"
    ):
        load_tasks(["dolly"])


def test_gzipped_data_is_the_same_data(world: World, tmp_path: Path) -> None:
    import gzip

    text = (world.data / "dolly" / "test.jsonl").read_bytes()
    (tmp_path / "dolly").mkdir()
    (tmp_path / "dolly" / "test.jsonl.gz").write_bytes(gzip.compress(text))
    (task,) = load_tasks(["dolly"], tmp_path)
    assert task.data == load(world, "dolly").data


REAL = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.skipif(not REAL.is_dir(), reason="the papers' sets are not next to this checkout")
def test_the_papers_sets_are_recognised() -> None:
    sizes = {"dolly": 500, "self_instruct": 242, "vicuna": 80, "super_natural": 1694}
    for name, size in sizes.items():
        (task,) = load_tasks([name], REAL)
        assert (task.data["rows"], task.data["published"]) == (size, True)
    (unnatural,) = load_tasks(["unnatural"], REAL)
    assert unnatural.data["published"] is None


FOREIGN = """
task: capitals
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
fewshot_split: test
num_fewshot: 1
output_type: generate_until
doc_to_text: "Q: {{{{question}}}}\\nA:"
doc_to_target: answer
generation_kwargs: {{until: ["\\n", "Q:"], do_sample: false}}
filter_list:
  - name: first-letter
    filter: [{{function: regex, regex_pattern: "([A-Za-z])"}}, {{function: take_first}}]
  - name: whole
    filter: [{{function: take_first}}]
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
metadata: {{version: 2.0}}
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A third-party few-shot YAML file with filters and its own metric."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    rows = [{"question": f"Capital {i}?", "answer": answer} for i, answer in enumerate("abcd")]
    (tmp_path / "rows.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "capitals.yaml").write_text(FOREIGN.format(data=tmp_path / "rows.json"))
    return tmp_path / "capitals.yaml"


def test_a_foreign_yaml_loads(foreign: Path) -> None:
    (task,) = load_tasks([str(foreign)])
    assert (task.name, task.version, task.until) == ("capitals", "2.0", ("\n", "Q:"))
    assert [document.id for document in task.documents] == ["0", "1", "2", "3"]
    assert task.documents[0].references == ("a",)
    assert task.documents[0].prompt.endswith("\n\nQ: Capital 0?\nA:")  # after one shot
    again = load_tasks([str(foreign)])[0]
    assert again.prompts_sha256 == task.prompts_sha256
    (by_folder,) = load_tasks([str(foreign.parent)])
    assert by_folder.documents == task.documents


def test_a_foreign_yaml_runs_and_keeps_its_metrics(
    foreign: Path, world: World, tmp_path: Path
) -> None:
    evaluation = kdbench.evaluate(
        model=str(world.student),
        tasks=str(foreign),
        protocol="greedy",
        max_new_tokens=6,
        results=tmp_path / "results",
        device="cpu",
    )
    metrics = evaluation.results["capitals"].metrics
    assert {"rougeL", "exact_match,first-letter", "exact_match,whole"} <= set(metrics)
    outputs = (evaluation.run / "samples" / "capitals.jsonl").read_text().splitlines()
    for line in map(json.loads, outputs):
        assert "\n" not in line["output"]
        right = line["output"].lower() == "abcd"[int(line["id"])]
        assert line["scores"]["exact_match,whole"] == float(right)


def test_a_single_stop_string_is_one_string(foreign: Path) -> None:
    text = foreign.read_text()
    assert 'until: ["\\n", "Q:"]' in text
    foreign.write_text(text.replace('until: ["\\n", "Q:"]', 'until: "Question:"'))
    assert load_tasks([str(foreign)])[0].until == ("Question:",)


@pytest.mark.parametrize("name", ["run", "a/b", "../x", "..."])
def test_a_task_name_invalid_as_a_file_name_is_refused(foreign: Path, name: str) -> None:
    foreign.write_text(foreign.read_text().replace("task: capitals", f"task: {name}"))
    with pytest.raises(InputError, match="cannot name a file of results"):
        load_tasks([str(foreign)])


def test_a_task_whose_stop_strings_changed_needs_other_samples(
    foreign: Path, world: World, tmp_path: Path
) -> None:
    settings = {"model": str(world.student), "tasks": str(foreign), "protocol": "greedy"}
    settings |= {"max_new_tokens": 3, "results": tmp_path / "results", "device": "cpu"}
    kdbench.evaluate(**settings)
    foreign.write_text(foreign.read_text().replace('"Q:"', '"A:"'))
    with pytest.raises(InputError, match="until was"):
        kdbench.evaluate(**settings)


def test_a_bundled_task_can_be_given_by_path(world: World) -> None:
    (task,) = load_tasks([str(known_tasks()["dolly"])], world.data)
    assert task == load(world, "dolly")


def test_two_tasks_with_the_same_name_are_refused(world: World) -> None:
    with pytest.raises(InputError, match="'dolly' is named twice"):
        load_tasks(["dolly", "dolly"], world.data)


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "a: &a [*a]", "a: [1"])
def test_a_yaml_beyond_the_limits_is_refused_also_if_included(text: str, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("task: x\ninclude: base.yml\n")
    (tmp_path / "base.yml").write_text(text)
    with pytest.raises(InputError, match=r"base\.yml: not"):
        load_tasks([str(tmp_path / "task.yaml")])
    with pytest.raises(InputError, match=r"base\.yml: not"):
        load_tasks([str(tmp_path / "base.yml")])


def test_many_includes_are_refused_at_once(tmp_path: Path) -> None:
    for number in range(9):
        lines = f"include: {number + 1}.yaml\n" * 9
        (tmp_path / f"{number}.yaml").write_text(f"task: x\n{lines}")
    (tmp_path / "9.yaml").write_text("output_type: generate_until\n")
    with pytest.raises(InputError, match="include: more than 10 files"):
        load_tasks([str(tmp_path / "0.yaml")])


def test_names_from_files_are_those_of_installed_tasks(tmp_path: Path) -> None:
    (tmp_path / "evil.yaml").write_text("task: x\n")
    check_installed(["dolly"], "run.json", "task=PATH")
    with pytest.raises(InputError, match="is not installed"):
        check_installed([str(tmp_path / "evil.yaml")], "run.json", "task=PATH")
