"""Recipes of several training seeds: how they are found, paired, tested and written down."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_runs import Put
from scipy import stats

from kdbench.comparing.compare import compare
from kdbench.comparing.find import find_run
from kdbench.comparing.outputs.junit import junit
from kdbench.comparing.outputs.markdown import markdown
from kdbench.comparing.outputs.numbers import numbers
from kdbench.comparing.outputs.terminal import terminal
from kdbench.comparing.pairing import PairedScores
from kdbench.comparing.settings import CompareSettings
from kdbench.comparing.training import training_test
from kdbench.config import build
from kdbench.errors import InputError

SEEDS = (10, 11, 12)
PROMPTS = 40


def training(seed: int | None, recipe: str | None = "r") -> dict[str, Any]:
    unknown = dict.fromkeys(("samples", "seconds", "student_tokens", "teacher_tokens"))
    return {**unknown, "method": "gkd", "seed": seed, "recipe": recipe}


def put_recipe(
    put: Put,
    label: str,
    quality: float,
    between: float,
    seeds: tuple[int, ...] = SEEDS,
    rng: int = 0,
) -> list[Path]:
    """Runs of a recipe, as `kdbench fill` names them, with the shared noise of their prompts."""
    draws = np.random.default_rng(rng)
    prompts = np.random.default_rng(99).normal(0, 5, (PROMPTS, 1)) + draws.normal(
        0, 2, (PROMPTS, 1)
    )
    offsets = between * np.linspace(-1, 1, len(seeds))
    folders = []
    for seed, offset in zip(seeds, offsets, strict=True):
        scores = quality + offset + prompts + draws.normal(0, 2, (PROMPTS, 2))
        name = label if seed == seeds[0] else f"{label} seed {seed}"
        keys = {"method": label, "training": training(seed)}
        folders.append(put(name, {"dolly": {"rougeL": scores.round(4)}}, **keys))
    return folders


def settings(tmp_path: Path, base: str = "SFT", new: str = "GKD", **keys: Any) -> CompareSettings:
    folders = {"results": tmp_path / "results", "gates": tmp_path / "gates"}
    return build(CompareSettings, {"base": base, "new": new, "tolerance": "0", **folders, **keys})


@pytest.fixture
def recipes(put: Put, tmp_path: Path) -> Path:
    put_recipe(put, "SFT", 50, 0.5)
    put_recipe(put, "GKD", 57, -0.7, rng=1)
    return tmp_path


def gains(tmp_path: Path) -> np.ndarray:
    """The differences of the fixture's runs by seed and prompt, read from the files."""

    def means(label: str, seed: int) -> list[float]:
        name = label if seed == SEEDS[0] else f"{label} seed {seed}"
        (file,) = (tmp_path / "results" / name).glob("*/dolly.json")
        found: list[float] = json.loads(file.read_text())["documents"]["rougeL"]
        return found

    return np.array([np.subtract(means("GKD", seed), means("SFT", seed)) for seed in SEEDS])


def anova_p(gaps: np.ndarray) -> float:
    """The larger p-value of two-way crossed random effects, by the book, and of the averages."""
    trained, n = gaps.shape
    grand = gaps.mean()
    ms_training = n * sum((row.mean() - grand) ** 2 for row in gaps) / (trained - 1)
    ms_prompts = trained * sum((column.mean() - grand) ** 2 for column in gaps.T) / (n - 1)
    rest = sum(
        (gaps[t, p] - gaps[t].mean() - gaps[:, p].mean() + grand) ** 2
        for t in range(trained)
        for p in range(n)
    )
    ms_rest = rest / ((trained - 1) * (n - 1))
    ms_training = max(ms_training, ms_rest)
    total = (ms_training + ms_prompts - ms_rest) / (trained * n)
    parts = [(ms_training, trained - 1), (ms_prompts, n - 1), (ms_rest, (trained - 1) * (n - 1))]
    freedom = total**2 / sum((ms / (trained * n)) ** 2 / df for ms, df in parts)
    crossed = float(2 * stats.t.sf(abs(grand) / total**0.5, freedom))
    return max(crossed, float(stats.ttest_1samp(gaps.mean(axis=1), 0).pvalue))


def test_two_recipes_are_paired_by_prompt_and_training_seed(recipes: Path) -> None:
    comparison = compare(settings(recipes))
    (row,) = comparison.rows
    gaps = gains(recipes)
    assert row.change == pytest.approx(gaps.mean())
    assert row.p == pytest.approx(anova_p(gaps), rel=1e-6)
    assert row.low is not None
    assert row.high is not None
    assert 0 < row.low < row.change < row.high
    assert row.verdict == "improved"
    assert str(comparison.scope) == "these recipes (3 training seeds: 10, 11, 12)"
    between = gaps.mean(axis=1).var(ddof=1)
    assert row.sd_training is not None
    assert 0.5 * between**0.5 < row.sd_training <= between**0.5
    assert row.sd_sampling is not None


def test_every_output_says_what_it_generalises_to(recipes: Path) -> None:
    comparison = compare(settings(recipes))
    wanted = "these recipes (3 training seeds: 10, 11, 12), other prompts and other trainings"
    texts = terminal(comparison), markdown(comparison, "g")
    assert all(f"generalises to: {wanted}" in text for text in texts)
    scope = ET.fromstring(junit(comparison)).find(".//property[@name='generalises to']")
    assert scope is not None
    assert scope.get("value") == wanted
    written = numbers(comparison)
    assert written["generalises_to"]["new_training_seeds"] == [10, 11, 12]
    row = written["rows"]["dolly:rougeL"]
    assert all(row[f"sd_{name}"] > 0 for name in ("prompts", "training", "sampling"))


def test_a_difference_between_checkpoints_need_not_be_one_between_recipes(
    put: Put, tmp_path: Path
) -> None:
    put_recipe(put, "SFT", 50, 3)
    folders = put_recipe(put, "GKD", 52, -3, rng=1)
    (row,) = compare(settings(tmp_path)).rows
    assert row.verdict == "inconclusive"
    assert "needs a tolerance above 0" in row.shortfall
    allowed = compare(settings(tmp_path, tolerance="rougeL:0.5")).rows[0]
    assert allowed.needed is None
    assert "needs more training seeds" in allowed.shortfall
    (single,) = compare(settings(tmp_path, new=str(folders[0]))).rows
    assert single.verdict == "improved"


def test_a_recipe_against_a_checkpoint_generalises_to_checkpoints(recipes: Path) -> None:
    folder = recipes / "results" / "GKD" / "minillm-1"
    comparison = compare(settings(recipes, new=str(folder)))
    assert str(comparison.scope) == "these checkpoints"
    assert "SFT: the mean of 3 training seeds counts as one checkpoint" in comparison.notes
    assert comparison.rows[0].sd_training is None
    both = compare(settings(recipes, base="SFT seed 11", new="GKD seed 11"))
    assert str(both.scope) == "these checkpoints"
    assert both.base.startswith("SFT seed 11@")
    assert not both.notes


@pytest.mark.parametrize(
    ("seeds", "notes", "scope"),
    [
        ((10, 12), ["SFT: only 2 of 3 training seeds have a partner and are compared"], "10, 12"),
        (
            (20, 21, 22),
            ["the training seeds differ, so they are paired in their order"],
            "10, 11, 12 against 20, 21, 22",
        ),
    ],
)
def test_other_training_seeds(
    seeds: tuple[int, ...], notes: list[str], scope: str, put: Put, tmp_path: Path
) -> None:
    put_recipe(put, "SFT", 50, 0.2)
    put_recipe(put, "GKD", 53, 0.2, seeds, rng=1)
    comparison = compare(settings(tmp_path))
    assert list(comparison.notes) == notes
    assert str(comparison.scope) == f"these recipes ({len(seeds)} training seeds: {scope})"


def test_rows_of_categories_have_the_test_too(recipes: Path) -> None:
    for file in (recipes / "results").glob("*/*/dolly.json"):
        result = json.loads(file.read_text())
        result["documents"]["category"] = ["qa" if n < 25 else "other" for n in range(PROMPTS)]
        file.write_text(json.dumps(result))
    whole, *parts = compare(settings(recipes, by="category")).rows
    assert [part.name for part in parts] == ["dolly/other", "dolly/qa"]
    assert parts[1].p == pytest.approx(anova_p(gains(recipes)[:, :25]), rel=1e-6)
    assert all(part.sd_training is not None for part in (whole, *parts))


def test_an_unfinished_training_is_reported(put: Put, tmp_path: Path) -> None:
    put_recipe(put, "SFT", 50, 0.2, (10, 11, 12, 13))
    put_recipe(put, "GKD", 50, 0.2)
    keys = {"method": "GKD", "training": training(13), "status": "running"}
    put("GKD seed 13", {"dolly": {"rougeL": np.ones((PROMPTS, 2))}}, **keys)
    comparison = compare(settings(tmp_path))
    assert comparison.exit_code == 3
    assert "GKD: the run's status is 'running'" in comparison.problems[0].text


def find(tmp_path: Path, name: str, *tasks: str) -> Any:
    return find_run(name, "new", tmp_path / "results", tmp_path / "gates", tasks)


def test_a_name_of_several_recipes_or_a_seed_twice_is_refused(put: Put, tmp_path: Path) -> None:
    scores = {"dolly": {"rougeL": np.ones((4, 2))}}
    put("a", scores, method="GKD", training=training(10))
    put("b", scores, method="GKD", training=training(11))
    assert len(find(tmp_path, "GKD").trainings) == 2
    put("c", scores, method="GKD", training=training(11))
    with pytest.raises(InputError, match=r"new=GKD: has several runs; give one: .*a/.*b/.*c/"):
        find(tmp_path, "GKD")
    put("c", scores, method="GKD", training=training(12, "another"))
    with pytest.raises(InputError, match="new=GKD: has several runs; give one"):
        find(tmp_path, "GKD")
    put("c", scores, method="GKD", training=training(12, None))
    assert len(find(tmp_path, "GKD").trainings) == 2


def test_training_seeds_on_other_prompts_are_refused(put: Put, tmp_path: Path) -> None:
    scores = {"rougeL": np.ones((4, 2))}
    put("GKD", {"dolly": scores}, method="GKD", training=training(10))
    put("b", {"dolly": scores, "vicuna": scores}, method="GKD", training=training(11))
    with pytest.raises(InputError, match="2 training seeds do not have the same tasks and prompts"):
        find(tmp_path, "GKD")
    found = find(tmp_path, "GKD", "dolly")
    assert found.title == "GKD (2 training seeds: 10, 11)"
    assert list(found.tasks) == ["dolly"]


def test_a_damaged_neighbour_matters_only_where_a_recipe_is_sought(
    put: Put, tmp_path: Path
) -> None:
    scores = {"dolly": {"rougeL": np.ones((4, 2))}}
    put("plain", scores, method="plain")
    put("GKD", scores, method="GKD", training=training(10))
    (put("other", scores) / "run.json").write_text("{")
    assert find(tmp_path, "plain").label == "plain"
    with pytest.raises(InputError, match=r"other/minillm-1/run.json: not JSON"):
        find(tmp_path, "GKD")


def test_an_unknown_task_is_named_with_those_of_the_recipe(recipes: Path) -> None:
    with pytest.raises(InputError, match="tasks=nothing: SFT has no such task: known: dolly"):
        compare(settings(recipes, tasks="nothing"))


def test_a_recipe_shows_no_responses(put: Put, tmp_path: Path) -> None:
    put_recipe(put, "SFT", 60, 0.2)
    rng = np.random.default_rng(0)
    scores = {"dolly": {"rougeL": rng.normal(20, 5, (PROMPTS, 2)).round(4)}}
    folder = put("other", scores, texts="a response")
    (row,) = compare(settings(tmp_path, new=str(folder))).rows
    assert row.verdict == "regressed"
    assert row.worst
    assert all(prompt.evidence is None for prompt in row.worst)


def test_the_hierarchical_bootstrap_needs_checkpoints(recipes: Path) -> None:
    with pytest.raises(InputError, match=r"SFT is a recipe of 3 training seeds|GKD is a recipe"):
        compare(settings(recipes, interval="hierarchical"))
    (row,) = compare(settings(recipes, interval="bootstrap")).rows
    (plain,) = compare(settings(recipes)).rows
    assert row.low is not None
    assert plain.low is not None
    assert row.low >= plain.low - 1e-9


@pytest.mark.parametrize("trained", [3, 5])
@pytest.mark.parametrize("between", [0.0, 0.4, 1.3])  # prompts alone: 0.4
def test_recipes_that_are_equally_good_rarely_differ(trained: int, between: float) -> None:
    rng, trials = np.random.default_rng(0), 600
    rejected = 0
    for _ in range(trials):
        shared = rng.normal(0, 3, 50)
        gaps = rng.normal(0, between, (trained, 1)) + shared + rng.normal(0, 2, (trained, 50))
        mean = gaps.mean(axis=0)
        paired = PairedScores(tuple(map(str, range(50))), 0 * mean, mean, 0, None, gaps)
        test = training_test([paired], 1)
        assert test is not None
        rejected += test.p() <= 0.05
    assert rejected / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5
