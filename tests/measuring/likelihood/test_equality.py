"""Scores equal those of lm-eval's own model, for each output type."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

import kdbench
from kdbench.store.results import TaskResult
from kdbench.toy.models import World

PLACES = ["Rome", "Paris", "a very old town", "Oslo", "Lima"]
ROWS = [
    {
        "id": f"q{i}",
        "question": f"Olga number {i} lives in a house of which town? ",
        "choices": PLACES[i % 3 : i % 3 + 2 + i % 2],
        "label": i % 2,
        "labels": [0, 1] if i % 3 else [1],
        "blank": [f"{name} is a nurse of" for name in ("Olga", "Ivan")],
        "end": "Rome, has a fish.",
        "text": f"Olga is a nurse of Rome {i}. " * (1 + 40 * (i == 2)) if i != 4 else "",
    }
    for i in range(7)
]
CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "choices",
    "doc_to_target": "label",
}


def metrics(*names: str, **aggregations: str) -> list[dict[str, Any]]:
    return [
        {"metric": n, "aggregation": aggregations.get(n, "mean"), "higher_is_better": True}
        for n in (*names, *aggregations)
    ]


TASKS: dict[str, dict[str, Any]] = {
    "choice": {**CHOICE, "metric_list": metrics("acc_norm", "acc", "acc_bytes", "exact_match")},
    "shots": {**CHOICE, "num_fewshot": 2, "fewshot_split": "test", "description": "Choose.\n\n"},
    "delimiter": {**CHOICE, "target_delimiter": "", "doc_to_text": "{{question}}\n\nAnswer:\t "},
    "mutual": {**CHOICE, "metric_list": metrics("acc", "acc_mutual_info")},
    "brier": {**CHOICE, "doc_to_choice": ["yes", "no", "maybe"],
              "metric_list": metrics("acc", brier_score="brier_score", f1="f1")},
    "targets": {**CHOICE, "doc_to_target": "labels", "doc_to_choice": ["Rome", "Lima", "Bonn"]},
    "inputs": {**CHOICE, "doc_to_text": "label", "doc_to_choice": "blank", "doc_to_target": "end"},
    "last": {"output_type": "loglikelihood", "doc_to_text": "{{question}}", "doc_to_target": "end",
             "metric_list": metrics("acc", perplexity="perplexity")},
    "rolling": {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "text",
                "metric_list": metrics(word_perplexity="weighted_perplexity",
                                       byte_perplexity="weighted_perplexity",
                                       bits_per_byte="bits_per_byte")},
    "answers": {"output_type": "generate_until", "doc_to_text": "{{question}}",
                "doc_to_target": "end", "generation_kwargs": {"until": ["."], "max_gen_toks": 8},
                "metric_list": metrics("exact_match", chrf="chrf"),
                "filter_list": [
                    {"name": "first", "filter": [{"function": "regex", "regex_pattern": "(\\w)"},
                                                 {"function": "take_first"}]},
                    {"name": "whole", "filter": [{"function": "take_first"}]}]},
}  # fmt: skip
GROUPS = {
    "both": {"task": ["choice", "few"], "aggregate_metric_list": [{"metric": "acc"}]},
    "equal": {
        "task": ["both", "last"],
        "aggregate_metric_list": [{"metric": "acc", "weight_by_size": False}],
    },
}


def write_tasks(folder: Path) -> Path:
    """Tasks and groups of each kind, as YAML files."""
    folder.mkdir(exist_ok=True)
    for name, rows in (("rows", ROWS), ("few", ROWS[:2])):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    few = {**TASKS["choice"], "dataset_kwargs": {"data_files": {"test": str(folder / "few.jsonl")}}}
    for name, keys in [*TASKS.items(), ("few", few)]:
        files = {"data_files": {"test": str(folder / "rows.jsonl")}}
        data = {"dataset_path": "json", "dataset_kwargs": files, "test_split": "test"}
        content = {"task": name, **data, "metadata": {"version": 1}, **keys}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for name, keys in GROUPS.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"group": name, **keys}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        yield write_tasks(tmp_path_factory.mktemp("yaml"))


@pytest.fixture(scope="module")
def lm(world: World) -> HFLM:
    return HFLM(
        str(world.student), device="cpu", dtype="float32", batch_size=3, add_bos_token=False
    )


def theirs(lm: HFLM, folder: Path, names: list[str], **options: Any) -> dict[str, dict[str, float]]:
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = simple_evaluate(
        model=lm, tasks=names, task_manager=manager, bootstrap_iters=0, log_samples=False, **options
    )
    return {
        name: {k: float(v) for k, v in values.items() if "," in k and "_stderr" not in k}
        for name, values in {**found["results"], **found.get("groups", {})}.items()
    }


def ours(result: TaskResult) -> dict[str, float | None]:
    return {name: metric.value for name, metric in result.metrics.items() if "," in name}


def close(values: dict[str, float]) -> dict[str, Any]:
    return {name: pytest.approx(value, rel=1e-6, abs=1e-6) for name, value in values.items()}


QUIET = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::RuntimeWarning"
)


@QUIET
def test_scores_of_each_output_type_are_those_of_lm_eval(
    lm: HFLM, folder: Path, world: World, tmp_path: Path
) -> None:
    expected = theirs(lm, folder, list(TASKS))
    evaluation = kdbench.evaluate(
        model=str(world.student),
        tasks=tuple(str(folder / f"{name}.yaml") for name in TASKS),
        protocol="greedy",
        max_new_tokens=8,
        metrics="exact_match",
        dtype="float32",
        device="cpu",
        results=tmp_path,
    )
    for name in TASKS:
        result = evaluation.results[name]
        assert ours(result) == close(expected[name]), name
        listed = TASKS[name].get("metric_list")
        if listed:
            assert result.main_metric.split(",")[0] == listed[0]["metric"]


@QUIET
def test_scores_under_a_chat_template_are_those_of_lm_eval(
    lm: HFLM, folder: Path, world: World, tmp_path: Path
) -> None:
    template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    lm.tokenizer.chat_template = template
    expected = theirs(lm, folder, ["shots", "inputs"], apply_chat_template=True)
    lm.tokenizer.chat_template = None
    evaluation = kdbench.evaluate(
        model=str(world.student),
        tasks=(str(folder / "shots.yaml"), str(folder / "inputs.yaml")),
        protocol="chat",
        chat_template=template,
        dtype="float32",
        device="cpu",
        results=tmp_path,
    )
    for name in ("shots", "inputs"):
        assert ours(evaluation.results[name]) == close(expected[name])


@QUIET
def test_means_of_groups_are_those_of_lm_eval(
    lm: HFLM, folder: Path, world: World, tmp_path: Path
) -> None:
    expected = theirs(lm, folder, ["equal"])
    evaluation = kdbench.evaluate(
        model=str(world.student),
        tasks=str(folder / "equal.yaml"),
        protocol="greedy",
        device="cpu",
        results=tmp_path,
    )
    assert set(evaluation.results) == {"choice", "few", "last"}
    for name in GROUPS:
        assert ours(evaluation.groups[name]) == close(expected[name])
