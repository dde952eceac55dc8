"""A table is the same whether results are read whole or only what it shows."""

import random

import pytest

from kdbench.config import TableSettings
from kdbench.errors import InputError
from kdbench.stats.estimates import document_means, estimate
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import stored_runs
from kdbench.tables import build_table

METRICS = ("rougeL", "exact_match", "response_length")
TASKS = ("dolly", "vicuna")


@pytest.fixture
def results(tmp_path):
    rng = random.Random(0)
    for place, name in enumerate(("SFT", "KD", "GKD", "SFT again")):
        folder = RunFolder(tmp_path / name / "minillm-1")
        record = {"setting": None, "limit": None, "status": "complete", "tasks": {}}
        training = {"method": name, "samples": 1, "seconds": 1, "student_tokens": 1,
                    "teacher_tokens": 1, "recipe": "r", "seed": place}  # fmt: skip
        method = name.removesuffix(" again")  # two training seeds
        protocol = {"name": "minillm", "seeds": [10, 20]}
        folder.write_run(
            {**record, "model": {"name": name}, "method": method, "protocol": protocol,
             "training": training}
        )  # fmt: skip
        for task in TASKS:
            folder.write_task(made(rng, task, place))
    return tmp_path


def made(rng, task, place):
    metrics, columns = {}, {}
    for name in METRICS:
        scores = {
            seed: [min(100.0, max(0.0, rng.gauss(30 + 9 * place, 20))) for _ in range(30)]
            for seed in (10, 20)
        }
        columns[name] = document_means(scores)
        numbers = estimate(scores, "points")
        metrics[name] = MetricResult(
            **vars(numbers), unit="points", direction="higher", version="1"
        )
    ids, categories = [f"{task}{n}" for n in range(30)], [f"c{n % 2}" for n in range(30)]
    return TaskResult(
        fingerprint={"task": task, "protocol": {"name": "minillm", "seeds": [10, 20]}},
        metrics=metrics,
        documents={"id": ids, "category": categories, **columns},
        data={"rows": 30, "used": 30},
        cut_prompts=0,
        main_metric="rougeL",
    )


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"metric": "exact_match"},
        {"columns": ("dolly", "AVG", "response_length", "dolly:exact_match")},
        {"by": "category"},
    ],
)
def test_the_bytes_are_the_same(results, keys):
    settings = TableSettings(results=results, tasks=TASKS, published="none", **keys)
    whole = build_table(settings, list(stored_runs(results)))
    parts = build_table(settings)
    for form in ("md", "csv", "tex", "html"):
        assert parts.render(form) == whole.render(form)
    assert "GKD" in parts.render("md")


def test_a_fault_in_what_is_shown_is_named_and_another_one_is_not_read(results):
    path = results / "KD" / "minillm-1" / "dolly.json"
    text = path.read_text("utf-8")
    settings = TableSettings(results=results, tasks=TASKS, published="none")
    shown = build_table(settings).render("md")
    path.write_text(text.replace('"exact_match": [', '"exact_match": ["x", '), "utf-8")
    assert build_table(settings).render("md") == shown
    path.write_text(text.replace('"rougeL": [', '"rougeL": ["x", '), "utf-8")
    with pytest.raises(InputError, match=r"dolly\.json: .*documents\.rougeL: must be a list of 30"):
        build_table(settings)
