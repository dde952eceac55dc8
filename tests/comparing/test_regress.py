"""The gate on the toy world: verdicts, exit codes, baselines."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gate_runs import PROTOCOL, Put, noisy
from safetensors.torch import load_file, save_file
from scipy import stats
from typer.testing import CliRunner

import kdbench
from kdbench.cli import verbs as cli
from kdbench.cli.app import guarded
from kdbench.comparing import regress as module
from kdbench.comparing.baseline import BaselineOrigin, read_baseline, write_baseline
from kdbench.comparing.scores import read_run
from kdbench.comparing.settings import RegressSettings
from kdbench.comparing.tolerance import parse_tolerances
from kdbench.config import EvalSettings, build
from kdbench.errors import InputError
from kdbench.toy.models import World

Verb = Callable[..., int]
SMALL = ("tasks=dolly,vicuna", "seeds=10,20", "max_new_tokens=24")


def noised(world: World, folder: Path, strength: float) -> Path:
    """The teacher with noise on its weights, in units of each tensor's own spread."""
    shutil.copytree(world.teacher, folder)
    file = folder / "model.safetensors"
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: weight + strength * weight.std() * torch.randn(weight.shape, generator=generator)
        for name, weight in load_file(file).items()
    }
    save_file(weights, file, metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def place(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with baselines: `main` of the teacher, `weak` of the student, which is worse."""
    folder = tmp_path_factory.mktemp("gate")
    for model, name in ((world.teacher, "main"), (world.student, "weak")):
        arguments = [f"model={model}", f"baseline={name}", "--update", "reason=the first", *SMALL]
        assert run(world, folder, *arguments) == 0
    return folder


def run(world: World, folder: Path, *arguments: str) -> int:
    where = [f"data={world.data}", f"results={folder}/results", f"gates={folder}/gates"]
    parsed = guarded(cli._regress, [*arguments, *where, "device=cpu"])
    assert isinstance(parsed, int)
    return parsed


def test_itself_is_unchanged_and_not_measured_again(
    world: World, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {file: file.stat().st_mtime_ns for file in place.glob("results/*/*/*.json")}
    arguments = [f"model={world.teacher}", "baseline=main", "tolerance=rougeL:0"]
    assert run(world, place, *arguments) == 0
    out = capsys.readouterr().out
    assert out.count("  unchanged\n") == 3
    assert out.endswith("PASS: 3 rows: 3 unchanged\n")
    changed = {file.name for file, then in files.items() if file.stat().st_mtime_ns != then}
    assert changed <= {"run.json"}  # its status is set again


@pytest.mark.parametrize(
    ("strength", "allowed", "verdicts", "code"),
    [
        (0.001, "rougeL:10", {"unchanged"}, 0),
        (0.15, "rougeL:10", {"unchanged", "inconclusive", "worse", "improved"}, 0),
        (1.0, "rougeL:1", {"regressed"}, 1),
    ],
)
def test_noise_on_the_weights(
    world: World, place: Path, tmp_path: Path, strength: float, allowed: str,
    verdicts: set[str], code: int,
) -> None:  # fmt: skip
    model = noised(world, tmp_path / f"noise{strength}", strength)
    arguments = [f"model={model}", "baseline=main", f"tolerance={allowed}"]
    report = tmp_path / "report.json"
    assert run(world, place, *arguments, f"json={report}") == code
    rows = json.loads(report.read_text())["rows"]
    assert set(rows) == {"dolly:rougeL", "vicuna:rougeL", "AVG:rougeL"}
    verdict_of = {name: row["verdict"] for name, row in rows.items()}
    assert verdict_of["AVG:rougeL"] in verdicts
    if code == 0:
        assert set(verdict_of.values()) <= verdicts


def test_the_teacher_is_better(world: World, place: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert run(world, place, f"model={world.teacher}", "baseline=weak", f"json={report}") == 0
    average = json.loads(report.read_text())["rows"]["AVG:rougeL"]
    assert average["verdict"] == "improved"


def test_a_baseline_stores_its_origin_and_the_scores_of_the_run(place: Path) -> None:
    file = place / "gates" / "main.json"
    content = json.loads(file.read_text())
    assert content["written"]["why"] == "the first"
    assert content["written"]["who"]
    assert re.fullmatch(r"20\d\d-.*\+00:00", content["written"]["when"])
    assert content["model"]["name"] == "teacher"
    assert content["tolerance"] == "rougeL:0.5"
    (folder,) = place.glob("results/teacher/*")
    stored, kept = read_run(folder), read_baseline(file)
    for task in ("dolly", "vicuna"):
        assert kept.tasks[task].ids == stored.tasks[task].ids
        ours, theirs = (side.tasks[task].metrics["rougeL"].means for side in (kept, stored))
        assert (ours == theirs).all()
        assert kept.tasks[task].fingerprint == stored.tasks[task].fingerprint


def test_equal_baselines_are_equal_bytes(put: Put, tmp_path: Path) -> None:
    side = read_run(put("a", {"dolly": {"rougeL": noisy(5, 1)}}))
    for name in ("one", "two"):
        path = tmp_path / f"{name}.json"
        write_baseline(
            path, side, parse_tolerances("rougeL:1%"), BaselineOrigin("me", "now", "why")
        )
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("seeds=10",), "dolly: protocol.seeds differs: 10,20 in the base, 10 in the new run"),
        (
            ("limit=4",),
            "dolly: limit differs: none in the base, 4 in the new run; set allow_partial",
        ),
        (("temperature=0.5",), "dolly: protocol.temperature differs: 1.0 in the base, 0.5"),
        (("protocol=greedy",), "dolly: protocol.max_new_tokens differs"),
        (("tasks=unnatural",), "tasks=unnatural: main has no such task: known: dolly, vicuna"),
        (("baseline=mian",), "baseline=mian: is not a run folder, a model in results="),
    ],
)
def test_incomparable_settings_are_reported_before_anything_is_generated(
    world: World, place: Path, tmp_path: Path, arguments: tuple[str, ...], complaint: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def generate(*_: object) -> None:
        raise AssertionError("generated")

    monkeypatch.setattr("kdbench.evaluation.evaluate", generate)
    named = [] if "baseline=mian" in arguments else ["baseline=main"]
    junit = tmp_path / "j.xml"
    code = run(world, place, f"model={world.teacher}", *named, *arguments, f"junit={junit}")
    assert code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"kdbench: {complaint}")
    assert captured.err.count("\n") == 1
    assert 'errors="1"' in junit.read_text()


def test_a_crash_is_exit_code_3_and_no_regression(
    world: World, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def crash(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("kdbench.evaluation.evaluate", crash)
    markdown = tmp_path / "c.md"
    arguments = [f"model={world.teacher}", "baseline=main", f"markdown={markdown}"]
    assert run(world, place, *arguments) == 3
    captured = capsys.readouterr()
    assert "(traceback in " in captured.err
    assert captured.out.endswith("NO VERDICT: the run failed: ZeroDivisionError: of all things\n")
    assert "of all things" in markdown.read_text()
    assert markdown.read_text().startswith("<!-- kdbench regress: main -->")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("model=m", "baseline=b", "--update"), "reason= is missing: --update needs the reason"),
        (("model=m", "baseline=b", "--update", "reason= "), "reason= is missing"),
        (("model=m", "baseline=b", "reason=x"), "reason= is only for --update"),
        (("baseline=b",), "give either model=CHECKPOINT to measure, or run=FOLDER"),
        (
            ("model=m", "run=r", "baseline=b"),
            "give either model=CHECKPOINT to measure, or run=FOLDER",
        ),
        (("model=m",), "baseline= is missing"),
        (("model=m", "baseline=b", "shard=0/2"), "shard= is only for kdbench eval"),
        (("model=m", "baseline=b", "tolerance=x"), "tolerance=x: 'x' is not METRIC:NUMBER"),
        (("model=m", "baseline=b", "alpha=0"), "alpha=0"),
        (("model=m", "baseline=b", "tolerence=1"), "unknown key 'tolerence': did you mean"),
    ],
)
def test_bad_words(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(cli._regress, list(arguments)) == 2
    assert capsys.readouterr().err.startswith(f"kdbench: {complaint}")


def test_a_stored_run_is_gated_and_becomes_a_baseline(put: Put, tmp_path: Path) -> None:
    scores = {"dolly": {"rougeL": noisy(30, 20), "cut_off": noisy(30, 0)}}
    old = put("old", scores)
    new = put("new", {"dolly": {**scores["dolly"], "rougeL": scores["dolly"]["rougeL"] - 2}})
    gates = tmp_path / "gates"
    options = {"baseline": "g", "gates": gates, "results": tmp_path / "results"}
    done = kdbench.regress(
        run=old, update=True, reason="why", tolerance="rougeL:1,cut_off:0.1", **options
    )
    assert (done.comparison, done.written) == (None, gates / "g.json")
    assert "The run does not show single seeds" in str(done.plan)
    comparison = kdbench.regress(run=new, **options).comparison
    # The baseline's own tolerance, and no more metrics than that has.
    assert [row.verdict for row in comparison.rows] == ["regressed", "unchanged"]
    assert comparison.base == "g (old@old00000)"
    with pytest.raises(InputError, match="tolerance=empty:…: no such metric: known: cut_off, rou"):
        kdbench.regress(run=new, tolerance="empty:0", **options)
    with pytest.raises(InputError, match="empty of 'dolly' has no score per prompt"):
        kdbench.regress(run=new, update=True, reason="why", tolerance="empty:0", **options)
    failed = put("failed", scores, status="failed")
    with pytest.raises(
        InputError, match="failed: the run's status is 'failed'; only a complete run can become"
    ):
        kdbench.regress(run=failed, update=True, reason="why", **options)
    assert kdbench.regress(run=failed, **options).comparison.exit_code == 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.pop("kind"), "not a gate's baseline"),
        (lambda c: c.pop("scores"), "malformed baseline: 'scores'"),
        (
            lambda c: c["scores"]["dolly"]["rougeL"].pop(),
            "'dolly' does not have one score for each",
        ),
        (lambda c: c.update(tolerance="rougeL"), "malformed baseline: 'rougeL' is not METRIC"),
        (lambda c: c["metrics"]["dolly:rougeL"].pop("unit"), "malformed baseline: "),
        (lambda c: c.update(schema=9), "schema 9; this kdbench reads schema 1"),
        (lambda c: c.update(fingerprints={}), "malformed baseline: 'fingerprints': "),
        (lambda c: c["fingerprints"].update(dolly=[]), "'fingerprints.dolly': "),
        (lambda c: c["fingerprints"]["dolly"].pop("protocol"), "'fingerprints.dolly.protocol': "),
        (lambda c: c["fingerprints"]["dolly"].update(task="x"), "the fingerprint of 'dolly' is of"),
        (lambda c: c["scores"]["dolly"].update(id=["a"] * 5), "has a document id twice"),
        (lambda c: c["scores"]["dolly"].update(id=[1, 2, 3, 4, 5]), "has no list of document ids"),
        (lambda c: c["scores"]["dolly"].update(id=None), "'scores.dolly.id"),
        (lambda c: c["scores"]["dolly"].update(rougeL=None), "'scores.dolly.rougeL"),
        (lambda c: c["scores"]["dolly"].update(rougeL=[None] * 5), "'dolly' has no score of rou"),
        (lambda c: c["scores"]["dolly"].update(rougeL=[1e308] * 5), "neither null nor a number"),
        (lambda c: c["scores"]["dolly"].update(rougeL=["1"] * 5), "neither null nor a number"),
        (lambda c: c["scores"]["dolly"].update(rougeL=[True] * 5), "neither null nor a number"),
        (lambda c: c["scores"]["dolly"].pop("rougeL"), "has no rougeL, which has a tolerance"),
        (lambda c: c["metrics"]["dolly:rougeL"].update(direction="sideways"), "direction': "),
        (lambda c: c["metrics"]["dolly:rougeL"].update(unit=5), "unit': "),
        (lambda c: c["metrics"]["dolly:rougeL"].update(unit=["a"]), "unit': "),
        (lambda c: c["metrics"]["dolly:rougeL"].update(version=9), "version': "),
        (lambda c: c.update(model="x"), "'model': "),
        (lambda c: c.update(model={"name": 5, "sha256": None}), "'model.name': "),
        (lambda c: c.update(limit="4"), "'limit': "),
        (lambda c: c.update(tolerance=5), "'tolerance': "),
    ],
)
def test_broken_baselines(
    put: Put, tmp_path: Path, change: Callable[[dict], object], complaint: str
) -> None:
    side = read_run(put("a", {"dolly": {"rougeL": noisy(5, 1)}}))
    path = tmp_path / "g.json"
    write_baseline(path, side, parse_tolerances("1"), BaselineOrigin("me", "now", "why"))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: .*{re.escape(complaint)}") as e:
        read_baseline(path)
    assert "\n" not in str(e.value)


def test_settings_default_to_those_of_the_baseline(put: Put, tmp_path: Path) -> None:
    protocol = {**PROTOCOL, "name": "greedy+max_new_tokens=9", "max_new_tokens": 9, "seeds": [0]}
    folder = put("a", {"dolly": {"rougeL": noisy(5, 1)}}, {"protocol": protocol}, limit=5)
    settings = build(RegressSettings, {"model": "m", "baseline": "a", "top_k": 3, "name": "n"})
    wanted = module.eval_settings(settings, read_run(folder))
    assert (wanted.model, wanted.name, wanted.tasks, wanted.limit) == ("m", "n", ("dolly",), 5)
    assert wanted.metrics == ("rougeL",)
    assert (wanted.protocol, wanted.max_new_tokens, wanted.top_k) == ("greedy", 9, 3)
    chosen = {"protocol": "minillm", "tasks": "vicuna", "metrics": "empty", "limit": None}
    different = build(RegressSettings, {"model": "m", "baseline": "a", **chosen})
    wanted = module.eval_settings(different, read_run(folder))
    assert (wanted.protocol, wanted.max_new_tokens) == ("minillm", None)
    assert (wanted.tasks, wanted.metrics, wanted.limit) == (("vicuna",), ("empty",), None)
    outside = {**PROTOCOL, "name": "external"}
    texts = read_run(put("b", {"dolly": {"rougeL": noisy(5, 1)}}, {"protocol": outside}))
    with pytest.raises(InputError, match="b: its texts were generated outside kdbench"):
        module.eval_settings(settings, texts)


def test_a_first_baseline_has_the_defaults_of_eval() -> None:
    options = {"model": "m", "run": None, "baseline": "b", "update": True, "reason": "first"}
    settings = build(RegressSettings, {**options, "protocol": None})
    wanted, plain = module.eval_settings(settings, None), build(EvalSettings, {"model": "m"})
    assert (wanted.protocol, wanted.tasks, wanted.limit) == ("minillm", plain.tasks, None)
    assert wanted.metrics == ("rougeL",)


def test_the_help_shows_the_defaults_that_take_effect() -> None:
    result = CliRunner().invoke(cli.app, ["regress", "--help"])
    assert result.exit_code == 0
    out = " ".join(result.output.split())
    assert "json= JSON file" in out
    assert "(default: the baseline's, with its overrides; with --update minillm)" in out
    assert "(default minillm)" not in out


def test_no_key_shadows_an_attribute() -> None:
    code = "import kdbench.comparing.settings"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    assert build(RegressSettings, {"run": "r", "baseline": "b", "json": "n"}).json_file == Path("n")
    with pytest.raises(InputError, match="unknown key 'json_file': did you mean 'json'"):
        build(RegressSettings, {"run": "r", "baseline": "b", "json_file": "n"})


def test_the_command_exits_with_the_code(put: Put, tmp_path: Path) -> None:
    scores = {"dolly": {"rougeL": noisy(40, 20)}}
    a = put("a", scores)
    b = put("b", {"dolly": {"rougeL": scores["dolly"]["rougeL"] - 2}})
    assert "=" not in str(a)
    c = tmp_path / "results" / "c" / "seeds=1"
    shutil.copytree(b, c)
    for new, code in ((a, 0), (b, 1), (c, 1), ("nowhere", 2)):
        command = [sys.executable, "-m", "kdbench", "compare", str(a), str(new)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert ("FAIL:" in done.stdout) == (code == 1)
        assert ("PASS:" in done.stdout) == (code == 0)


def test_an_update_prints_the_plan_of_its_gate(
    put: Put, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = put(
        "old", {"dolly": {"rougeL": noisy(30, 20)}, "x": {"rougeL": noisy(30, 20, 1)}}, texts="a"
    )
    gate = [f"run={old}", "baseline=g", "--update", "reason=why", f"gates={tmp_path}"]
    assert guarded(cli._regress, [*gate, "tolerance=rougeL:0.1"]) == 0
    out = capsys.readouterr().out
    plan = kdbench.plan(run=str(old), tolerance="rougeL:0.1", seeds="2,4,8")
    assert out.startswith(f"{tmp_path / 'g.json'}: written\n\n{plan}\n")
    assert "texts of 60 prompts are in the baseline; texts=0 keeps none\n" in out
    row = max(plan.rows, key=lambda row: row.sees[2])
    assert out.endswith(
        "expect NOT DECIDED: 3 of 3 rows cannot see the loss that they allow, least of all: "
        f"{row.task} rougeL sees a loss of {row.sees[2]:.2f} with 30 prompts, allows 0.10, needs "
        f"{row.prompts[2]} prompts\n"
    )
    assert guarded(cli._regress, [*gate, "tolerance=rougeL:50", "texts=0", "tasks=x"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("no texts are in the baseline\nthe gate sees the losses that it allows\n")
    assert list(read_baseline(tmp_path / "g.json").tasks) == ["x"]


def test_damaged_samples_keep_no_texts(put: Put, tmp_path: Path) -> None:
    old = put("old", {"dolly": {"rougeL": noisy(5, 20)}}, texts="a")
    (old / "samples" / "dolly.jsonl").write_text("{}\n")
    gate = {"run": old, "baseline": "g", "update": True, "reason": "why", "gates": tmp_path}
    with pytest.raises(InputError, match=r"dolly.jsonl:1: 'id' is missing; texts=0 keeps no texts"):
        kdbench.regress(**gate)
    assert not list(tmp_path.glob("*.json"))
    assert kdbench.regress(**gate, texts=0).written == tmp_path / "g.json"


def test_a_metric_without_a_better_direction_is_no_baseline(put: Put, tmp_path: Path) -> None:
    old = put("old", {"dolly": {"response_length": noisy(5, 20)}})
    with pytest.raises(InputError, match="neither direction of this metric is better"):
        kdbench.regress(
            run=old, baseline="g", update=True, reason="w", gates=tmp_path,
            tolerance="response_length:1",
        )  # fmt: skip


def test_a_run_without_single_seeds_has_a_plan_for_unrelated_scores(
    put: Put, tmp_path: Path
) -> None:
    scores = noisy(30, 20)
    scores[:, 1] = scores[:, 0]
    old = put("old", {"dolly": {"rougeL": scores}})
    plan = kdbench.regress(
        run=old, baseline="g", update=True, reason="why", gates=tmp_path, tolerance="rougeL:0.1"
    ).plan
    (row,) = plan.rows
    z = stats.norm.isf(0.025) + stats.norm.ppf(0.8)
    sees = z * np.sqrt(2 * scores[:, 0].var(ddof=1) / 30)
    assert row.sees == {2: pytest.approx(sees)}
    assert row.prompts[2] == pytest.approx(30 * (sees / 0.1) ** 2, abs=1)
    one = put("one", {"dolly": {"rougeL": scores[:1]}})
    done = kdbench.regress(run=one, baseline="g", update=True, reason="why", gates=tmp_path)
    assert done.plan is None
    assert done.notes[1] == (
        "what the gate can see is unknown: one: a plan needs at least two prompts of 'dolly'"
    )
