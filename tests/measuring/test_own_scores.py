"""The metrics of a YAML file: lm-eval's filters and scores, run once for all uses."""

import json
from pathlib import Path

import pytest
from lm_eval.filters.extraction import RegexFilter

from kdbench.generate import Sample
from kdbench.measuring.own_scores import final_answers, yaml_metrics
from kdbench.task import Task, load_tasks

HEAD = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{a}}}}"
metadata: {{version: 1}}
"""
MATCH = "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
FILTERS = r"""
filter_list:
  - name: number
    filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]
  - name: whole
    filter: [{function: take_first}]
"""
OUTPUTS = {"0": "it is 2", "1": "3", "2": "none"}
SAMPLES = {
    (document, seed): Sample(document, seed, text if seed else "4")
    for document, text in OUTPUTS.items()
    for seed in (0, 1)
}


def load(folder: Path, yaml: str) -> Task:
    rows = [{"id": str(i), "q": f"{i}?", "a": str(2 + i)} for i in range(3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "sums.yaml").write_text(HEAD.format(data=folder / "rows.jsonl") + yaml)
    (task,) = load_tasks([str(folder / "sums.yaml")])
    return task


def test_each_filter_has_its_scores_by_seed_and_document(tmp_path: Path) -> None:
    task = load(tmp_path, FILTERS + MATCH)
    number, whole = yaml_metrics(task, (1, 0), SAMPLES)
    assert (number.name, number.direction) == ("exact_match,number", "higher")
    assert number.scores == {1: [1, 1, 0], 0: [0, 0, 1]}
    assert (whole.name, whole.scores) == ("exact_match,whole", {1: [0, 1, 0], 0: [0, 0, 1]})


def test_final_answers_come_from_the_first_filter(tmp_path: Path) -> None:
    task = load(tmp_path, FILTERS + MATCH)
    assert final_answers(task, (1,), SAMPLES) == {1: [("2", True), ("3", True), (None, False)]}


def test_without_filters_the_whole_response_is_scored(tmp_path: Path) -> None:
    task = load(tmp_path, MATCH)
    (metric,) = yaml_metrics(task, (1,), SAMPLES)
    assert (metric.name, metric.scores) == ("exact_match,none", {1: [0, 1, 0]})
    assert final_answers(task, (1,), SAMPLES)[1][0] == ("it is 2", False)


def test_without_exact_match_there_are_no_final_answers(tmp_path: Path) -> None:
    task = load(tmp_path, FILTERS + "metric_list: [{metric: bleu}]\n")
    assert final_answers(task, (1,), SAMPLES) == {}


def test_the_filters_run_once_for_scores_and_final_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    apply = RegexFilter.apply

    def counted(self: RegexFilter, responses: list, documents: list) -> list:
        calls.append(len(responses))
        return apply(self, responses, documents)

    monkeypatch.setattr(RegexFilter, "apply", counted)
    task = load(tmp_path, FILTERS + MATCH)
    yaml_metrics(task, (0, 1), SAMPLES)
    final_answers(task, (0, 1), SAMPLES)
    assert calls == [3, 3]  # one call per seed
