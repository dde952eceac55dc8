"""The documentation is correct: examples run, commands have known keys, links have targets.

The info string of a fenced block gives its kind:

    python test NAME        code that runs in a folder with path/to/student and path/to/data
    python test PKG/FILE    a file of the plug-in package PKG
    python file NAME        a file of `plugins=`
    python kdbench/FILE     an exact copy of that file
    yaml settings           keys of `kdbench eval`
    yaml recipe             a recipe of `kdbench train`
    yaml task               the YAML file of add-a-task.md
"""

import ast
import functools
import hashlib
import importlib
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import kdbench
from kdbench import config
from kdbench.analyses import analyses
from kdbench.builders.workshop.recipe import parse_build
from kdbench.cli.verbs import app
from kdbench.comparing.settings import CompareSettings, PlanSettings, RegressSettings
from kdbench.config.analysing import AnalysisKeys
from kdbench.config.fill import parse_fill, parse_with_changes
from kdbench.config.kld import KldSettings
from kdbench.config.look import LsSettings, ShowSettings
from kdbench.config.pack import PackSettings
from kdbench.distillation.recipe import make_recipe, parse_recipe, recipes
from kdbench.doctor.settings import read_doctor
from kdbench.exchange.settings import (
    CardSettings,
    DataSettings,
    ExportSettings,
    ImportSettings,
    PushSettings,
)
from kdbench.generate import backends
from kdbench.judging.settings import JudgeSettings
from kdbench.methods import Method, methods
from kdbench.metrics import CorpusMetric, ForwardMetric, Reference, SampleMetric, metrics
from kdbench.protocol import PROTOCOLS
from kdbench.tables.spread import method_spreads
from kdbench.task import load_tasks

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    *DOCS,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "tasks").glob("**/README.md")),
    *sorted((ROOT / "baselines").glob("*.md")),
]
SETTINGS = {
    "eval": config.EvalSettings,
    "score": config.ScoreSettings,
    "judge": JudgeSettings,
    "train": config.TrainSettings,
    "cache": config.CacheSettings,
    "speed": config.SpeedSettings,
    "kld": KldSettings,
    "table": config.TableSettings,
    "report": config.ReportSettings,
    "view": config.ViewSettings,
    "compare": CompareSettings,
    "regress": RegressSettings,
    "plan": PlanSettings,
    "fill": config.FillSettings,
    "pack": PackSettings,
    "mechanisms": config.MechanismSettings,
    "frontier": config.FrontierSettings,
    "demo": config.DemoSettings,
    "ls": LsSettings,
    "show": ShowSettings,
    "data": DataSettings,
}


def parse_published(words: list[str]) -> None:
    """Check the words of `kdbench published`: one method that a paper reports."""
    (method,) = words
    assert method in {row.method for row in method_spreads(least_sources=1)}


def parse_analysis(arguments: list[str]) -> None:
    """Parse an `analyse` command; the analysis of a file of one's own exists on its page alone."""
    name, *keys = arguments
    if name == "NAME":
        return
    if name in analyses.names():
        parse_with_changes(analyses.get(name), keys)
    else:
        assert any(key.startswith("plugins=") for key in keys)
        parse_with_changes(AnalysisKeys, keys)


def parse_building(words: list[str]) -> None:
    """Check the words of `kdbench build`; the builder of a plug-in has a test of its own."""
    if not any(word.startswith("plugins=") for word in words):
        parse_build(words)


WHOLE = {
    "analyse": parse_analysis,
    "build": parse_building,
    "fill": parse_fill,
    "frontier": functools.partial(parse_with_changes, config.FrontierSettings),
    "compare": functools.partial(config.parse, CompareSettings),
    "judge": functools.partial(config.parse, JudgeSettings),
    "card": functools.partial(config.parse, CardSettings),
    "push": functools.partial(config.parse, PushSettings),
    "export": functools.partial(config.parse, ExportSettings),
    "import": functools.partial(config.parse, ImportSettings),
    "published": parse_published,
}
"""Verbs whose commands are complete wherever a page shows them."""
SHELL = ("sh", "bash", "shell", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with the words of its info string."""

    page: Path
    info: tuple[str, ...]
    text: str

    @property
    def id(self) -> str:
        return "-".join([self.page.name, *self.info]).replace("/", ".")


def blocks(page: Path) -> list[Block]:
    fenced = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    return [Block(page, tuple(info.split()), text) for info, text in fenced]


def of_kind(*kinds: str) -> list[Block]:
    return [
        block
        for page in PAGES
        for block in blocks(page)
        if block.info[:1] and block.info[0] in kinds
    ]


def params(kind: str) -> list[object]:
    """A pytest parameter for every block of a kind."""
    selected = of_kind(kind)
    assert selected
    return [pytest.param(block, id=block.id) for block in selected]


def commands(text: str) -> list[list[str]]:
    """The arguments of every `kdbench` command in shell text."""
    all_arguments = []
    for line in text.replace("\\\n", " ").splitlines():
        tokens = shlex.split(line, comments=True)
        for index, token in enumerate(tokens):
            is_output = tokens[index - 1 : index] == [">"]
            if (token == "kdbench" or token.endswith("/kdbench")) and not is_output:
                rest = tokens[index + 1 :]
                ends = [rest.index(end) for end in ("&", "&&", "|", ";", ">") if end in rest]
                all_arguments.append(rest[: min(ends, default=None)])
    return all_arguments


def shell_commands() -> list[object]:
    """Page, arguments, and whether the command is complete, for every command of every page."""
    all_commands = []
    for page in PAGES:
        for block in blocks(page):
            if block.info[:1] and block.info[0] in SHELL:
                all_commands += [(page, arguments, True) for arguments in commands(block.text)]
            if block.info[:1] == ("yaml",):
                for line in re.findall(r"^.*run: *(kdbench .*)$", block.text, re.M):
                    all_commands += [(page, arguments, True) for arguments in commands(line)]
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
        for inline in re.findall(r"`(kdbench [^`]*)`", text):
            all_commands += [(page, arguments, False) for arguments in commands(inline)]
    assert len(all_commands) > 50
    return [
        pytest.param(page, arguments, complete, id=f"{page.name}: {' '.join(arguments)}")
        for page, arguments, complete in all_commands
    ]


VERBS = {command.name for command in app.registered_commands}


@functools.cache
def example_methods() -> dict[str, type[Method]]:
    """The methods of the pages' example plug-ins, by name."""
    examples = {}
    for block in of_kind("toml"):
        entries = tomllib.loads(block.text)["project"]["entry-points"].get("kdbench.methods", {})
        for name, entry_point in entries.items():
            module, _, kind = entry_point.partition(":")
            (source,) = (
                b.text
                for b in blocks(block.page)
                if b.info == ("python", "test", f"{module.replace('.', '/')}.py")
            )
            scope: dict[str, object] = {"__name__": module}
            exec(compile(source, module, "exec"), scope)
            examples[name] = scope[kind]
    return examples


def method_keys(arguments: list[str]) -> set[str]:
    """The keys of the method that a `train` command names; of all methods if it names none."""
    values = config.read_words(arguments)
    recipe = recipes().get(str(values.get("recipe")))
    name = values.get("method") or (recipe and method_of(recipe))
    if name in example_methods():
        return set(example_methods()[name].model_fields)
    candidates = [str(name)] if name else methods.names()
    return {key for candidate in candidates for key in methods.get(candidate).model_fields}


def method_of(recipe: Path) -> str:
    return str(yaml.safe_load(recipe.read_text("utf-8"))["method"])


def parse_training(arguments: list[str]) -> None:
    """Parse a complete `train` command, except for config files, which do not exist here."""
    values = config.read_words(arguments)
    method = values.get("method")
    if method in example_methods():
        of_method = {key: values[key] for key in values if key in method_keys(arguments)}
        config.build(example_methods()[method], of_method)
        arguments = [a for a in arguments if a.partition("=")[0] not in of_method]
        arguments = [a.replace(f"method={method}", "method=sft") for a in arguments]
    parse_recipe([argument for argument in arguments if "config=" not in argument])


@pytest.mark.parametrize(("page", "command", "complete"), shell_commands())
def test_every_command_has_a_known_verb_and_known_keys(
    page: Path, command: list[str], complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.config.building.load_plugins", lambda files: None)
    monkeypatch.setattr("kdbench.config.storage.open_mirror", lambda *_, **__: Path("mirror"))
    verb, *arguments = command
    if verb in ("VERB", "--help", "--version"):
        return
    assert verb in VERBS
    if {"--help", "-h"} & set(arguments):
        return
    arguments = [argument for argument in arguments if argument != "--json"]  # of every verb
    if verb == "doctor" and arguments:  # the keys of another verb, and its own
        verb, _, arguments = read_doctor(arguments)
    if verb in WHOLE and arguments:
        WHOLE[verb](arguments)
        return
    fields = config.fields_by_key(SETTINGS[verb]) if verb in SETTINGS else {}
    known = {*fields, "config"} | (method_keys(arguments) if verb == "train" else set())
    positional = SETTINGS[verb].__positional__ if verb in SETTINGS else ["name"]
    keys = config.read_words(arguments, fields, positional)
    of_lists = {"name"} | ({"plugins"} if verb in ("methods", "metrics", "backends") else set())
    assert set(keys) <= known | (of_lists if verb not in SETTINGS else set())
    if complete and verb == "train":
        parse_training(arguments)
    elif complete and verb in SETTINGS:  # the values of a complete command must be valid too
        config.parse(SETTINGS[verb], [a for a in arguments if "config=" not in a])


def test_the_checks_of_commands_catch_a_wrong_key() -> None:
    (command,) = commands("CUDA_VISIBLE_DEVICES=0 kdbench eval model=m \\\n  taks=dolly &  # typo")
    assert command == ["eval", "model=m", "taks=dolly"]
    with pytest.raises(kdbench.InputError, match="did you mean 'tasks'"):
        config.parse(SETTINGS["eval"], command[1:])
    assert "passes" in method_keys(["method=minillm"])
    assert "passes" not in method_keys(["recipe=toy/gkd"])
    with pytest.raises(kdbench.InputError, match="unknown key 'passes' of method=gkd"):
        parse_training(["recipe=toy/gkd", "student=s", "passes=2"])
    with pytest.raises(kdbench.InputError, match="own_weight=2"):
        parse_training(["method=confidence", "student=s", "own_weight=2"])


def slug(title: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*\\]", "", title).lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_have_targets(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M)
            assert anchor in {slug(title) for title in titles}, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_path_on_a_machine(page: Path) -> None:
    machine_paths = r"(?<![\w.])/(?:work|tmp|home|root|Users|mnt|opt)/\S*"
    assert re.findall(machine_paths, page.read_text("utf-8")) == []


def test_the_index_names_every_page_once() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    links = re.findall(r"^- \[[^\]]+\]\(([\w-]+\.md)\): \S", index, re.M)
    assert sorted(links) == [page.name for page in DOCS if page.name != "README.md"]


def test_the_api_page_has_every_module_that_a_plug_in_imports() -> None:
    imported = {
        node.module
        for block in of_kind("python")
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("kdbench.")
    }
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    shown = re.findall(r"^<!-- api: ([\w.]+) -->$", text, re.M)
    assert imported <= set(shown)
    assert shown[1:] == re.findall(r"^## (kdbench\.[\w.]+)$", text, re.M)
    for name in set(re.findall(r"`kdbench\.(\w+)`", text)):
        assert name in kdbench.__all__


def test_every_task_has_a_page() -> None:
    folders = {path.parent for path in (ROOT / "tasks").glob("*/*.yaml")}
    assert folders == {path.parent for path in (ROOT / "tasks").glob("*/README.md")}


@pytest.mark.parametrize("block", params("json"))
def test_json_blocks_are_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except ValueError:  # JSON lines
        assert [json.loads(line) for line in block.text.splitlines()]


@pytest.mark.parametrize("block", params("toml"))
def test_toml_blocks_are_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", params("yaml"))
def test_yaml_blocks_are_yaml(block: Block) -> None:
    content = yaml.safe_load(block.text)
    assert isinstance(content, dict)
    if block.info[1:] == ("settings",):
        config.build(config.EvalSettings, content)
    if block.info[1:] == ("recipe",):
        values = {key: value for key, value in content.items() if key != "extends"}
        make_recipe({"student": "path/to/student", **values})


@pytest.mark.parametrize("block", params("python"))
def test_python_blocks_parse(block: Block) -> None:
    assert ast.parse(block.text).body


def test_the_page_quotes_what_kdbench_protocols_prints() -> None:
    command = [sys.executable, "-m", "kdbench", "protocols"]
    printed = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    texts = [block.text for block in blocks(ROOT / "docs" / "protocol.md")]
    assert printed in texts
    assert len(PROTOCOLS) == printed.count("\n")


def test_the_page_quotes_the_prompts_of_the_tasks(world) -> None:
    texts = [
        block.text for block in blocks(ROOT / "docs" / "protocol.md") if block.info == ("text",)
    ]
    (task,) = load_tasks(["super_natural"], world.data)
    (dolly,) = load_tasks(["dolly"], world.data)
    without = next(document for document in dolly.documents if not document.fields["input"])
    for document in (task.documents[0], without):
        assert any(
            text.format(**document.fields) == document.prompt for text in texts if "{" in text
        )


# Example plug-ins


def install(site: Path, page: str) -> Path:
    """Lay out the package of a page as pip would install it, without pip and network."""
    of_page = blocks(ROOT / "docs" / page)
    files = {
        b.info[2]: b.text for b in of_page if b.info[:2] == ("python", "test") and "/" in b.info[2]
    }
    package = next(iter(files)).partition("/")[0]
    (site / package).mkdir()
    (site / package / "__init__.py").touch()
    for name, text in files.items():
        (site / name).write_text(text, "utf-8")
    info = site / f"{package}-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\n")
    lines = []
    for block in of_page:
        if block.info == ("toml",):
            for group, entries in tomllib.loads(block.text)["project"]["entry-points"].items():
                lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


def run(site: Path, *arguments: str) -> str:
    """The output of a `kdbench` command in a folder of packages."""
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "kdbench", *arguments],
        cwd=site,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def measure(site: Path, world, *arguments: str) -> dict[str, object]:
    """The stored result of the toy student on four documents of Dolly."""
    small = ["tasks=dolly", "limit=4", "seeds=1,2", "max_new_tokens=16", "device=cpu"]
    run(site, "eval", f"model={world.student}", f"data={world.data}", *small, *arguments)
    (file,) = site.glob("results/student/*/dolly.json")
    return json.loads(file.read_text("utf-8"))


@pytest.fixture(scope="module")
def example_metrics(tmp_path_factory, world):
    site = install(tmp_path_factory.mktemp("metrics"), "add-a-metric.md")
    names = "metrics=numbers,repeated,top1_reference,bold,opening"
    arguments = [names, f"teacher={world.teacher}"]
    return run(site, "metrics"), measure(site, world, *arguments)["metrics"]


def test_the_page_quotes_the_list_of_the_example_metrics(example_metrics) -> None:
    printed, _ = example_metrics
    page = blocks(ROOT / "docs" / "add-a-metric.md")
    (quoted,) = [block.text for block in page if block.info == ("text",)]
    lines = {" ".join(line.split()) for line in printed.splitlines()}
    assert {" ".join(line.split()) for line in quoted.splitlines()} <= lines


def test_the_example_metrics_give_plausible_results(example_metrics) -> None:
    _, results = example_metrics
    bold = {"bold@ref", "bold@teacher", "bold@student"}
    assert set(results) == {"numbers", "repeated", "top1_reference", "opening", *bold}
    for name, result in results.items():
        assert result["value"] is not None, (name, result)
        assert 0 <= result["value"] <= 1
        assert (result["ci_low"] is None) == (name == "repeated")
    assert {results[name]["ceiling"] for name in bold} == {0}
    assert 0 <= results["opening"]["ceiling"] <= 1
    assert results["top1_reference"]["value"] > 0.2  # the student was trained on such rows
    assert results["top1_reference"]["per_seed"] == {}


def test_there_is_an_example_metric_of_each_kind(tmp_path, monkeypatch) -> None:
    site = install(tmp_path, "add-a-metric.md")
    monkeypatch.syspath_prepend(site)
    from kdbench.metrics import Answer

    classes = {}
    for name in ("numbers", "repeated", "top1"):
        module = importlib.import_module(f"kdbench_example_metrics.{name}")
        classes[name] = getattr(module, name.capitalize())
    kinds = {"numbers": SampleMetric, "repeated": CorpusMetric, "top1": ForwardMetric}
    assert all(issubclass(classes[name], kind) for name, kind in kinds.items())
    score = classes["numbers"]().score
    assert score(Answer("3 and 4", ("3, 5",))) == 0.5
    assert score(Answer("3 and 4", ("3, 5", "4"))) == 1
    assert score(Answer("3 and 4", ("none",))) is None
    texts = [Answer(text, ("x",)) for text in ("a", "b", "a", "c")]
    assert classes["repeated"]().value(texts) == 0.5


def test_the_example_forward_metric_reads_the_right_positions(tmp_path, monkeypatch, world) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.syspath_prepend(install(tmp_path, "add-a-metric.md"))
    metric = importlib.import_module("kdbench_example_metrics.top1").Top1()
    tokenizer = AutoTokenizer.from_pretrained(world.teacher)
    model = AutoModelForCausalLM.from_pretrained(world.teacher).eval()
    (task,) = load_tasks(["dolly"], world.data)
    values = []
    for document in task.documents:
        prompt = tokenizer(document.prompt, add_special_tokens=False).input_ids
        target = tokenizer(document.references[0], add_special_tokens=False).input_ids
        target = [*target, tokenizer.eos_token_id]
        hits = []
        for end, token in enumerate(target):  # one token at a time
            with torch.no_grad():
                logits = model(torch.tensor([prompt + target[:end]])).logits
            hits.append(int(logits[0, -1].argmax()) == token)
        reference = Reference(document.id, tuple(prompt), document.references[0])
        (value,) = metric.measure(model, tokenizer, [reference], limit=64)
        assert value == pytest.approx(sum(hits) / len(hits))
        values.append(value)
    assert len(set(values)) > 2


def test_the_example_backend_is_listed_and_generates(tmp_path, world) -> None:
    site = install(tmp_path, "add-a-backend.md")
    lines = [" ".join(line.split()) for line in run(site, "backends").splitlines()]
    assert "copy Answers with the document's own words." in lines
    result = measure(site, world, "backend=copy", "metrics=rougeL,lm_loss")
    assert result["metrics"]["lm_loss"]["reason"] == "needs the model"
    assert result["metrics"]["rougeL"]["seed_sd"] == 0
    (file,) = site.glob("results/student/*/samples/dolly.jsonl")
    row = json.loads((world.data / "dolly" / "test.jsonl").read_text().splitlines()[0])
    first = json.loads(file.read_text("utf-8").splitlines()[0])
    assert first["output"].split()[:3] == row["instruction"].split()[:3]


def write_task(folder: Path) -> None:
    """Write the task of add-a-task.md to the paths that the page names."""
    page = blocks(ROOT / "docs" / "add-a-task.md")
    (text,) = [block.text for block in page if block.info == ("yaml", "task")]
    (rows,) = [block.text for block in page if block.info == ("json",)]
    (folder / "path" / "to").mkdir(parents=True)
    (folder / "path" / "to" / "capitals.jsonl").write_text(rows, "utf-8")
    (folder / "path" / "to" / "capitals.yaml").write_text(text, "utf-8")


@pytest.fixture
def task_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path)
    return tmp_path


def test_the_example_task_loads_and_runs(task_folder, world) -> None:
    (task,) = load_tasks(["path/to/capitals.yaml"])
    assert [document.id for document in task.documents] == ["fr", "no"]
    assert task.documents[0].prompt == "What is the capital of France?\n"
    assert task.documents[1].references == ("Oslo", "Oslo, Norway")
    assert task.until == ("\n",)
    (again,) = load_tasks(["path/to"])
    assert again.documents == task.documents
    evaluation = kdbench.evaluate(
        model=str(world.student),
        tasks="path/to/capitals.yaml",
        seeds=(1, 2),
        max_new_tokens=8,
        device="cpu",
    )
    result = evaluation.results["capitals"]
    assert {"rougeL", "exact_match,none"} <= set(result.metrics)
    assert result.metrics["rougeL"].n == 2


def test_the_example_plug_in_with_a_task_is_listed(tmp_path) -> None:
    site = install(tmp_path, "add-a-task.md")
    page = blocks(ROOT / "docs" / "add-a-task.md")
    (text,) = [block.text for block in page if block.info == ("yaml", "task")]
    (site / "kdbench_example_tasks" / "capitals.yaml").write_text(text, "utf-8")
    lines = run(site, "tasks").splitlines()
    assert any(line.startswith("capitals ") for line in lines)


def test_python_examples_run(tmp_path, monkeypatch, world, capsys) -> None:
    """The examples of the pages on evaluation, tables and training run in this order."""
    (tmp_path / "path" / "to").mkdir(parents=True)
    for name in ("student", "teacher", "data"):
        shutil.copytree(getattr(world, name), tmp_path / "path" / "to" / name)
    monkeypatch.chdir(tmp_path)
    examples = [b for b in of_kind("python") if b.info[1:2] == ("test",) and "/" not in b.info[2]]
    names = [block.info[2] for block in examples if block.page.name != "python.md"]
    assert names == ["evaluate", "table", "train"]
    for block in examples:
        if block.page.name != "python.md":
            exec(compile(block.text, block.id, "exec"), {})
    printed = capsys.readouterr().out
    assert "results/student/minillm" in printed
    assert "setting,row,kind" in printed
    assert "runs/gkd 2 {'loss': " in printed


@pytest.fixture
def _no_part_stays(monkeypatch):
    metrics.names()
    monkeypatch.setattr(metrics, "_parts", dict(metrics._parts))


@pytest.mark.usefixtures("_no_part_stays")
def test_the_examples_of_the_page_on_python_run(tmp_path, monkeypatch, world, capsys) -> None:
    (tmp_path / "path" / "to").mkdir(parents=True)
    for name in ("student", "teacher", "data"):
        shutil.copytree(getattr(world, name), tmp_path / "path" / "to" / name)
    monkeypatch.chdir(tmp_path)
    page = blocks(ROOT / "docs" / "python.md")
    scope = {"__name__": "__main__"}
    printed = []
    for block in page:
        if block.info[:2] == ("python", "test"):
            exec(compile(block.text, block.id, "exec"), scope)
            printed.append(capsys.readouterr().out)
    evaluated, _, averages, wide, samples, losses, again, asked = printed
    assert evaluated.startswith("Evaluation('results/student/minillm")
    table = kdbench.table("results", published="none", tasks=["dolly", "vicuna"])
    for row in table.rows:  # the three lines of the page against the table itself
        line = next(line for line in averages.splitlines() if line.startswith(row.source[:7]))
        values = [float(text) for text in line.split()[1:]]
        assert values == pytest.approx([cell.value for cell in row.cells], abs=0.006)
        assert table.text(row.cells[-1]) in wide
    assert samples.count("toy-dolly-test") == 3
    assert losses.count("\n") >= 3
    assert again.startswith("0 ")
    assert asked == "1\n"
    (file,) = [
        block for block in page if block.info[:1] == ("python",) and "parts.py" in block.info
    ]
    (tmp_path / "parts.py").write_text(file.text, "utf-8")
    keys = {"data": "path/to/data", "tasks": "dolly", "limit": 4, "seeds": [1, 2]}
    keys |= {"max_new_tokens": 16, "device": "cpu", "plugins": "parts.py"}
    scored = kdbench.evaluate("path/to/student", metrics=["questions"], **keys)
    record = json.loads((scored.run / "run.json").read_text("utf-8"))
    sha256 = hashlib.sha256(file.text.encode()).hexdigest()
    assert record["plugins"] == {"parts.py": sha256}
    assert scored.results["dolly"].metrics["questions"].version == f"1+{sha256[:12]}"
    assert scored.generated == 0


def test_three_lines_rebuild_the_table_of_the_readme() -> None:
    (lines,) = [b.text for b in blocks(ROOT / "docs" / "python.md") if "cells.pivot" in b.text]
    readme = (ROOT / "README.md").read_text("utf-8")
    (table,) = re.findall(r"kdbench:begin smollm2-135m -->\n(.*?)\n\n", readme, re.S)
    rows = [
        [cell.strip().replace("*", "").replace("\\", "") for cell in line.strip("|").split("|")]
        for line in table.splitlines()
    ]
    head, of_models = rows[0][2:], {row[0]: row[2:] for row in rows if row[1] == "measured"}
    names = [name.rstrip(" ↑↓") for name in head]
    lines = re.sub(r" tasks=\[.*?\],", "", lines.replace('"results"', "folder"))
    scope = {"kdbench": kdbench, "folder": ROOT / "results" / "smollm2-135m"}
    exec(lines, scope)
    wide = scope["wide"].fillna("").droplevel("setting")
    for label, cells in of_models.items():
        assert wide.loc[label, names].tolist() == cells


def test_the_pages_name_every_backend_metric_and_method() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    text += (ROOT / "docs" / "fidelity.md").read_text("utf-8")
    pages = (ROOT / "docs" / "backends.md").read_text("utf-8")
    within = {f"distinct_{n}{gap}" for n in (2, 3) for gap in ("", "_gap")}  # in "1 to 4"
    # Other tests of the same process may have registered parts of their own.
    own = {
        name: [n for n in parts.names() if parts.get(n).__module__.startswith("kdbench.")]
        for name, parts in (("backends", backends), ("metrics", metrics), ("methods", methods))
    }
    assert all(own.values())
    assert [name for name in own["backends"] if f"| `{name}" not in pages] == []
    assert [n for n in {*own["metrics"], *own["methods"]} - within if f"`{n}`" not in text] == []


@pytest.mark.parametrize("run", ["minillm-d084fe5d", "h100/minillm-e54ace6a"])
def test_the_runs_of_the_gpu_page_equal_their_files(run: str) -> None:
    folder, _, name = run.rpartition("/")
    file = ROOT / "results" / folder / "SmolLM2-135M-Instruct" / name / "run.json"
    record = json.loads(file.read_text("utf-8"))
    text = (ROOT / "docs" / "gpu.md").read_text("utf-8")
    for name, task in record["tasks"].items():
        samples, seconds = task["generated_samples"], task["generated_seconds"]
        rates = f"{samples / seconds:.1f} | {task['generated_tokens'] / seconds:,.0f}"
        assert f"| {name} | {samples:,} | {seconds:.1f} | {rates} |" in text
    assert f"{record['model']['parameters']:,}" in text
    assert record["environment"]["gpus"][0] in text


def test_the_figures_of_the_page_on_backends_equal_the_benchmarks() -> None:
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    (section,) = re.findall(r"^## engines \(SmolLM2.*?(?=^## )", results, re.M | re.S)
    text = (ROOT / "docs" / "backends.md").read_text("utf-8")
    (table,) = re.findall(r"^\| vLLM compared with `hf`.*?\n\n", text, re.M | re.S)
    figures = re.findall(r"(?<=\| )\d[^|]*?(?= \|)", table)
    assert len(figures) == 12
    assert all(figure in section for figure in figures)


# Methods


def test_the_page_quotes_the_file_of_taid() -> None:
    page = ROOT / "docs" / "add-a-method.md"
    (quoted,) = [b for b in blocks(page) if b.info[1:2] == ("kdbench/methods/taid.py",)]
    assert quoted.text == (ROOT / quoted.info[1]).read_text("utf-8")


def text_on_methods() -> str:
    pages = [ROOT / "docs" / "methods.md", *sorted((ROOT / "docs" / "methods").glob("*.md"))]
    return "\n".join(page.read_text("utf-8") for page in pages)


def test_the_page_on_methods_has_every_method_with_its_keys_and_paper() -> None:
    text = text_on_methods()
    rows = {
        name: [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        for name in methods.names()
        if methods.get(name).__module__.startswith("kdbench.")
    }
    for name, (formula, remarks) in rows.items():
        kind = methods.get(name)
        cells = re.split(r"(?<!\\)\|", formula)
        keys = set(re.findall(r"`(\w+)`", cells[5]))
        assert keys == set(kind.model_fields)
        numbers = re.findall(r"\d{4}\.\d{5}", kind.paper)
        assert all(number in text for number in numbers), (name, remarks)


def test_the_page_on_methods_says_which_rows_every_method_needs() -> None:
    page = (ROOT / "docs" / "methods.md").read_text("utf-8")
    section = page.partition("## What the rows must have\n")[2].partition("\n## ")[0]
    listed = {
        name
        for line in section.splitlines()
        if line.startswith("| ")
        for name in re.findall(r"`(\w+)`", line.rsplit("|", 2)[1])
    }
    kinds = {name: methods.get(name) for name in methods.names()}
    assert listed == {
        name
        for name, kind in kinds.items()
        if kind.data != Method.data and kind.__module__.startswith("kdbench.")
    }


def test_no_heading_of_a_page_occurs_twice() -> None:
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8"))
        headings = re.findall(r"^(## .+)$", text, re.M)
        assert sorted(set(headings)) == sorted(headings), page


def test_the_tests_that_the_page_on_methods_names_exist() -> None:
    text = text_on_methods()
    named = set(re.findall(r"`(test_\w+)`", text))
    known = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.M)
    }
    assert len(named) > 15
    assert named <= known


def test_the_page_on_methods_lists_the_diagnostics_of_classmate() -> None:
    text = text_on_methods()
    source = (ROOT / "kdbench" / "methods" / "classmate.py").read_text("utf-8")
    logged = set(re.findall(r'"(classmate/\w+)":', source))
    assert len(logged) == 7
    assert set(re.findall(r"`(classmate/\w+)`", text)) == logged


@pytest.fixture(scope="module")
def example_method(tmp_path_factory, world):
    site = install(tmp_path_factory.mktemp("methods"), "add-a-method.md")
    arguments = ["method=confidence", "steps=2", "batch_size=8", "limit=16", "validation_limit=4"]
    arguments += ["max_new_tokens=8", "own_weight=0.5", "device=cpu", "out=student"]
    arguments += [f"student={world.student}", f"teacher={world.teacher}", f"data={world.data}"]
    return site, run(site, "methods"), run(site, "train", *arguments)


def test_the_page_quotes_the_list_of_the_example_method(example_method) -> None:
    _, printed, _ = example_method
    page = blocks(ROOT / "docs" / "add-a-method.md")
    (quoted,) = [block.text for block in page if block.info == ("text",)]
    assert quoted in printed


def test_the_example_method_trains(example_method) -> None:
    site, _, printed = example_method
    assert "2 steps taken; checkpoint of step 2 in student" in printed
    card = json.loads((site / "student" / "kdbench.json").read_text("utf-8"))
    assert card["method"] == "Confidence"
    assert card["training"]["parameters"] == {"own_weight": 0.5, "warmup": 0.2}
    log = (site / "student" / "training.jsonl").read_text("utf-8").splitlines()
    (first,) = [line for line in map(json.loads, log) if line["step"] == 1]
    assert first["loss"] > 0


def test_the_example_objective_is_its_formula() -> None:
    import torch

    from kdbench.training import Chunk

    triple = example_methods()["confidence"](own_weight=0.6, warmup=0.5).triple()
    p, q = (
        torch.tensor([row], dtype=torch.float64) for row in ([0.5, 0.25, 0.25], [0.25, 0.5, 0.25])
    )
    shares = []
    for progress in (0, 0.25, 0.5, 1):
        schedule = triple.schedule.values(progress)
        chunk = Chunk(q.log(), {"teacher": p.log()}, torch.tensor([0]), schedule=schedule)
        shares.append(float(triple.objective.token(chunk)) / math.log(2))
    # KL(p‖q) is half of log 2 minus a quarter of it; the student's own first choice costs log 2.
    assert shares == pytest.approx([0.25, 0.7 * 0.25 + 0.3, 0.4 * 0.25 + 0.6, 0.4 * 0.25 + 0.6])


@pytest.mark.parametrize(
    ("command", "inside"),
    [
        ("python -m pytest kdbench_example_methods", True),
        ("python -m pytest tests/methods/test_conformance.py -k confidence", False),
    ],
)
def test_the_example_method_passes_the_conformance_tests_of_the_page(
    example_method, command, inside
) -> None:
    site, _, _ = example_method
    assert command in (ROOT / "docs" / "add-a-method.md").read_text("utf-8")
    paths = [str(site), str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *command.split()[1:], "-q", "-p", "no:cacheprovider"],
        cwd=site if inside else ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > (20 if inside else 10)


def test_every_bundled_family_of_recipes_is_described() -> None:
    text = (ROOT / "baselines" / "README.md").read_text("utf-8")
    families = {name.partition("/")[0] for name in recipes()}
    assert families == set(re.findall(r"^\| `([\w-]+)/` \|", text, re.M))


def test_every_field_of_the_run_card_is_described(example_method) -> None:
    site, _, _ = example_method
    card = json.loads((site / "student" / "kdbench.json").read_text("utf-8"))
    text = (ROOT / "docs" / "train.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    fields = set(card) - {"training"} | {f"training.{name}" for name in card["training"]}
    assert fields <= named
