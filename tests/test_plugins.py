"""A package with entry points adds metrics, backends, methods and tasks to kdbench."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

PLUGIN = Path(__file__).parent / "plugin"


def install(site, change=None):
    """Lay out the plug-in's package as pip would install it, without pip and network.

    Args:
        site: Folder of packages.
        change: Function that edits the copy of the package; None leaves it as it is.
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
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    if change is not None:
        change(package)
    return site


def kdbench(site, *arguments):
    """Run a `kdbench` command with a folder of packages; return the completed process."""
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", "kdbench", *arguments],
        cwd=site,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"))


def test_without_the_plugin_none_of_its_names_are_listed(tmp_path):
    names = {"metrics": "loudness", "backends": "echo", "methods": "uncertain", "tasks": "capitals"}
    for verb, name in names.items():
        done = kdbench(tmp_path, verb)
        assert done.returncode == 0
        assert name not in done.stdout.split()


@pytest.mark.parametrize(
    ("verb", "line", "built_in"),
    [
        (
            "metrics",
            "loudness rate lower is better headline Share of letters that are capitals.",
            "rougeL",
        ),
        ("backends", "echo Returns the prompt as the response.", "hf"),
        ("methods", "uncertain Reverse KL where the student is uncertain.", "gkd"),
        ("tasks", "capitals {site}/kdbench_plugin_example/capitals/capitals.yaml", "dolly"),
    ],
)
def test_the_plugin_is_listed_with_the_built_in_names(site, verb, line, built_in):
    done = kdbench(site, verb)
    assert (done.returncode, done.stderr) == (0, "")
    printed = [" ".join(text.split()) for text in done.stdout.splitlines()]
    assert line.format(site=site) in printed
    assert any(text.startswith(f"{built_in} ") for text in printed)


@pytest.fixture(scope="module")
def result(site):
    """The plug-in's task, measured with its backend and metric."""
    model = site / "echoer"
    model.mkdir()
    (model / "config.json").write_text("{}")
    save_file({"weight": torch.zeros(1)}, model / "model.safetensors")
    arguments = ["model=echoer", "tasks=capitals", "backend=echo", "metrics=loudness,rougeL"]
    done = kdbench(site, "eval", *arguments, "seeds=1,2")
    assert done.returncode == 0, done.stderr
    (file,) = site.glob("results/echoer/*/capitals.json")
    return json.loads(file.read_text("utf-8"))


def test_a_plug_ins_task_runs_on_its_backend(result):
    assert result["fingerprint"]["task"] == "capitals"
    assert result["documents"]["id"] == ["fr", "lu", "no"]
    assert result["data"]["rows"] == 3
    assert result["metrics"]["rougeL"]["per_seed"]["1"] > 0


def test_a_plug_ins_metric_is_measured(result):
    loudness = result["metrics"]["loudness"]
    assert loudness["per_seed"] == {"1": 0, "2": 1}
    assert (loudness["value"], loudness["n"]) == (0.5, 3)
    assert (loudness["unit"], loudness["direction"], loudness["version"]) == ("rate", "lower", "1")


def test_the_metric_of_a_plug_ins_task_is_measured(result):
    names_it = result["metrics"]["names_it,none"]
    assert names_it["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert result["documents"]["names_it,none"] == [0, 1, 0]


def test_an_entry_point_that_names_no_file_gives_a_one_line_error(tmp_path):
    site = install(tmp_path, lambda package: shutil.rmtree(package / "capitals"))
    done = kdbench(site, "tasks")
    assert done.returncode == 2
    assert done.stderr.startswith("kdbench: entry point kdbench.tasks:capitals names no file: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("verb", "name", "docstring"),
    [
        ("metrics", "loudness", '    """Share of letters that are capitals."""\n'),
        ("backends", "echo", '    """Returns the prompt as the response."""\n'),
    ],
    ids=["metric", "backend"],
)
def test_a_class_without_a_docstring_is_listed(tmp_path, verb, name, docstring):
    def change(package):
        file = package / f"{name}.py"
        text = file.read_text("utf-8")
        assert docstring in text
        file.write_text(text.replace(docstring, ""), "utf-8")

    done = kdbench(install(tmp_path, change), verb)
    assert done.returncode == 0
    assert name in done.stdout


def test_a_plug_ins_method_trains_with_its_own_keys(site, world):
    arguments = [
        "method=uncertain",
        "share=0.3",
        "steps=2",
        "batch_size=8",
        "limit=16",
        "device=cpu",
    ]
    arguments += ["validation_limit=4", "max_new_tokens=8", "learning_rate=0.01", "out=student"]
    arguments += [f"student={world.student}", f"teacher={world.teacher}", f"data={world.data}"]
    done = kdbench(site, "train", *arguments)
    assert done.returncode == 0, done.stderr
    card = json.loads((site / "student" / "kdbench.json").read_text("utf-8"))
    assert card["method"] == "Uncertain"
    assert card["training"]["parameters"] == {"share": 0.3}
    refused = kdbench(site, "train", "shre=0.3", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "did you mean 'share'" in refused.stderr
