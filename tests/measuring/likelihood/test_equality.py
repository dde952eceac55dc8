"""Scores equal those of lm-eval's own model, for each output type."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval_tasks import GROUPS, LONG, TASKS, write_tasks

import kdbench
from kdbench.store.results import TaskResult
from kdbench.toy.models import World


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
    for name, keys in TASKS.items():
        result = evaluation.results[name]
        assert ours(result) == close(expected[name]), name
        listed = keys.get("metric_list")
        assert bool(result.cut_prompts) == (name in LONG), name
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
    # Of the small task, each document weighs as much as one of the large one.
    both, parts = evaluation.groups["both"], [evaluation.results[n] for n in ("choice", "few")]
    scores = [score for part in parts for score in part.documents["acc,none"]]
    assert both.metrics["acc,none"].value == pytest.approx(sum(scores) / len(scores), abs=1e-6)
    table = str(kdbench.table(results=tmp_path, columns=("both:acc", "last:acc"), tasks=("last",)))
    assert f"{both.metrics['acc,none'].value:.3f} [" in table
