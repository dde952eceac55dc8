"""A package with entry points adds metrics, backends, methods and tasks without a change here."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin"


def install(site, change=None):
    """Lay the plug-in out in a folder of packages as pip would, without pip or network.

    `change` may edit the copy of the package before anything runs.
    """
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text("utf-8"))["project"]
    package = site / "kdbench_plugin_example"
    shutil.copytree(PLUGIN / package.name, package, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"{package.name}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, parts in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in parts.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    if change is not None:
        change(package)
    return site


def kdbench(site, *words):
    """Run the command where the plug-in is installed; stdout, stderr and exit code."""
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", "kdbench", *words],
        cwd=site,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"))


def test_without_the_plugin_there_are_no_such_parts(tmp_path):
    parts = {"metrics": "loudness", "backends": "echo", "methods": "uncertain", "tasks": "capitals"}
    for verb, part in parts.items():
        done = kdbench(tmp_path, verb)
        assert done.returncode == 0
        assert part not in done.stdout


@pytest.mark.parametrize(
    ("verb", "words", "built_in"),
    [
        ("metrics", "loudness rate lower is better Share of capital letters.", "rougeL"),
        ("backends", "echo Answers with the prompt.", "hf"),
        ("methods", "uncertain Reverse KL where the student is unsure.", "gkd"),
        ("tasks", "capitals {site}/kdbench_plugin_example/capitals/capitals.yaml", "dolly"),
    ],
)
def test_its_parts_are_listed_with_the_built_in_ones(site, verb, words, built_in):
    done = kdbench(site, verb)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert words.format(site=site) in lines
    assert any(line.startswith(f"{built_in} ") for line in lines)


@pytest.fixture(scope="module")
def result(site):
    """The plug-in's task, measured with its backend and its metric."""
    model = site / "echoer"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    words = ["model=echoer", "tasks=capitals", "backend=echo", "metrics=loudness,rougeL"]
    done = kdbench(site, "eval", *words, "seeds=1,2")
    assert done.returncode == 0, done.stderr
    (file,) = site.glob("results/echoer/*/capitals.json")
    return json.loads(file.read_text("utf-8"))


def test_its_task_runs_on_its_backend(result):
    assert result["fingerprint"]["task"] == "capitals"
    assert result["documents"]["id"] == ["fr", "lu", "no"]
    assert result["data"]["rows"] == 3
    assert result["metrics"]["rougeL"]["per_seed"]["1"] > 0


def test_its_metric_is_measured(result):
    loudness = result["metrics"]["loudness"]
    assert loudness["per_seed"] == {"1": 0, "2": 1}
    assert (loudness["value"], loudness["n"]) == (0.5, 3)
    assert (loudness["unit"], loudness["direction"], loudness["version"]) == ("rate", "lower", "1")


def test_the_metric_of_its_task_is_measured_too(result):
    own = result["metrics"]["names_it,none"]
    assert own["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert result["documents"]["names_it,none"] == [0, 1, 0]


def test_an_entry_point_that_names_no_file_is_one_line(tmp_path):
    site = install(tmp_path, lambda package: shutil.rmtree(package / "capitals"))
    done = kdbench(site, "tasks")
    assert done.returncode == 2
    assert done.stderr.startswith("kdbench: entry point kdbench.tasks:capitals names no file: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("verb", "name", "docstring"),
    [
        ("metrics", "loudness", '    """Share of capital letters."""\n'),
        ("backends", "echo", '    """Answers with the prompt."""\n'),
    ],
    ids=["metric", "backend"],
)
def test_a_part_without_a_docstring_is_listed(tmp_path, verb, name, docstring):
    def change(package):
        file = package / f"{name}.py"
        text = file.read_text("utf-8")
        assert docstring in text
        file.write_text(text.replace(docstring, ""), "utf-8")

    done = kdbench(install(tmp_path, change), verb)
    assert done.returncode == 0
    assert name in done.stdout


def test_its_method_trains_by_its_own_keys(site, world):
    words = ["method=uncertain", "share=0.3", "steps=2", "batch_size=8", "limit=16", "device=cpu"]
    words += ["validation_limit=4", "max_new_tokens=8", "learning_rate=0.01", "out=student"]
    words += [f"student={world.student}", f"teacher={world.teacher}", f"data={world.data}"]
    done = kdbench(site, "train", *words)
    assert done.returncode == 0, done.stderr
    card = json.loads((site / "student" / "kdbench.json").read_text("utf-8"))
    assert card["method"] == "Uncertain"
    assert card["training"]["parameters"] == {"share": 0.3}
    refused = kdbench(site, "train", "shre=0.3", *words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "did you mean 'share'" in refused.stderr
