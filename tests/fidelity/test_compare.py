"""`kdbench eval model= teacher=` on the toy world is complete, resumable and deterministic."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import kdbench
from kdbench.cli import verbs as cli
from kdbench.errors import InputError
from kdbench.fidelity.wanted import wanted_metrics
from kdbench.generate import backends
from kdbench.measuring.measurement import Evaluation
from kdbench.metrics import (
    Answer,
    PairMetric,
    PooledTokenMetric,
    Positions,
    TokenMetric,
    compares_with_teacher,
    metrics,
)
from kdbench.store.results import MetricResult, TaskResult
from kdbench.toy.models import World

Compare = Callable[..., Evaluation]
PLUGIN = Path(__file__).parents[1] / "plugin"
SETS = ("ref", "teacher", "student")
FEW = ("top1", "acceptance", "rougeL_teacher", "same_text")


def task(evaluation: Evaluation) -> TaskResult:
    return evaluation.results["dolly"]


def rows(evaluation: Evaluation) -> Mapping[str, MetricResult]:
    return task(evaluation).metrics


def teacher_metrics(evaluation: Evaluation) -> set[str]:
    return {name for name in rows(evaluation) if compares_with_teacher(name)}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def must_not_be_called(*_: object, **__: object) -> None:
    raise AssertionError("the checkpoint was loaded")


# Complete results


def test_every_metric_has_a_value_or_a_reason(whole: Evaluation) -> None:
    measured = rows(whole)
    assert teacher_metrics(whole) == wanted_metrics(["all"]).names
    for name in teacher_metrics(whole):
        metric, kind = measured[name], metrics.get(name.partition("@")[0])
        assert (metric.unit, metric.direction) == (kind.unit, kind.direction)
        assert metric.version == str(kind.version)
        assert (metric.value is None) == (metric.reason is not None), name
        if metric.ci_low is not None:
            assert metric.ci_low <= metric.value <= metric.ci_high, name
    for name in ("top1@student", "fkl@teacher", "rkl@student", "acceptance@ref", "k3@teacher"):
        assert measured[name].value is not None
        assert measured[name].micro is not None
        assert measured[name].n == 3
    assert set(measured["top1@student"].per_seed) == {"10", "20"}
    assert measured["top1@ref"].per_seed == {}


def test_the_record_names_the_teacher(whole: Evaluation, world: World) -> None:
    teacher = task(whole).teacher
    assert (teacher["name"], teacher["dtype"], teacher["top_k"]) == ("teacher", "auto", None)
    assert len(teacher["sha256"]) == 64
    assert "cut_mass" not in teacher
    assert "left_out" not in teacher


def test_identities_hold_between_metrics(whole: Evaluation) -> None:
    measured = rows(whole)
    for where in SETS:
        distance = 1 - measured[f"acceptance@{where}"].value
        assert measured[f"jsd@{where}"].value <= min(0.6932, distance)
        assert measured[f"mass_1@{where}"].value <= measured[f"mass_5@{where}"].value
    gap = measured["fkl@student"].value - measured["fkl@ref"].value
    assert measured["fkl@student-ref"].value == pytest.approx(gap, abs=3e-6)


def test_curves_agree_with_their_metrics(whole: Evaluation) -> None:
    curves = task(whole).curves
    assert set(curves) == {
        *(f"{name}@{where}" for name in ("fkl", "acceptance", "top1") for where in SETS),
        "exposure_error",
        "first_divergence",
    }
    for name in ("fkl@student", "top1@ref"):
        curve = curves[name]
        assert curve["n"] == sorted(curve["n"], reverse=True)
        tokens = sum(n * v for n, v in zip(curve["n"], curve["value"], strict=True))
        micro = tokens / sum(curve["n"])  # with 18 tokens, all but the last have their own bucket
        assert micro == pytest.approx(rows(whole)[name].micro, abs=0.1)
        assert curve["start"][0] == 0
        assert curve["stop"][-1] <= 18


def test_results_hold_a_value_per_document(whole: Evaluation) -> None:
    columns = task(whole).documents
    for name in ("top1@ref", "rkl@student", "rougeL_teacher"):
        assert len(columns[name]) == len(columns["id"]) == 3
        mean = sum(columns[name]) / 3
        assert mean == pytest.approx(rows(whole)[name].value, abs=2e-6)


def test_teacher_free_metrics_are_the_same_with_a_teacher(
    whole: Evaluation, compare: Compare, results: Path
) -> None:
    for file in results.glob("student/*/dolly.json"):
        file.unlink()
    alone = compare(results, teacher=None)
    teacher_free = {
        name: metric for name, metric in rows(whole).items() if not compares_with_teacher(name)
    }
    assert rows(alone) == teacher_free
    assert task(alone).teacher is None
    assert "curves" not in json.loads((alone.run / "dolly.json").read_text())


# The headline set


def test_by_default_the_headline_set_is_measured(
    compare: Compare, generated: Path, whole: Evaluation
) -> None:
    evaluation = compare(generated, metrics=())
    assert teacher_metrics(evaluation) == wanted_metrics([]).names < teacher_metrics(whole)
    for name in teacher_metrics(evaluation):
        assert rows(evaluation)[name] == rows(whole)[name]
    own = set(rows(evaluation)) - teacher_metrics(evaluation)
    by_name = {"eos_rate", "thinking_tokens", "unclosed_thinking"}  # and by `all`, with avg@2, …
    others = set(rows(whole)) - teacher_metrics(whole) - own
    assert {name for name in others if "@" not in name} == by_name
    before = contents(generated)
    assert compare(generated, metrics=("headline",)).results == evaluation.results
    assert contents(generated) == before


def test_metrics_outside_the_headline_set_are_kept(
    whole: Evaluation, compare: Compare, results: Path
) -> None:
    before = contents(results)
    assert compare(results, metrics=()).results == whole.results
    assert contents(results) == before


def test_a_retired_metric_is_dropped_at_the_next_measurement(
    compare: Compare, generated: Path
) -> None:
    evaluation = compare(generated, metrics=("acceptance@ref",))
    file = evaluation.run / "dolly.json"
    content = json.loads(file.read_text())
    content["metrics"]["tvd@ref"] = content["metrics"]["acceptance@ref"]
    content["documents"]["tvd@ref"] = content["documents"]["acceptance@ref"]
    file.write_text(json.dumps(content))
    assert "tvd@ref" in rows(compare(generated, metrics=("acceptance@ref",)))
    again = compare(generated, metrics=("acceptance@ref", "top1@ref"))
    assert teacher_metrics(again) == {"acceptance@ref", "top1@ref"}
    assert not {"tvd@ref"} & set(task(again).documents)


# Repetition


def test_repeating_a_command_does_nothing(
    whole: Evaluation, compare: Compare, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(results)
    monkeypatch.setattr("kdbench.generate.hf.load_checkpoint", must_not_be_called)
    again = compare(results)
    assert (again.generated, again.results) == (0, whole.results)
    assert contents(results) == before


def test_a_second_measurement_gives_the_same_result(
    whole: Evaluation, compare: Compare, generated: Path
) -> None:
    again = compare(generated)
    assert (again.generated, again.results) == (0, whole.results)
    assert (again.run / "dolly.json").read_bytes() == (whole.run / "dolly.json").read_bytes()


def test_scoring_again_keeps_the_comparison(whole: Evaluation, results: Path, world: World) -> None:
    folder = results / whole.run.relative_to(whole.run.parents[1])
    before = (folder / "dolly.json").read_bytes()
    scored = kdbench.score(run=folder, data=world.data)
    assert scored.results == whole.results
    assert (folder / "dolly.json").read_bytes() == before


def test_measuring_again_without_a_teacher_keeps_the_comparison(
    whole: Evaluation, compare: Compare, results: Path, with_metric: Callable
) -> None:
    class NewEmpty(metrics.get("empty")):
        version = 9

    with_metric(NewEmpty)
    again = compare(results, teacher=None)
    assert rows(again)["empty"].version == "9"
    assert teacher_metrics(again) == teacher_metrics(whole)
    assert task(again).teacher == task(whole).teacher
    assert task(again).curves == task(whole).curves


def test_repeated_kills_do_not_change_the_bytes(
    compare: Compare, world: World, tmp_path: Path
) -> None:
    """Send SIGKILL at random points of the pass over both models until all results exist."""
    few = {"limit": 12, "metrics": FEW}
    expected = compare(tmp_path / "once", teacher_cache=tmp_path / "once-cache", **few)
    again = shutil.copytree(tmp_path / "once", tmp_path / "again")
    for file in [*again.rglob("*.fidelity-*"), *again.glob("student/*/dolly.json")]:
        file.unlink()
    cache = tmp_path / "again-cache"
    command = [sys.executable, "-m", "kdbench", "eval", f"model={world.student}"]
    command += [f"teacher={world.teacher}", f"data={world.data}", f"results={again}"]
    command += [f"teacher_cache={cache}", f"metrics={','.join(FEW)}", "tasks=dolly", "limit=12"]
    command += ["max_new_tokens=18", "seeds=10,20", "device=cpu"]

    def measured() -> int:
        sizes = (file.stat().st_size for file in again.rglob("*.fidelity-*"))
        return sum(sizes) + sum(1 for _ in cache.rglob("*"))

    kills, chance = 0, random.Random(0)
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        goal = measured() + chance.randrange(1, 2000)
        while process.poll() is None and measured() < goal:
            time.sleep(0.001)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    done = compare(again, teacher_cache=cache, **few)
    assert kills
    assert (done.generated, done.results) == (0, expected.results)
    actual, once = contents(again), contents(tmp_path / "once")
    for name in once:
        if not name.endswith("run.json"):
            assert actual[name] == once[name], name
    assert actual.keys() == once.keys()
    assert contents(cache) == contents(tmp_path / "once-cache")


# The teacher against itself


def test_a_student_equal_to_its_teacher_is_perfect(
    compare: Compare, results: Path, world: World
) -> None:
    same = compare(results, model=str(world.teacher))
    assert same.generated == 0  # its samples are the teacher's
    measured = rows(same)
    for where in SETS:
        assert measured[f"top1@{where}"].value == 1
        for name in ("fkl", "rkl", "jsd"):
            assert measured[f"{name}@{where}"].value == pytest.approx(0, abs=1e-6)
        assert measured[f"acceptance@{where}"].value == pytest.approx(1, abs=1e-6)
    for name in teacher_metrics(same):
        metric = measured[name]
        if metric.ceiling is not None and metric.value is not None:
            assert metric.value == pytest.approx(metric.ceiling, abs=2e-5), name
    assert measured["same_text"].value == 1
    assert measured["exposure_error"].value is None or abs(measured["exposure_error"].value) < 1e9


# A different teacher, different metrics


def halved(model: Any) -> None:
    model.lm_head.weight.data *= 0.5


def test_another_teacher_replaces_the_comparison(
    compare: Compare, results: Path, whole: Evaluation, changed_teacher: Any
) -> None:
    other = changed_teacher("milder", weights=halved)
    evaluation = compare(results, teacher=other, metrics=("top1@ref", "fkl@ref"))
    assert evaluation.run.name == whole.run.name
    assert task(evaluation).teacher["name"] == "milder"
    assert teacher_metrics(evaluation) == {"top1@ref", "fkl@ref"}
    assert rows(evaluation)["fkl@ref"].value != rows(whole)["fkl@ref"].value
    assert set(task(evaluation).curves) == {"top1@ref", "fkl@ref"}
    assert not [name for name in task(evaluation).documents if name.endswith("@student")]
    back = compare(results)
    assert task(back).metrics == task(whole).metrics
    assert back.generated == 0


def test_a_metric_can_be_measured_on_one_position_set(compare: Compare, generated: Path) -> None:
    evaluation = compare(generated, metrics=("top1@ref",))
    assert teacher_metrics(evaluation) == {"top1@ref"}
    files = [file.name for file in evaluation.run.rglob("*.fidelity-*")]
    assert [name.partition("fidelity-")[2][:4] for name in files] == ["ref-"]
    assert set(task(evaluation).curves) == {"top1@ref"}


def test_a_bare_metric_name_means_all_its_position_sets(
    compare: Compare, generated: Path, whole: Evaluation
) -> None:
    evaluation = compare(generated, metrics=("acceptance",))
    names = {f"acceptance@{where}" for where in (*SETS, "student-ref")}
    assert teacher_metrics(evaluation) == names
    assert set(rows(evaluation)) == {*names, "rougeL"}  # every result has it
    for name in names:
        assert rows(evaluation)[name] == rows(whole)[name]


def test_further_metrics_are_added_to_the_result(
    compare: Compare, generated: Path, whole: Evaluation
) -> None:
    compare(generated, metrics=("top1@ref", "rougeL_teacher"))
    more = compare(generated, metrics=("fkl@student", "bleu_teacher"))
    names = {"top1@ref", "rougeL_teacher", "fkl@student", "bleu_teacher"}
    assert teacher_metrics(more) == names
    for name in names:
        assert rows(more)[name] == rows(whole)[name]
    before = contents(generated)
    again = compare(generated, metrics=("fkl@student",))
    assert teacher_metrics(again) == names
    assert contents(generated) == before


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        ("top1@studnt", "metric 'top1@studnt': choose from top1@ref"),
        ("rougeL_teacher@ref", "'rougeL_teacher' has no position set"),
        ("topp1", "unknown metric 'topp1': did you mean 'top1'"),
    ],
)
def test_an_unknown_set_or_metric_gives_a_one_line_error(
    compare: Compare, results: Path, metric: str, line: str
) -> None:
    before = contents(results)
    with pytest.raises(InputError, match=line):
        compare(results, metrics=(metric,))
    assert contents(results) == before


def test_an_unknown_set_is_reported_before_anything_is_generated(
    compare: Compare, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="choose from top1@ref"):
        compare(tmp_path / "results", metrics=("top1@studnt",), limit=1, max_new_tokens=2)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("metric", ["rougeL@ref", "exposure_error@ref"])
def test_a_position_set_on_a_text_metric_gives_a_one_line_error(
    compare: Compare, results: Path, metric: str
) -> None:
    with pytest.raises(InputError, match="has no position set"):
        compare(results, metrics=(metric,))


@pytest.mark.parametrize("key", ["undistilled", "teacher_cache"])
def test_keys_that_need_a_teacher_are_refused_without_one(
    compare: Compare, tmp_path: Path, key: str
) -> None:
    with pytest.raises(InputError, match=f"{key}= needs teacher="):
        compare(tmp_path, teacher=None, **{key: str(tmp_path)})
    with pytest.raises(InputError, match="teacher=cache:DIR reads a cache"):
        compare(tmp_path, teacher="cache:x", teacher_cache=tmp_path)


# Seeds and decoding


def test_a_single_sampled_seed_is_paired_with_a_second_seed_of_the_teacher(
    compare: Compare, tmp_path: Path, whole: Evaluation
) -> None:
    evaluation = compare(tmp_path, seeds=(10,), limit=2, metrics=FEW, max_new_tokens=6)
    seeds = {
        file.relative_to(tmp_path).parts[:2]: {
            json.loads(line)["seed"] for line in file.read_text().splitlines()
        }
        for file in tmp_path.glob("*/*/samples/dolly.jsonl")
    }
    assert sorted((name, *per_seed) for (name, _), per_seed in seeds.items()) == [
        ("student", 10),
        ("teacher", 10),
        ("teacher", 11),
    ]
    table = str(kdbench.table(results=tmp_path, tasks=("dolly",), published="none"))
    # The teacher's run with the student's seed is a row; its run with the second seed is not.
    assert table.count("  measured  ") == 2
    assert table.count("protocol minillm") == 1
    assert evaluation.generated == 2 + 4
    assert set(rows(evaluation)["rougeL_teacher"].per_seed) == {"10"}
    assert set(rows(evaluation)["top1@teacher"].per_seed) == {"10", "11"}
    assert rows(evaluation)["rougeL_teacher"].ceiling < 100


def test_greedy_decoding_uses_one_seed(compare: Compare, tmp_path: Path) -> None:
    evaluation = compare(
        tmp_path, protocol="greedy", seeds=None, limit=2, max_new_tokens=6, metrics=FEW
    )
    assert evaluation.generated == 2 + 2
    assert set(rows(evaluation)["rougeL"].per_seed) == {"0"}
    assert rows(evaluation)["rougeL_teacher"].ceiling == 100
    assert rows(evaluation)["top1@student"].seed_sd is None
    # Greedy tokens agree at least up to the first difference.
    assert rows(evaluation)["top1@student"].value >= rows(evaluation)["same_text"].value


@pytest.mark.parametrize("name", ["top1@student", "rougeL_teacher", "same_text"])
def test_seed_0_is_valid(compare: Compare, tmp_path: Path, name: str) -> None:
    evaluation = compare(tmp_path, seeds=(0,), limit=1, max_new_tokens=4, metrics=(name,))
    assert "0" in rows(evaluation)[name].per_seed


def test_shards_compare_once_all_are_complete(
    compare: Compare, tmp_path: Path, whole: Evaluation
) -> None:
    first = compare(tmp_path, shard="0/2")
    assert first.results == {}
    last = compare(tmp_path, shard="1/2")
    assert last.results == whole.results


# The floor


def test_the_undistilled_student_sets_the_floor(
    compare: Compare, generated: Path, world: World, changed_teacher: Any
) -> None:
    undistilled = changed_teacher("milder", weights=halved)
    options = {"metrics": (*FEW, "length_ratio")}
    evaluation = compare(generated, undistilled=undistilled, **options)
    floor = compare(generated, model=undistilled, **options)
    assert floor.generated == 0
    for name in teacher_metrics(evaluation):
        metric = rows(evaluation)[name]
        assert metric.floor == rows(floor)[name].value
        assert rows(floor)[name].floor is None
    metric = rows(evaluation)["acceptance@student"]
    expected = (metric.value - metric.floor) / (1 - metric.floor)
    assert metric.attained == pytest.approx(expected)
    assert rows(evaluation)["rougeL"].floor is None
    stored = json.loads((evaluation.run / "dolly.json").read_text())["metrics"]
    assert "floor" not in stored["rougeL"]
    assert stored["acceptance@student"]["floor"] == metric.floor
    before = contents(generated)
    compare(generated, undistilled=undistilled, **options)
    assert contents(generated) == before


def test_a_student_equal_to_its_floor_attains_0(
    compare: Compare, generated: Path, world: World
) -> None:
    evaluation = compare(generated, undistilled=str(world.student), metrics=("acceptance@student",))
    assert rows(evaluation)["acceptance@student"].attained == 0


# Tokenizers and vocabularies


def swapped(content: dict[str, Any]) -> None:
    """Swap two tokens that take part in no merge."""
    vocabulary = content["model"]["vocab"]
    vocabulary["!"], vocabulary['"'] = vocabulary['"'], vocabulary["!"]


def without_merges(content: dict[str, Any]) -> None:
    content["model"]["merges"] = []


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["kdbench", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code or 0


def test_with_different_tokenizers_some_token_metrics_are_measured_where_both_begin_a_token(
    world: World,
    results: Path,
    changed_teacher: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = changed_teacher("foreign", swapped)
    arguments = [f"model={world.student}", f"teacher={other}", f"data={world.data}", "tasks=dolly"]
    arguments += ["limit=3", "max_new_tokens=18", "seeds=10,20", "device=cpu", f"results={results}"]
    arguments.append("metrics=all")
    assert command(monkeypatch, "eval", *arguments) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "student and teacher have different tokenizers ('!' is " in printed
    assert "compared where a token of each begins, 100 % of the student's tokens" in printed
    content = json.loads(next(results.glob("student/*/dolly.json")).read_text())
    assert content["teacher"]["name"] == "foreign"
    for name in wanted_metrics(["all"]).names:
        metric, kind = content["metrics"][name], metrics.get(name.partition("@")[0])
        if getattr(kind, "across_tokenizers", name == "exposure_error"):
            assert metric["value"] is not None, name
        elif "@" in name or name in ("first_divergence", "same_text"):
            assert metric["value"] is None, name
            assert metric["reason"].startswith("student and teacher have different tokenizers")
    for name in ("rougeL_teacher", "bleu_teacher", "chrf_teacher", "length_ratio"):
        assert content["metrics"][name]["value"] is not None


def test_cached_scores_of_different_tokens_do_not_compare(
    compare: Compare, generated: Path, changed_teacher: Any, tmp_path: Path
) -> None:
    other = changed_teacher("letters", without_merges)
    evaluation = compare(
        generated,
        teacher=other,
        teacher_cache=tmp_path / "cache",
        metrics=("top1@ref", "rougeL_teacher"),
        limit=1,
        max_new_tokens=4,
    )
    assert rows(evaluation)["top1@ref"].value is None
    assert "the same vocabulary, other merges" in rows(evaluation)["top1@ref"].reason
    assert rows(evaluation)["rougeL_teacher"].value is not None


def with_more_tokens(folder: str, *tokens: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(tokens))
    tokenizer.save_pretrained(folder)


def padded(model: Any) -> None:
    """A head with eight further tokens of considerable probability."""
    torch.manual_seed(0)
    model.resize_token_embeddings(model.config.vocab_size + 8, mean_resizing=False)
    model.get_input_embeddings().weight.data[-8:] = model.get_input_embeddings().weight.data[10:18]


@pytest.mark.parametrize("known", [False, True])
def test_a_teacher_with_more_tokens_is_cut_to_the_shared_ones(
    compare: Compare, generated: Path, changed_teacher: Any, whole: Evaluation, known: bool
) -> None:
    """The tokenizer knows the further tokens, or the head is padded."""
    other = changed_teacher("wider", weights=padded)
    if known:
        with_more_tokens(other, *(f"<more{place}>" for place in range(8)))
    evaluation = compare(generated, teacher=other, metrics=("top1", "fkl@ref", "jsd@ref"))
    for name in ("top1@ref", "fkl@ref", "jsd@ref"):  # the softmax is over the shared tokens
        assert rows(evaluation)[name].value == pytest.approx(rows(whole)[name].value, abs=1e-5)
    cut = task(evaluation).teacher["cut_mass"]["ref"]
    assert cut["student"] == 0
    assert 0 < cut["teacher"] < 1
    left_out = task(evaluation).teacher.get("left_out", {})
    assert set(left_out) <= ({"teacher"} if known else set())


def test_a_student_with_more_tokens_is_cut_to_the_shared_ones(
    compare: Compare, results: Path, changed_teacher: Any, world: World
) -> None:
    other = changed_teacher("wider", weights=padded)
    with_more_tokens(other, *(f"<more{place}>" for place in range(8)))
    evaluation = compare(results, model=other, metrics=("top1@ref", "jsd@ref"))
    assert rows(evaluation)["top1@ref"].value == 1
    assert rows(evaluation)["jsd@ref"].value == pytest.approx(0, abs=1e-5)
    cut = task(evaluation).teacher["cut_mass"]["ref"]
    assert 0 < cut["student"] < 1
    assert cut["teacher"] == 0


def test_with_different_end_tokens_the_end_does_not_count(
    compare: Compare, generated: Path, changed_teacher: Any, whole: Evaluation
) -> None:
    other = changed_teacher("ending")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        file = Path(other) / name
        if file.exists():
            file.write_text(file.read_text().replace("<|eos|>", "<|pad|>"))
    evaluation = compare(
        generated, teacher=other, metrics=("top1@ref", "top1@student", "rougeL_teacher")
    )
    lines = {
        where: [
            json.loads(line)
            for file in run.rglob(f"*.fidelity-{where}-*")
            for line in file.read_text().splitlines()
        ]
        for where, run in (("ref", evaluation.run), ("student", evaluation.run))
    }
    before = {
        (where, line["id"], line["seed"]): line["n"]
        for where in lines
        for file in whole.run.rglob(f"*.fidelity-{where}-*")
        for line in map(json.loads, file.read_text().splitlines())
    }
    shorter = [
        before[where, line["id"], line["seed"]] - line["n"]
        for where in lines
        for line in lines[where]
    ]
    assert set(shorter) == {0, 1}  # texts cut by the limit have no end token
    assert rows(evaluation)["top1@ref"].value is not None
    assert rows(evaluation)["rougeL_teacher"].value is not None


def test_the_teacher_gets_prompts_in_its_own_format(
    compare: Compare, tmp_path: Path, changed_teacher: Any, world: World
) -> None:
    other = changed_teacher("chatty")
    (Path(other) / "chat_template.jinja").write_text("{{ messages[0]['content'] }}", "utf-8")
    few = {"protocol": "chat", "limit": 2, "max_new_tokens": 4, "metrics": ("fkl@ref",)}
    same = compare(tmp_path, model=str(world.teacher), **few)
    assert rows(same)["fkl@ref"].value == pytest.approx(0, abs=1e-6)
    evaluation = compare(tmp_path, model=str(world.teacher), teacher=other, **few)
    assert rows(evaluation)["fkl@ref"].value > 0.01


def test_without_a_loaded_model_only_text_metrics_are_measured(
    compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
    from kdbench_plugin_example.echo import Echo

    backends.names()
    monkeypatch.setitem(backends._parts, "echo", Echo)
    evaluation = compare(
        tmp_path, backend="echo", metrics=(*FEW, "exposure_error", "answer_agreement")
    )
    for name in teacher_metrics(evaluation):
        metric = rows(evaluation)[name]
        if "@" in name or name == "exposure_error":
            assert metric.value is None
            assert metric.reason == "backend=echo does not show probabilities"
    assert rows(evaluation)["same_text"].value == 1  # both echo the prompt
    assert rows(evaluation)["rougeL_teacher"].value is not None
    before = contents(tmp_path)
    compare(tmp_path, backend="echo", metrics=(*FEW, "exposure_error", "answer_agreement"))
    assert contents(tmp_path) == before


# Third-party metrics


class Sure(TokenMetric):
    """The student's probability of the response's tokens."""

    name = "sure"
    unit = "rate"
    direction = "higher"
    sets: ClassVar = ("ref", "student")
    headline = "ref"

    def values(self, at: Positions) -> torch.Tensor:
        return at.target_log_q.exp()


class Shorter(PairMetric):
    """Whether the student's response is shorter than the teacher's."""

    name = "shorter"
    unit = "rate"
    direction = "none"
    perfect = 0.0

    def score(self, student: Answer, teacher: Answer) -> float:
        return float(len(student.text) < len(teacher.text))


def test_a_plug_ins_metric_is_measured_without_generating(
    compare: Compare, results: Path, with_metric: Callable, whole: Evaluation
) -> None:
    with_metric(Sure)
    with_metric(Shorter)
    evaluation = compare(results, metrics=("sure", "shorter"))
    assert evaluation.generated == 0
    assert teacher_metrics(evaluation) == teacher_metrics(whole) | {
        "sure@ref",
        "sure@student",
        "shorter",
    }
    sure, shorter = rows(evaluation)["sure@ref"], rows(evaluation)["shorter"]
    assert (sure.unit, sure.direction, sure.version) == ("rate", "higher", "1")
    assert 0 < sure.value < 1
    assert (shorter.unit, shorter.direction, shorter.version) == ("rate", "none", "1")
    assert shorter.ceiling == 0
    assert set(shorter.per_seed) == {"10", "20"}
    assert rows(evaluation)["top1@ref"] == rows(whole)["top1@ref"]
    assert compare(results).results == evaluation.results


def test_a_new_version_is_measured_again_without_generating(
    compare: Compare, results: Path, with_metric: Callable
) -> None:
    with_metric(Sure)
    with_metric(Shorter)
    first = compare(results, metrics=("sure", "shorter"))

    class NewSure(Sure):
        version = 2

        def values(self, at: Positions) -> torch.Tensor:
            return 1 - super().values(at)

    class NewShorter(Shorter):
        version = 3

        def score(self, student: Answer, teacher: Answer) -> float:
            return 1 - super().score(student, teacher)

    with_metric(NewSure)
    with_metric(NewShorter)
    again = compare(results, metrics=("sure", "shorter"))
    assert again.generated == 0
    for name, version in (("sure@ref", "2"), ("sure@student", "2"), ("shorter", "3")):
        assert rows(again)[name].version == version
        assert rows(again)[name].value == pytest.approx(1 - rows(first)[name].value, abs=2e-6)
    assert rows(again)["top1@ref"] == rows(first)["top1@ref"]


class Late(TokenMetric):
    """A metric that counts from the second position and has a curve."""

    name = "late"
    unit = "rate"
    direction = "none"
    sets: ClassVar = ("ref",)
    curve = True

    def values(self, at: Positions) -> torch.Tensor:
        values = at.target_log_q.exp()
        return values.where(at.targets != 1, float("nan"))


def test_a_curve_leaves_out_uncounted_positions(
    compare: Compare, results: Path, with_metric: Callable
) -> None:
    with_metric(Late)
    evaluation = compare(results, metrics=("late",))
    assert rows(evaluation)["late@ref"].value is not None
    assert None not in task(evaluation).curves["late@ref"]["value"]


class Endless(PooledTokenMetric):
    """A pooled metric whose sum can be infinite."""

    name = "endless"
    unit = "nats"
    direction = "none"
    sets: ClassVar = ("ref",)

    def sums(self, at: Positions) -> torch.Tensor:
        return torch.full((len(at.targets), 1), float("inf"))

    def value(self, sums: Any) -> Any:
        return sums[..., 0]


def test_an_infinite_pooled_sum_has_no_value(
    compare: Compare, results: Path, with_metric: Callable
) -> None:
    with_metric(Endless)
    evaluation = compare(results, metrics=("endless",))
    assert rows(evaluation)["endless@ref"].value is None
    assert rows(evaluation)["endless@ref"].reason
