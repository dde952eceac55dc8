"""Comparing two stored runs: the rows, or the field that prevents a comparison."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_runs import PROTOCOL, Put, noisy
from scipy import stats

import kdbench
from kdbench.comparing.baseline import BaselineOrigin, read_baseline, write_baseline
from kdbench.comparing.comparison import compare_runs
from kdbench.comparing.model import Comparison, RowTestMethod
from kdbench.comparing.scores import read_run
from kdbench.comparing.tolerance import Tolerance, parse_tolerances
from kdbench.comparing.verdict import Rules
from kdbench.errors import InputError

N = 60
BASE = {"dolly": {"rougeL": noisy(N, 30, 1)}, "vicuna": {"rougeL": noisy(40, 20, 2)}}


def shifted(change: float, spread: float = 0.1) -> dict[str, Any]:
    return {
        task: {"rougeL": scores["rougeL"] + noisy(len(scores["rougeL"]), change, 3, spread)}
        for task, scores in BASE.items()
    }


def compared(base: Path, new: Path, tolerance: str = "rougeL:0.5", **rules: Any) -> Comparison:
    partial = rules.pop("partial", False)
    return compare_runs(
        read_run(base),
        read_run(new),
        parse_tolerances(tolerance),
        Rules(**rules),
        RowTestMethod(partial=partial),
    )


def verdicts(comparison: Comparison) -> list[str]:
    return [row.verdict for row in comparison.rows]


@pytest.mark.parametrize(
    ("change", "spread", "verdict", "code"),
    [
        (-2.0, 0.1, "regressed", 1),
        (-0.2, 0.1, "worse", 0),
        (0.0, 0.1, "unchanged", 0),
        (0.0, 9.0, "inconclusive", 0),
        (2.0, 0.1, "improved", 0),
    ],
)
def test_verdicts_of_all_rows(
    put: Put, change: float, spread: float, verdict: str, code: int
) -> None:
    comparison = compared(put("a", BASE), put("b", shifted(change, spread)))
    assert [(row.task, row.metric) for row in comparison.rows] == [
        ("dolly", "rougeL"),
        ("vicuna", "rougeL"),
        ("AVG", "rougeL"),
    ]
    assert verdicts(comparison) == [verdict] * 3
    assert comparison.exit_code == code


def test_too_few_prompts_to_reject_see_nothing(put: Put) -> None:
    few = {"dolly": {"rougeL": BASE["dolly"]["rougeL"][:3]}}
    worse = {"dolly": {"rougeL": few["dolly"]["rougeL"] - [[1.0], [1.01], [0.99]]}}
    (row,) = compared(put("a", few), put("b", worse)).rows
    assert (row.n, row.least, row.needed) == (3, None, 6)  # 2^-5 <= 0.05 < 2^-4


def test_the_numbers_of_a_row(put: Put) -> None:
    new = shifted(-1)
    comparison = compared(put("a", BASE), put("b", new))
    row, _, average = comparison.rows
    differences = (new["dolly"]["rougeL"] - BASE["dolly"]["rougeL"]).mean(axis=1)
    assert row.base == pytest.approx(BASE["dolly"]["rougeL"].mean())
    assert row.new - row.base == pytest.approx(row.change)
    assert row.change == pytest.approx(differences.mean(), abs=1e-5)
    theirs = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (row.low, row.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    z = stats.norm.isf(0.05 / 2 / 3) + stats.norm.ppf(0.8)  # three rows
    assert row.least == pytest.approx(z * differences.std(ddof=1) / N**0.5, rel=1e-4)
    # The sign flips of 7 prompts are the first whose smallest p, 2^-6, is below 0.05 / 3.
    assert row.needed == max(7, np.ceil(N * (row.least / 0.5) ** 2))
    assert row.p_adjusted == pytest.approx(3 * row.p)
    largest = [f"dolly-{i}" for i in np.argsort(differences)[:5]]
    assert [prompt.id for prompt in row.worst] == largest
    first, second = comparison.rows[:2]
    assert average.change == pytest.approx((first.change + second.change) / 2)
    assert average.n == first.n + second.n


def test_a_run_against_itself_is_unchanged_at_tolerance_0(put: Put) -> None:
    folder = put("a", BASE)
    comparison = compared(folder, folder, "rougeL:0")
    assert verdicts(comparison) == ["unchanged"] * 3
    assert (comparison.rows[0].low, comparison.rows[0].high) == (0, 0)


def test_swapping_the_runs_mirrors_the_rows(put: Put) -> None:
    a, b = put("a", BASE), put("b", shifted(-0.3, 0.5))
    for row, swapped in zip(compared(a, b).rows, compared(b, a).rows, strict=True):
        assert (row.change, row.low, row.high) == (-swapped.change, -swapped.high, -swapped.low)
        assert row.p == swapped.p
    mirrored = {"worse": "improved", "improved": "worse", "regressed": "improved"}
    ahead, back = (verdicts(compared(x, y, "rougeL:0.1")) for x, y in ((a, b), (b, a)))
    assert [mirrored.get(verdict, verdict) for verdict in ahead] == back


def test_less_is_better_where_the_metric_says_so(put: Put) -> None:
    few = {"dolly": {"cut_off": np.zeros((50, 2)), "rougeL": noisy(50, 1)}}
    many = {
        "dolly": {**few["dolly"], "cut_off": np.repeat([[1.0], [0.0]], 25, axis=0).repeat(2, 1)}
    }
    a, b = put("a", few), put("b", many)
    (row,) = compared(a, b, "cut_off:0.05").rows
    assert (row.verdict, row.change) == ("regressed", 0.5)
    assert 0.05 < row.low < row.change < row.high
    assert row.worst[0].new == 1
    (back,) = compared(b, a, "cut_off:0.05").rows
    assert (back.verdict, back.change) == ("improved", -0.5)
    # One size of difference: the closed form, which is McNemar's.
    assert row.p == pytest.approx(stats.binomtest(0, 25).pvalue)


def test_many_rows_share_one_alpha(put: Put) -> None:
    """A drop that one row would call worse is not enough among twenty."""
    rng = np.random.default_rng(5)
    drop = rng.normal(-0.3, 1, (100, 2))
    drop -= drop.mean() + 0.18
    base = {"t0": {"rougeL": np.zeros((100, 2))}}
    new = {"t0": {"rougeL": drop.round(4)}}
    assert "worse" in verdicts(compared(put("a", base), put("b", new)))
    others = {f"t{i}": {"rougeL": np.zeros((100, 2))} for i in range(1, 20)}
    many = compared(put("c", base | others), put("d", new | others))
    assert set(verdicts(many)) == {"unchanged"}
    strict = [
        compared(put("e", x), put("f", y), "rougeL:0")
        for x, y in ((base, new), (base | others, new | others))
    ]
    assert ["regressed" in verdicts(comparison) for comparison in strict] == [True, False]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"task_version": "2"}, "dolly: task_version differs: 1 in the base, 2 in the new run"),
        ({"data_sha256": "x"}, "dolly: data_sha256 differs"),
        ({"prompts_sha256": "x"}, "dolly: prompts_sha256 differs"),
        ({"definition_sha256": "x"}, "dolly: definition_sha256 differs: absent in the base"),
        (
            {"protocol": {**PROTOCOL, "name": "minillm+temperature=0.5", "temperature": 0.5}},
            "dolly: protocol.temperature differs: 1.0 in the base, 0.5 in the new run",
        ),
        ({"protocol": {**PROTOCOL, "name": "other"}}, "dolly: protocol.name differs"),
        ({"protocol": {**PROTOCOL, "seeds": [10]}}, "dolly: protocol.seeds differs: 10,20 in"),
    ],
)
def test_the_field_that_differs_is_named(put: Put, change: dict[str, Any], complaint: str) -> None:
    comparison = compared(put("a", BASE), put("b", BASE, change))
    assert comparison.rows == ()
    assert comparison.exit_code == 2
    assert len(comparison.problems) == 2  # a line a task
    assert comparison.problems[0].text.startswith(complaint)
    assert comparison.decision.word == "NO VERDICT"


def test_another_version_or_teacher_of_a_metric_is_named(put: Put) -> None:
    base, new = read_run(put("a", BASE)), read_run(put("b", BASE))
    for field in ("version", "teacher", "unit"):
        tasks = {
            task: replace(
                scores, metrics={"rougeL": replace(scores.metrics["rougeL"], **{field: "other"})}
            )
            for task, scores in new.tasks.items()
        }
        changed = replace(new, tasks=tasks)
        comparison = compare_runs(base, changed, {"rougeL": Tolerance(1)}, Rules(), RowTestMethod())
        assert comparison.exit_code == 2
        assert comparison.problems[0].text.startswith(f"dolly: {field} of rougeL differs")


def test_prompts_of_only_one_run_need_allow_partial(put: Put) -> None:
    some = {"dolly": {"rougeL": BASE["dolly"]["rougeL"][:20]}}
    a = put("a", {"dolly": BASE["dolly"]})
    b = put("b", some, {"prompts_sha256": "of fewer"}, limit=20)
    strict = compared(a, b)
    assert strict.exit_code == 2
    assert "limit differs: none in the base, 20 in the new run; set allow_partial=true" in str(
        strict.decision
    )
    partial = compared(a, b, partial=True)
    assert (partial.exit_code, partial.rows[0].n) == (0, 20)
    assert partial.notes == ("dolly: left out prompts that only a has: 40 of 60",)


def test_pairs_are_by_id_and_not_by_place(put: Put) -> None:
    ids = [f"dolly-{i}" for i in range(N)]
    turned = {"dolly": {"rougeL": BASE["dolly"]["rougeL"][::-1]}}
    a = put("a", {"dolly": BASE["dolly"]}, ids=ids)
    b = put("b", turned, {"prompts_sha256": "turned"}, ids=ids[::-1])
    comparison = compared(a, b, partial=True)
    assert [(row.change, row.n) for row in comparison.rows] == [(0, N)]
    assert comparison.rows[0].worst == ()


def test_a_missing_task_is_a_problem_and_an_extra_one_is_not(put: Put) -> None:
    both, only_dolly = put("a", BASE), put("b", {"dolly": BASE["dolly"]})
    lacks = compared(both, only_dolly)
    assert lacks.exit_code == 2
    assert lacks.problems[0].text.startswith("vicuna: a has results for this task and b does not")
    assert verdicts(compared(both, only_dolly, partial=True)) == ["unchanged"]
    extra = compared(only_dolly, both)
    assert extra.exit_code == 0
    assert extra.notes == ("vicuna: not compared, because b has no results for it",)


@pytest.mark.parametrize("status", ["failed", "running"])
def test_an_incomplete_run_is_exit_code_3(put: Put, status: str) -> None:
    comparison = compared(put("a", BASE), put("b", BASE, {"task_version": "2"}, status=status))
    assert comparison.exit_code == 3
    assert comparison.problems[0].text == (
        f"b: the run's status is '{status}'; rerun its command to complete it"
    )


def test_undefined_scores_are_left_out_with_a_note(put: Put) -> None:
    holed = {"dolly": {"rougeL": BASE["dolly"]["rougeL"].copy()}}
    a, b = put("a", {"dolly": BASE["dolly"]}), put("b", holed)
    file = b / "dolly.json"
    content = json.loads(file.read_text())
    content["documents"]["rougeL"][3] = None
    file.write_text(json.dumps(content))
    comparison = compared(a, b)
    assert comparison.rows[0].n == N - 1
    assert comparison.notes == ("dolly: left out prompts without rougeL in one of the runs: 1",)
    content["documents"]["rougeL"] = [None] * N
    file.write_text(json.dumps(content))
    assert "no prompt has rougeL in both runs" in str(compared(a, b).decision)


def test_metrics_that_cannot_be_gated(put: Put) -> None:
    scores = {"dolly": {"rougeL": noisy(9, 1), "response_length": noisy(9, 5)}}
    a, b = put("a", scores), put("b", scores)
    with pytest.raises(InputError, match="neither direction of this metric is better"):
        compared(a, b, "response_length:1")
    with pytest.raises(InputError, match="no such metric: did you mean 'rougeL'"):
        compared(a, b, "rougel:1")
    file = a / "dolly.json"
    content = json.loads(file.read_text())
    del content["documents"]["rougeL"]
    file.write_text(json.dumps(content))
    assert "rougeL has no score per prompt" in str(compared(a, b).decision)


def test_the_verbs_function_finds_models_and_folders(put: Put, tmp_path: Path) -> None:
    a = put("a", BASE)
    put("b", shifted(-2))
    results = tmp_path / "results"
    comparison = kdbench.compare(base="a", new="b", results=results, tasks="dolly")
    assert verdicts(comparison) == ["regressed"]
    assert (
        verdicts(kdbench.compare(base=str(a), new="b/minillm-1", results=results))
        == ["regressed"] * 3
    )
    with pytest.raises(InputError, match="base=c: is not a run folder, a model in results="):
        kdbench.compare(base="c", new="b", results=results)
    with pytest.raises(InputError, match="tasks=doly: a has no such task: did you mean 'dolly'"):
        kdbench.compare(base="a", new="b", results=results, tasks="doly")
    put("a", BASE)
    (results / "a" / "minillm-2").mkdir()
    (results / "a" / "minillm-2" / "run.json").write_text((a / "run.json").read_text())
    with pytest.raises(InputError, match=r"base=a: has several runs; give one: .*minillm-1, "):
        kdbench.compare(base="a", new="b", results=results)


def test_the_hierarchical_bootstrap_needs_samples(put: Put, tmp_path: Path) -> None:
    put("a", BASE)
    put("b", shifted(0), texts="text")
    put("c", shifted(0.1, 0.5), texts="text")
    settings = {"results": tmp_path / "results", "interval": "hierarchical"}
    with pytest.raises(InputError, match="a has no samples with rougeL of 'dolly' for every seed"):
        kdbench.compare(base="a", new="b", **settings)
    wide = kdbench.compare(base="b", new="c", **settings).rows[0]
    plain = kdbench.compare(base="b", new="c", results=tmp_path / "results").rows[0]
    assert wide.high - wide.low > plain.high - plain.low
    assert wide.p == plain.p


def test_samples_that_disagree_with_the_results_are_refused(put: Put, tmp_path: Path) -> None:
    put("b", shifted(0), texts="text")
    c = put("c", shifted(-2), texts="text")
    settings = {"base": "b", "new": "c", "results": tmp_path / "results"}
    file = c / "samples" / "dolly.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["scores"]["rougeL"] += 2
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match=r"dolly.jsonl: the scores of rougeL for 'dolly-0' have"):
        kdbench.compare(**settings, interval="hierarchical")
    assert kdbench.compare(**settings).exit_code == 1


@pytest.mark.parametrize("interval", ["flip", "bootstrap"])
@pytest.mark.parametrize("n", [1, 2, 5, 6, 30])
def test_few_equal_prompts_are_no_evidence(put: Put, tmp_path: Path, n: int, interval: str) -> None:
    put("a", {"dolly": {"rougeL": np.full((n, 2), 50.0)}})
    put("b", {"dolly": {"rougeL": np.full((n, 2), 50.0)}})
    settings = {"results": tmp_path / "results", "interval": interval}
    comparison = kdbench.compare(base="a", new="b", **settings, require_conclusive=True)
    enough = n >= 6  # 2^(1 - 6) <= 0.05
    assert verdicts(comparison) == ["unchanged" if enough else "inconclusive"]
    assert comparison.exit_code == (0 if enough else 1)


def test_losses_among_many_ties_are_no_regression(put: Put) -> None:
    base = np.full((50, 2), 50.0)
    new = base.copy()
    new[:8] -= 10
    a, b = put("a", {"dolly": {"rougeL": base}}), put("b", {"dolly": {"rougeL": new}})
    for tolerance in ("rougeL:0", "rougeL:0.1"):
        (row,) = compared(a, b, tolerance).rows
        assert row.verdict == "inconclusive"
        assert row.low < -row.tolerance < row.high
    new[:30] -= 10
    (row,) = compared(a, put("c", {"dolly": {"rougeL": new}}), "rougeL:0").rows
    assert row.verdict == "regressed"


@pytest.mark.parametrize("settings", [{"alpha": 1e-300}, {"tolerance": "rougeL:1e-300"}])
def test_extreme_settings_have_a_result(put: Put, tmp_path: Path, settings: dict) -> None:
    put("a", BASE, texts="x")
    put("b", shifted(-2, 1.0), texts="x")
    results = {"results": tmp_path / "results"}
    assert len(kdbench.compare(base="a", new="b", **results, **settings).rows) == 3
    for against in ({}, {"against": "b"}):
        assert "AVG" in str(kdbench.plan(run="a", **results, **settings, **against))


@pytest.mark.parametrize("score", [1e308, "high", [1], True])
def test_odd_scores_in_a_result_are_refused(put: Put, score: object) -> None:
    a = put("a", BASE)
    file = a / "dolly.json"
    content = json.loads(file.read_text())
    content["documents"]["rougeL"][3] = score
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"dolly.json: .*rougeL"):
        read_run(a)


def test_each_metric_gates_the_tasks_of_its_kind(put: Put, tmp_path: Path) -> None:
    """A choice task has only its own metrics; every task needs one that has a tolerance."""

    def with_options(name: str, change: float) -> Path:
        folder = put(name, {**shifted(change), "choice": {"acc,none": noisy(N, 0.5, 5, 0.1)}})
        path = folder / "choice.json"
        content = json.loads(path.read_text())
        content["fingerprint"]["output_type"] = "multiple_choice"
        path.write_text(json.dumps(content))
        return folder

    base, new = with_options("a", 0.0), with_options("b", -2.0)
    comparison = compared(base, new, "rougeL:0.5,acc:0.1")
    rows = [(row.task, row.metric, row.verdict) for row in comparison.rows]
    assert rows == [
        ("dolly", "rougeL", "regressed"),
        ("vicuna", "rougeL", "regressed"),
        ("AVG", "rougeL", "regressed"),
        ("choice", "acc,none", "unchanged"),
    ]
    (problem,) = compared(base, new).problems
    assert problem.text == "choice: tolerance= names no metric of this task, which has acc,none"
    assert len(compared(base, new, "acc:0.1").problems) == 2  # of dolly and vicuna
    tolerances = parse_tolerances("rougeL:0.5,acc,none:0.1")
    origin = BaselineOrigin("now", "me", "x")
    write_baseline(tmp_path / "g.json", read_run(base), tolerances, origin)
    gated = compare_runs(
        read_baseline(tmp_path / "g.json"), read_run(new), tolerances, Rules(), RowTestMethod()
    )
    assert [(row.task, row.metric, row.verdict) for row in gated.rows] == rows
    with pytest.raises(InputError, match="tolerance= names no metric of 'choice'"):
        write_baseline(tmp_path / "h.json", read_run(base), parse_tolerances("rougeL:1"), origin)
