"""Tasks of each output type of lm-eval, and groups, as YAML files with local rows."""

import json
from pathlib import Path
from typing import Any

import yaml

PLACES = ["Rome", "Paris", "a very old town", "Oslo", "Lima"]
ROWS = [
    {
        "id": f"q{i}",
        "question": "Olga has a fish. " * 90 * (i == 3) + f"Where does Olga {i} live? ",
        "choices": PLACES[i % 3 : i % 3 + 2 + i % 2],
        "label": i % 2,
        "labels": [0, 1] if i % 3 else [1],
        "blank": [f"{name} is a nurse of" for name in ("Olga", "Ivan")],
        "word": "Rome",
        "end": "Rome, has a fish.",
        "text": f"Olga is a nurse of Rome {i}. " * (1 + 90 * (i == 2)) if i != 4 else "",
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
    "last": {"output_type": "loglikelihood", "doc_to_text": "{{question}}", "doc_to_target": "word",
             "metric_list": metrics("acc", perplexity="perplexity")},
    "rolling": {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "text",
                "metric_list": metrics(word_perplexity="weighted_perplexity",
                                       byte_perplexity="weighted_perplexity",
                                       bits_per_byte="bits_per_byte")},
    "answers": {"output_type": "generate_until", "doc_to_text": "{{id}} {{blank[0]}}",
                "doc_to_target": "end", "generation_kwargs": {"until": ["."], "max_gen_toks": 8},
                "metric_list": metrics("exact_match", chrf="chrf"),
                "filter_list": [
                    {"name": "first", "filter": [{"function": "regex", "regex_pattern": "(\\w)"},
                                                 {"function": "take_first"}]},
                    {"name": "whole", "filter": [{"function": "take_first"}]}]},
}  # fmt: skip
LONG = {"choice", "shots", "delimiter", "mutual", "brier", "targets", "last"}
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
