"""A scoring function is corrected: stored samples are scored again, and nothing is generated."""

import json
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.errors import InputError
from kdbench.toy.models import World

YAML = """
task: counted
output_type: generate_until
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
doc_to_text: "{{{{question}}}}\\n"
doc_to_target: answer
generation_kwargs: {{until: ["@"]}}
process_results: !function fn.scores
metric_list:
  - {{metric: m, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    folder = tmp_path / "task"
    folder.mkdir()
    rows = [{"id": word, "question": f"Say {word}", "answer": word} for word in "abc"]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "counted.yaml").write_text(YAML.format(data=folder / "rows.jsonl"))
    (folder / "fn.py").write_text("def scores(doc, results): return {'m': 1.0}\n")
    return folder / "counted.yaml"


@pytest.fixture
def settings(task: Path, world: World, tmp_path: Path) -> dict[str, Any]:
    return {
        "model": str(world.student),
        "tasks": str(task),
        "protocol": "greedy",
        "max_new_tokens": 4,
        "results": tmp_path / "results",
        "device": "cpu",
        "metrics": ("rougeL", "lm_loss"),
    }


def correct(task: Path) -> None:
    (task.parent / "fn.py").write_text("def scores(doc, results): return {'m': 2.0, 'n': 3.0}\n")


def test_a_corrected_function_scores_the_stored_samples(
    settings: dict[str, Any], task: Path
) -> None:
    first = kdbench.evaluate(**settings)
    old = first.results["counted"]
    assert (first.generated, old.metrics["m,none"].value) == (3, 1.0)
    correct(task)
    second = kdbench.evaluate(**{**settings, "metrics": ("exact_match",)})
    new = second.results["counted"]
    assert (second.generated, second.run) == (0, first.run)
    assert (new.metrics["m,none"].value, new.metrics["n,none"].value) == (2.0, 3.0)
    assert new.metrics["lm_loss"] == old.metrics["lm_loss"]
    now, before = new.fingerprint["definition_sha256"], old.fingerprint["definition_sha256"]
    assert now != before
    record = json.loads((first.run / "run.json").read_text())
    assert record["tasks"]["counted"]["definition_sha256"] == now
    assert kdbench.evaluate(**settings).results["counted"] == new


def test_score_run_takes_the_corrected_function_too(settings: dict[str, Any], task: Path) -> None:
    first = kdbench.evaluate(**settings)
    correct(task)
    again = kdbench.score(run=first.run, task=str(task))
    assert again.results["counted"].metrics["m,none"].value == 2.0


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [('"@"', '"#"', "until"), ("question}}", "question}}!", "prompts_sha256|data_sha256")],
)
def test_other_texts_are_still_refused(
    old: str, new: str, key: str, settings: dict[str, Any], task: Path
) -> None:
    kdbench.evaluate(**settings)
    task.write_text(task.read_text().replace(old, new))
    with pytest.raises(InputError, match=rf"generated from different prompts \(({key}) was"):
        kdbench.evaluate(**settings)


def test_a_run_that_did_not_record_its_stops_needs_the_same_definition(
    settings: dict[str, Any], task: Path
) -> None:
    first = kdbench.evaluate(**settings)
    file = first.run / "run.json"
    record = json.loads(file.read_text())
    del record["tasks"]["counted"]["until"]
    file.write_text(json.dumps(record))
    correct(task)
    with pytest.raises(InputError, match="definition_sha256 was"):
        kdbench.evaluate(**settings)


def test_a_run_is_scored_again_without_its_tasks_with_options(world: World, tmp_path: Path) -> None:
    keys = {"model": str(world.student), "results": tmp_path, "protocol": "greedy"}
    keys |= {"limit": 2, "max_new_tokens": 2, "device": "cpu", "data": world.data}
    done = kdbench.evaluate(tasks="dolly,skills_kinds", **keys)
    again = kdbench.score(run=done.run, data=world.data)
    assert again.results == {"dolly": done.results["dolly"]}
    with pytest.raises(InputError, match="'skills_kinds' is scored by likelihood"):
        kdbench.score(run=done.run, task="skills_kinds")
