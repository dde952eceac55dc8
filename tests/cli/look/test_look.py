"""`kdbench ls`, `kdbench show`, and the lists that explain one part."""

import json
from pathlib import Path

import pytest
from outcomes import run

from kdbench.generate import backends
from kdbench.methods import methods
from kdbench.metrics import metrics
from kdbench.protocol import PROTOCOLS
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult
from kdbench.task import known_tasks

RECORD = {
    "model": {"name": "GKD", "parameters": 115_008, "sha256": "ab" * 32, "dtype": "float32"},
    "method": "GKD",
    "setting": "toy world",
    "protocol": {"name": "minillm+max_new_tokens=64", "max_new_tokens": 64, "seeds": [1, 2]},
    "limit": 20,
    "status": "complete",
    "created": "2026-01-02T03:04:05+00:00",
    "backend": {"name": "hf", "batch_size": 8},
    "environment": {"gpus": [], "python": "3.11", "packages": {"torch": "2.9"}},
    "tasks": {
        "dolly": {"generated_samples": 40, "generated_tokens": 900, "generated_seconds": 3.0},
        "vicuna": {},
    },
}


def metric(value: float, unit: str = "points") -> MetricResult:
    per_seed = {"1": value - 1, "2": value + 1}
    return MetricResult(value, value - 3, value + 4, 1.41421, per_seed, 20, unit, "higher", "1")


def write(folder: Path, done: dict[str, float], **fields: object) -> Path:
    """A run with a ROUGE-L and an acceptance for each task."""
    run_folder = RunFolder(folder)
    run_folder.write_run({**RECORD, **fields})
    for task, value in done.items():
        fingerprint = {"task": task, "protocol": RECORD["protocol"]}
        numbers = {"rougeL": metric(value), "acceptance@student": metric(value / 100, "rate")}
        documents = {"id": ["a"], "rougeL": [value]}
        teacher = {"name": "big", "sha256": "cd" * 32}
        result = TaskResult(fingerprint, numbers, documents, {"rows": 20}, 0, "rougeL", teacher)
        run_folder.write_task(result)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "results/demo/GKD/minillm-1", {"dolly": 40.0, "vicuna": 50.0})
    return tmp_path


def out(*words: str) -> str:
    done = run(list(words))
    assert done.code == 0, done
    return done.out


def test_runs_are_listed_with_what_is_done(place: Path) -> None:
    write(
        place / "results/old/SFT/greedy-2",
        {"dolly": 30.0},
        model={"name": "SFT"},
        method=None,
        created="2026-01-01T00:00:00+00:00",
        limit=None,
        status="running",
    )
    lines = [line.split() for line in out("ls", "runs").splitlines()]
    assert lines[0] == [
        "model",
        "method",
        "protocol",
        "tasks",
        "limit",
        "day",
        "score",
        "state",
        "run",
    ]
    protocol = "minillm+max_new_tokens=64"
    assert lines[1] == [
        *("GKD", "GKD", protocol, "2/2", "20", "2026-01-02", "rougeL", "45.00", "complete"),
        "demo/GKD/minillm-1",
    ]
    assert lines[2] == [
        *("SFT", protocol, "1/2", "all", "2026-01-01", "rougeL", "30.00", "partial"),
        "old/SFT/greedy-2",
    ]
    assert len(lines) == 3
    assert "SFT" not in out("ls", "runs", "model=gk")
    assert out("ls", "runs", "limit=1").splitlines()[-1] == "and 1 more"


def test_all_of_it_is_listed_in_sections(place: Path) -> None:
    text = out("ls")
    for title in ("runs:", "recipes:", "tables:", "baselines:"):
        assert f"{title}\n" in text
    assert "toy/gkd" in text
    assert "toy world" in text
    assert "no baselines in baselines/gates" in text
    assert out("ls", "tables").splitlines() == [
        line[2:] for line in text.partition("tables:\n")[2].partition("\n\n")[0].splitlines()
    ]


def test_lists_fit_the_width_and_are_json(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = out("ls")
    monkeypatch.setenv("COLUMNS", "70")
    lines = out("ls").splitlines()
    assert max(map(len, lines)) <= 70 < max(map(len, whole.splitlines()))
    assert lines[1].split() == ["model", "tasks", "day", "score", "state", "run"]
    found = json.loads(out("ls", "--json"))
    assert [one["run"] for one in found["runs"]] == ["demo/GKD/minillm-1"]
    assert found["runs"][0]["score"] == 45.0
    assert {"name": "toy", "title": "toy world"} in found["tables"]
    assert found["baselines"] == []
    assert set(json.loads(out("ls", "runs", "--json"))) & {"runs", "recipes"} == {"runs"}


def test_a_broken_run_and_a_hostile_name_are_lines(place: Path) -> None:
    (place / "results/x/y").mkdir(parents=True)
    (place / "results/x/y/run.json").write_text("[]")
    write(place / "results/z/minillm-9", {}, method="\x1b[31mred\u202e", tasks={})
    text = out("ls", "runs")
    assert "x/y: broken: results/x/y/run.json: schema None" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_without_results_the_way_out_is_named(place: Path) -> None:
    assert out("ls", "runs", "model=nobody").startswith("no runs of 'nobody' in results; kdbench")
    refused = run(["ls", "runs", "results=resuts"])
    assert refused.code == 2
    assert refused.err == "kdbench: results=resuts: no such folder; did you mean 'results'?\n"
    assert run(["ls", "rnus"]).code == 2


@pytest.mark.parametrize("name", ["GKD", "demo/GKD", "minillm-1", "results/demo/GKD/minillm-1"])
def test_a_run_is_shown_whole(place: Path, name: str) -> None:
    text = out("show", name)
    for fact in (
        "state       complete, 2 of 2 tasks",
        "method      GKD",
        "setting     toy world",
        "prompts     first 20 of each task",
        "teacher     big, sha256 cdcdcdcdcdcd",
        "generated   40 samples, 900 tokens, 3 s",
        "machine     CPU, Python 3.11, torch 2.9",
        "measured    2026-01-02 03:04:05",
        "protocol    minillm+max_new_tokens=64: max_new_tokens=64 seeds=1,2",
    ):
        assert f"  {fact}\n" in text
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "dolly 20 40.00 [37.00, 44.00] ± 1.41" in rows
    assert "vicuna 20 50.00 [47.00, 54.00] ± 1.41" in rows
    assert "rougeL 45.00 2 points higher is better" in rows
    assert text.splitlines()[-1] == (
        "  kdbench eval model=path/to/GKD teacher=path/to/big data=path/to/data tasks=dolly,vicuna "
        "limit=20 method=GKD 'setting=toy world' max_new_tokens=64"
    )


def test_the_metrics_of_a_run_are_chosen(place: Path) -> None:
    text = out("show", "GKD", "metrics=acceptance@student")
    assert "0.400 [-2.600, 4.400] ± 1.414\n" in text
    refused = run(["show", "GKD", "metrics=rouge"])
    assert "metrics=rouge: the run has no such metric: did you mean 'rougeL'?" in refused.err


def test_an_unfinished_run_names_what_is_missing(place: Path) -> None:
    write(place / "results/a/b", {"dolly": 1.0}, status="running")
    assert "not finished, 1 of 2 tasks (missing: vicuna)" in out("show", "a/b")
    write(place / "results/c/d", {}, status="running")
    assert "no task is done yet; run the command again to resume" in out("show", "c/d")


def test_a_baseline_a_recipe_and_a_table_are_shown(place: Path) -> None:
    gate = place / "baselines/gates/main.json"
    gate.parent.mkdir(parents=True)
    metric_of_gate = {"unit": "points", "direction": "higher", "version": "1"}
    content = {
        "schema": 1,
        "kind": "gate",
        "model": {"name": "student", "sha256": None},
        "written": {"who": "me", "when": "2026-01-01T00:00:00+00:00", "why": "a first one"},
        "limit": None,
        "tolerance": "rougeL:0.5",
        "fingerprints": {"dolly": {"task": "dolly", "protocol": {"name": "minillm", "seeds": [1]}}},
        "metrics": {"dolly:rougeL": metric_of_gate},
        "scores": {"dolly": {"id": ["a", "b"], "rougeL": [1.0, 2.0]}},
    }
    gate.write_text(json.dumps(content))
    for name in ("main", "baselines/gates/main.json"):
        text = out("show", name)
        assert "  written     2026-01-01 by me\n" in text
        assert text.endswith("dolly        2  rougeL\n")
    assert "rougeL:0.5  a first one" in out("ls", "baselines")
    recipe = out("show", "toy/gkd")
    assert "  method: gkd\n" in recipe
    assert "  learning_rate: 1.0e-3\n" in recipe  # of the file that it extends
    assert "  title: toy world\n" in out("show", "toy")
    (place / "mine.yaml").write_text("extends: other.yaml\n")
    (place / "other.yaml").write_text("extends: toy  # bundled\ntitle: mine\n")
    shown = out("show", "mine.yaml")
    assert "\n      title: mine\n" in shown
    assert "\n          title: toy world\n" in shown
    (place / "other.yaml").write_text("extends: mine.yaml\n")
    assert out("show", "mine.yaml").count("extends") == 2  # and no further in a circle


def test_show_names_the_nearest_and_explains_parts(place: Path) -> None:
    refused = run(["show", "minilm-1"])
    assert refused.code == 2
    assert "did you mean" in refused.err
    assert out("show", "acceptance") == out("metrics", "acceptance")
    assert run(["show"]).err.startswith("kdbench: run= is missing: run (folder, model")


@pytest.mark.parametrize(
    ("verb", "names"),
    [
        ("metrics", metrics.names()),
        ("methods", methods.names()),
        ("protocols", list(PROTOCOLS)),
        ("tasks", list(known_tasks())),
        ("backends", [name for name in backends.names() if name in ("hf", "vllm", "lm_eval")]),
    ],
)
def test_every_part_is_explained_within_80_columns(verb: str, names: list[str]) -> None:
    for name in names:
        text = out(verb, name)
        assert text.startswith(f"{name}: "), name
        assert f"Example\n  kdbench {'train' if verb == 'methods' else 'eval'} " in text, name
        lines = [line for line in text.splitlines() if not line.startswith("  kdbench ")]
        assert max(map(len, lines)) <= 80 or verb == "tasks", name


def test_the_example_of_a_builder_with_rules_names_one() -> None:
    assert "Example\n  kdbench build select by=random data=" in out("builders", "select")


def test_what_an_explanation_holds() -> None:
    text = out("metrics", "fkl")
    assert "unit          nats; lower is better\n" in text
    assert "headline      fkl@teacher\n" in text
    assert "Leviathan et al. 2023" in text
    assert "pass@k" in out("metrics", "pass")
    text = out("methods", "gkd")
    assert (
        "  student_fraction=  share of batches that are student samples (number, default\n" in text
    )
    assert "arXiv 2306.13649" in text
    assert "recipes     gemma3-270m/gkd, gpt2-120m/gkd, smollm2-135m/gkd, toy/gkd\n" in text
    required = out("methods", "mst")
    assert (
        "teachers=         checkpoints of the teachers, two or more (value, required)" in required
    )
    assert required.endswith(" data=path/to/data teachers=…\n")
    assert "default {}\\n\\n)" in out("methods", "sdft")
    assert "max_prompt_tokens=none  Length at which prompts are cut" in out("protocols", "chat")
    assert "skills_arithmetic" in out("tasks", "skills")


def test_a_family_of_methods_is_listed_alone() -> None:
    text = out("methods", "federated")
    names = [line.split("  ")[0] for line in text.splitlines() if line[:1].strip()]
    assert names[:3] == ["Federated", "edgefd", "knfu"]
    assert names[3].startswith("kdbench methods NAME explains one")
    assert "other" not in text.rpartition("family: ")[2]
    assert run(["methods", "other"]).code == 2  # no method is in it


@pytest.mark.parametrize("verb", ["metrics", "methods", "protocols", "tasks", "backends"])
def test_an_unknown_part_is_one_line(verb: str) -> None:
    for words in ([verb, "nothing-of-the-kind"], [verb, "a", "b"], [verb, "--all"]):
        done = run(words)
        assert (done.code, done.out) == (2, "")
        assert len(done.err.splitlines()) == 1
