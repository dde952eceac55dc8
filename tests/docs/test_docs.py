"""The documents are true: examples run, commands have known keys, links lead somewhere.

A block says what it is in its info string:

    python test NAME        runs in a folder with path/to/student and path/to/data
    python test PKG/FILE    a file of the plug-in package PKG
    python kdbench/FILE     that file, word for word
    yaml settings           keys of `kdbench eval`
    yaml recipe             a recipe of `kdbench train`
    yaml task               the YAML of add-a-task.md
"""

import ast
import functools
import importlib
import json
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
from kdbench.cli.verbs import app
from kdbench.comparing.compare import parse_compare
from kdbench.comparing.settings import CompareSettings, PlanSettings, RegressSettings
from kdbench.config.fill import parse_fill
from kdbench.distillation.recipe import make_recipe, parse_recipe, recipes
from kdbench.generate import backends
from kdbench.methods import Method, methods
from kdbench.metrics import CorpusMetric, ForwardMetric, Reference, SampleMetric, metrics
from kdbench.protocol import PROTOCOLS
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
    "train": config.TrainSettings,
    "table": config.TableSettings,
    "report": config.ReportSettings,
    "compare": CompareSettings,
    "regress": RegressSettings,
    "plan": PlanSettings,
    "fill": config.FillSettings,
    "demo": config.DemoSettings,
}
SHELL = ("sh", "bash", "shell", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its info string's words, its text."""

    page: Path
    info: tuple[str, ...]
    text: str

    @property
    def id(self) -> str:
        return "-".join([self.page.name, *self.info]).replace("/", ".")


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    return [Block(page, tuple(info.split()), text) for info, text in found]


def of_kind(*kinds: str) -> list[Block]:
    return [
        block
        for page in PAGES
        for block in blocks(page)
        if block.info[:1] and block.info[0] in kinds
    ]


def params(found: list[Block]) -> list[object]:
    assert found
    return [pytest.param(block, id=block.id) for block in found]


def commands(text: str) -> list[list[str]]:
    """The words after `kdbench` of every command in shell text."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for place, word in enumerate(words):
            if word == "kdbench" or word.endswith("/kdbench"):
                rest = words[place + 1 :]
                ends = [rest.index(end) for end in ("&", "&&", "|", ";", ">") if end in rest]
                found.append(rest[: min(ends, default=None)])
    return found


def shell_commands() -> list[object]:
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.info[:1] and block.info[0] in SHELL:
                found += [(page, words, True) for words in commands(block.text)]
            if block.info[:1] == ("yaml",):
                lines = re.findall(r"^.*run: *(kdbench .*)$", block.text, re.M)
                found += [(page, words, True) for line in lines for words in commands(line)]
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
        inline = re.findall(r"`(kdbench [^`]*)`", text)
        found += [(page, words, False) for one in inline for words in commands(one)]
    assert len(found) > 50
    return [pytest.param(*one, id=f"{one[0].name}: {' '.join(one[1])}") for one in found]


VERBS = {command.name for command in app.registered_commands}


@functools.cache
def example_methods() -> dict[str, type[Method]]:
    """Methods of the plug-ins of the pages, by name."""
    found = {}
    for block in of_kind("toml"):
        entries = tomllib.loads(block.text)["project"]["entry-points"].get("kdbench.methods", {})
        for name, place in entries.items():
            module, _, kind = place.partition(":")
            (source,) = (
                b.text
                for b in blocks(block.page)
                if b.info == ("python", "test", f"{module.replace('.', '/')}.py")
            )
            scope: dict[str, object] = {"__name__": module}
            exec(compile(source, module, "exec"), scope)
            found[name] = scope[kind]
    return found


def own_keys(arguments: list[str]) -> set[str]:
    """Keys of the method that a `train` command names; of any method if it names none."""
    words = config.read_words(arguments)
    recipe = recipes().get(str(words.get("recipe")))
    name = words.get("method") or (recipe and make_method(recipe))
    if name in example_methods():
        return set(example_methods()[name].model_fields)
    named = [str(name)] if name else methods.names()
    return {key for one in named for key in methods.get(one).model_fields}


def make_method(recipe: Path) -> str:
    return str(yaml.safe_load(recipe.read_text("utf-8"))["method"])


def parse_training(arguments: list[str]) -> None:
    """A whole `train` command, but for files that are not here."""
    words = config.read_words(arguments)
    method = words.get("method")
    if method in example_methods():
        own = {k: v for k, v in words.items() if k in own_keys(arguments)}
        config.build(example_methods()[method], own)
        arguments = [w for w in arguments if w.partition("=")[0] not in own]
        arguments = [w.replace(f"method={method}", "method=sft") for w in arguments]
    parse_recipe([word for word in arguments if "config=" not in word])


@pytest.mark.parametrize(("page", "words", "whole"), shell_commands())
def test_every_command_has_a_known_verb_and_known_keys(
    page: Path, words: list[str], whole: bool
) -> None:
    verb, *arguments = words
    if verb in ("VERB", "--help"):
        return
    assert verb in VERBS
    if "--help" in arguments:
        return
    if verb in ("fill", "compare") and arguments:  # these take words without a key
        (parse_fill if verb == "fill" else parse_compare)(arguments)
        return
    keys = [word.removeprefix("--").partition("=")[0].replace("-", "_") for word in arguments]
    known = set(SETTINGS[verb].model_fields) | {"config"} if verb in SETTINGS else set()
    known |= own_keys(arguments) if verb == "train" else set()
    assert set(keys) <= known
    if whole and verb == "train":
        parse_training(arguments)
    elif whole and verb in SETTINGS:  # a command to be typed also has values that are taken
        config.parse(SETTINGS[verb], [word for word in arguments if "config=" not in word])


def test_a_wrong_key_would_be_seen() -> None:
    (words,) = commands("CUDA_VISIBLE_DEVICES=0 kdbench eval model=m \\\n  taks=dolly &  # a slip")
    assert words == ["eval", "model=m", "taks=dolly"]
    with pytest.raises(kdbench.InputError, match="did you mean 'tasks'"):
        config.parse(SETTINGS["eval"], words[1:])
    assert "passes" in own_keys(["method=minillm"])
    assert "passes" not in own_keys(["recipe=toy/gkd"])
    with pytest.raises(kdbench.InputError, match="unknown key 'passes' of method=gkd"):
        parse_training(["recipe=toy/gkd", "student=s", "passes=2"])
    with pytest.raises(kdbench.InputError, match="temperature=0"):
        parse_training(["method=logit_std", "student=s", "temperature=0"])


def slug(title: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*\\]", "", title).lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
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
def test_no_page_names_a_place_on_a_machine(page: Path) -> None:
    places = r"(?<![\w.])/(?:work|tmp|home|root|Users|mnt|opt)/\S*"
    assert re.findall(places, page.read_text("utf-8")) == []


def test_the_index_names_every_page_once() -> None:
    links = re.findall(
        r"^- \[([\w-]+\.md)\]\(\1\): \S", (ROOT / "docs" / "README.md").read_text(), re.M
    )
    assert sorted(links) == [page.name for page in DOCS if page.name != "README.md"]


def test_every_task_has_a_page() -> None:
    folders = {path.parent for path in (ROOT / "tasks").glob("*/*.yaml")}
    assert folders == {path.parent for path in (ROOT / "tasks").glob("*/README.md")}


@pytest.mark.parametrize("block", params(of_kind("json")))
def test_json_blocks_are_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except ValueError:  # JSON lines
        assert [json.loads(line) for line in block.text.splitlines()]


@pytest.mark.parametrize("block", params(of_kind("toml")))
def test_toml_blocks_are_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", params(of_kind("yaml")))
def test_yaml_blocks_are_yaml(block: Block) -> None:
    content = yaml.safe_load(block.text)
    assert isinstance(content, dict)
    if block.info[1:] == ("settings",):
        config.build(config.EvalSettings, content)
    if block.info[1:] == ("recipe",):
        values = {key: value for key, value in content.items() if key != "extends"}
        make_recipe({"student": "path/to/student", **values})


@pytest.mark.parametrize("block", params(of_kind("python")))
def test_python_blocks_parse(block: Block) -> None:
    assert ast.parse(block.text).body


def test_the_protocols_are_printed_as_they_are() -> None:
    command = [sys.executable, "-m", "kdbench", "protocols"]
    printed = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    texts = [block.text for block in blocks(ROOT / "docs" / "protocol.md")]
    assert printed in texts
    assert len(PROTOCOLS) == printed.count("\n")


def test_the_prompts_are_those_of_the_tasks(world) -> None:
    texts = [
        block.text for block in blocks(ROOT / "docs" / "protocol.md") if block.info == ("text",)
    ]
    (task,) = load_tasks(["super_natural"], world.data)
    (dolly,) = load_tasks(["dolly"], world.data)
    without = next(one for one in dolly.documents if not one.fields["input"])
    for document in (task.documents[0], without):
        assert any(
            text.format(**document.fields) == document.prompt for text in texts if "{" in text
        )


# Plug-ins of the pages


def install(site: Path, page: str) -> Path:
    """Lay a page's package out in a folder of packages as pip would, without pip or network."""
    found = blocks(ROOT / "docs" / page)
    files = {
        b.info[2]: b.text for b in found if b.info[:2] == ("python", "test") and "/" in b.info[2]
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
    for block in found:
        if block.info == ("toml",):
            for group, parts in tomllib.loads(block.text)["project"]["entry-points"].items():
                lines += [f"[{group}]", *(f"{name} = {value}" for name, value in parts.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


def run(site: Path, *words: str) -> str:
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "kdbench", *words],
        cwd=site,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def measured(site: Path, world, *words: str) -> dict[str, object]:
    few = ["tasks=dolly", "limit=4", "seeds=1,2", "max_new_tokens=16", "device=cpu"]
    run(site, "eval", f"model={world.student}", f"data={world.data}", *few, *words)
    (file,) = site.glob("results/student/*/dolly.json")
    return json.loads(file.read_text("utf-8"))


@pytest.fixture(scope="module")
def example_metrics(tmp_path_factory, world):
    site = install(tmp_path_factory.mktemp("metrics"), "add-a-metric.md")
    names = "metrics=numbers,repeated,top1_reference,bold,opening"
    words = [names, f"teacher={world.teacher}"]
    return run(site, "metrics"), measured(site, world, *words)["metrics"]


def test_the_example_metrics_are_listed_as_the_page_says(example_metrics) -> None:
    listed, _ = example_metrics
    page = [b.text for b in blocks(ROOT / "docs" / "add-a-metric.md") if b.info == ("text",)]
    (said,) = page
    lines = {" ".join(line.split()) for line in listed.splitlines()}
    assert {" ".join(line.split()) for line in said.splitlines()} <= lines


def test_the_example_metrics_measure(example_metrics) -> None:
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


def test_the_example_metrics_are_one_of_each_kind(tmp_path, monkeypatch) -> None:
    site = install(tmp_path, "add-a-metric.md")
    monkeypatch.syspath_prepend(site)
    from kdbench.metrics import Answer

    parts = {}
    for name in ("numbers", "repeated", "top1"):
        module = importlib.import_module(f"kdbench_example_metrics.{name}")
        parts[name] = getattr(module, name.capitalize())
    kinds = {"numbers": SampleMetric, "repeated": CorpusMetric, "top1": ForwardMetric}
    assert all(issubclass(parts[name], kind) for name, kind in kinds.items())
    score = parts["numbers"]().score
    assert score(Answer("3 and 4", ("3, 5",))) == 0.5
    assert score(Answer("3 and 4", ("3, 5", "4"))) == 1
    assert score(Answer("3 and 4", ("none",))) is None
    texts = [Answer(text, ("x",)) for text in ("a", "b", "a", "c")]
    assert parts["repeated"]().value(texts) == 0.5


def test_the_example_forward_metric_looks_at_the_right_positions(
    tmp_path, monkeypatch, world
) -> None:
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
        for end, token in enumerate(target):  # a token at a time
            with torch.no_grad():
                logits = model(torch.tensor([prompt + target[:end]])).logits
            hits.append(int(logits[0, -1].argmax()) == token)
        reference = Reference(document.id, tuple(prompt), document.references[0])
        (value,) = metric.measure(model, tokenizer, [reference], limit=64)
        assert value == pytest.approx(sum(hits) / len(hits))
        values.append(value)
    assert len(set(values)) > 2


def test_the_example_backend_is_listed_and_answers(tmp_path, world) -> None:
    site = install(tmp_path, "add-a-backend.md")
    listed = [" ".join(line.split()) for line in run(site, "backends").splitlines()]
    assert "copy Answers with the document's own words." in listed
    result = measured(site, world, "backend=copy", "metrics=rougeL,lm_loss")
    assert result["metrics"]["lm_loss"]["reason"] == "needs the model"
    assert result["metrics"]["rougeL"]["seed_sd"] == 0
    (file,) = site.glob("results/student/*/samples/dolly.jsonl")
    row = json.loads((world.data / "dolly" / "test.jsonl").read_text().splitlines()[0])
    first = json.loads(file.read_text("utf-8").splitlines()[0])
    assert first["output"].split()[:3] == row["instruction"].split()[:3]


def write_task(folder: Path) -> Path:
    found = blocks(ROOT / "docs" / "add-a-task.md")
    (text,) = [block.text for block in found if block.info == ("yaml", "task")]
    (rows,) = [block.text for block in found if block.info == ("json",)]
    (folder / "path" / "to").mkdir(parents=True)
    (folder / "path" / "to" / "capitals.jsonl").write_text(rows, "utf-8")
    (folder / "path" / "to" / "capitals.yaml").write_text(text, "utf-8")
    return Path("path/to/capitals.yaml")


@pytest.fixture
def task_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path)
    return tmp_path


def test_the_example_task_loads_and_runs(task_folder, world) -> None:
    (task,) = load_tasks(["path/to/capitals.yaml"])
    assert [one.id for one in task.documents] == ["fr", "no"]
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


def test_the_example_plug_in_of_a_task_is_listed(tmp_path) -> None:
    site = install(tmp_path, "add-a-task.md")
    found = blocks(ROOT / "docs" / "add-a-task.md")
    (text,) = [block.text for block in found if block.info == ("yaml", "task")]
    (site / "kdbench_example_tasks" / "capitals.yaml").write_text(text, "utf-8")
    listed = run(site, "tasks")
    assert any(line.startswith("capitals ") for line in listed.splitlines())


def test_python_examples_run(tmp_path, monkeypatch, world, capsys) -> None:
    """Those of the pages on evaluation, tables and training, in this order."""
    (tmp_path / "path" / "to").mkdir(parents=True)
    for name in ("student", "teacher", "data"):
        shutil.copytree(getattr(world, name), tmp_path / "path" / "to" / name)
    monkeypatch.chdir(tmp_path)
    found = [b for b in of_kind("python") if b.info[1:2] == ("test",) and "/" not in b.info[2]]
    assert [block.info[2] for block in found] == ["evaluate", "table", "train"]
    for block in found:
        exec(compile(block.text, block.id, "exec"), {})
    printed = capsys.readouterr().out
    assert "results/student/minillm" in printed
    assert "setting,row,kind" in printed
    assert "runs/gkd 2 {'loss': " in printed


def test_the_lists_of_parts_are_complete() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    text += (ROOT / "docs" / "fidelity.md").read_text("utf-8")
    pages = (ROOT / "docs" / "backends.md").read_text("utf-8")
    assert all(f"| `{name}" in pages for name in backends.names())
    ends = {f"distinct_{n}{gap}" for n in (2, 3) for gap in ("", "_gap")}  # "1 to 4"
    assert all(f"`{name}`" in text for name in set(metrics.names()) - ends)
    assert all(f"`{name}`" in text for name in methods.names())


@pytest.mark.parametrize("run", ["minillm-d084fe5d", "h100/minillm-e54ace6a"])
def test_the_measured_runs_of_the_gpu_page_are_those_of_their_files(run: str) -> None:
    where, _, name = run.rpartition("/")
    file = ROOT / "results" / where / "SmolLM2-135M-Instruct" / name / "run.json"
    record = json.loads(file.read_text("utf-8"))
    text = (ROOT / "docs" / "gpu.md").read_text("utf-8")
    for name, task in record["tasks"].items():
        samples, seconds = task["generated_samples"], task["generated_seconds"]
        rates = f"{samples / seconds:.1f} | {task['generated_tokens'] / seconds:,.0f}"
        assert f"| {name} | {samples:,} | {seconds:.1f} | {rates} |" in text
    assert f"{record['model']['parameters']:,}" in text
    assert record["environment"]["gpus"][0] in text


def test_the_figures_of_the_page_of_backends_are_those_of_the_benchmark() -> None:
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    (section,) = re.findall(r"^## engines \(SmolLM2.*?(?=^## )", results, re.M | re.S)
    text = (ROOT / "docs" / "backends.md").read_text("utf-8")
    (table,) = re.findall(r"^\| vLLM compared with `hf`.*?\n\n", text, re.M | re.S)
    figures = re.findall(r"(?<=\| )\d[^|]*?(?= \|)", table)
    assert len(figures) == 12
    assert all(figure in section for figure in figures)


# Methods


def lines_of_code(text: str) -> tuple[int, int]:
    """Lines that are not blank, and those of them that are no docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, documented)]
    said = [n.body[0] for n in nodes if ast.get_docstring(n) is not None]
    words = {line for n in said for line in range(n.lineno, (n.end_lineno or 0) + 1)}
    filled = [number for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return len(filled), len(set(filled) - words)


def definition(file: str, name: str) -> str:
    text = (ROOT / file).read_text("utf-8")
    (node,) = (n for n in ast.parse(text).body if getattr(n, "name", None) == name)
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def test_taid_stands_in_the_page_word_for_word_and_its_lines_are_counted() -> None:
    page = ROOT / "docs" / "add-a-method.md"
    (shown,) = [b for b in blocks(page) if b.info[1:2] == ("kdbench/methods/taid.py",)]
    assert shown.text == (ROOT / shown.info[1]).read_text("utf-8")
    text = " ".join(page.read_text("utf-8").split())
    lines, code = lines_of_code(shown.text)
    assert f"{lines} lines that are not blank, {code} of them code" in text
    for file, name in (
        ("kdbench/training/target.py", "interpolated"),
        ("kdbench/training/schedule.py", "RisingInterpolation"),
    ):
        lines, code = lines_of_code(definition(file, name))
        assert f"`{name}` in `{file}` ({lines} lines, {code} of them code)" in text


def test_the_page_of_methods_has_each_method_its_keys_and_its_paper() -> None:
    text = (ROOT / "docs" / "methods.md").read_text("utf-8")
    rows = {
        name: [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        for name in methods.names()
    }
    for name, (formula, remarks) in rows.items():
        kind = methods.get(name)
        cells = re.split(r"(?<!\\)\|", formula)
        keys = set(re.findall(r"`(\w+)`", cells[5]))
        assert keys == set(kind.model_fields)
        numbers = re.findall(r"\d{4}\.\d{5}", kind.paper)
        assert all(number in text for number in numbers), (name, remarks)


def test_the_tests_that_the_page_of_methods_names_are_there() -> None:
    text = (ROOT / "docs" / "methods.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    known = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.M)
    }
    assert len(named) > 15
    assert named <= known


def test_the_diagnostics_of_the_classmate_are_listed() -> None:
    text = (ROOT / "docs" / "methods.md").read_text("utf-8")
    source = (ROOT / "kdbench" / "methods" / "classmate.py").read_text("utf-8")
    logged = set(re.findall(r'"(classmate/\w+)":', source))
    assert len(logged) == 7
    assert set(re.findall(r"`(classmate/\w+)`", text)) == logged


@pytest.fixture(scope="module")
def example_method(tmp_path_factory, world):
    site = install(tmp_path_factory.mktemp("methods"), "add-a-method.md")
    words = ["method=logit_std", "steps=2", "batch_size=8", "limit=16", "validation_limit=4"]
    words += ["max_new_tokens=8", "temperature=0.3", "device=cpu", "out=student"]
    words += [f"student={world.student}", f"teacher={world.teacher}", f"data={world.data}"]
    return site, run(site, "methods"), run(site, "train", *words)


def test_the_example_method_is_listed_as_the_page_says(example_method) -> None:
    _, listed, _ = example_method
    (said,) = [b.text for b in blocks(ROOT / "docs" / "add-a-method.md") if b.info == ("text",)]
    assert said in listed


def test_the_example_method_trains(example_method) -> None:
    site, _, printed = example_method
    assert "2 steps taken; checkpoint of step 2 in student" in printed
    card = json.loads((site / "student" / "kdbench.json").read_text("utf-8"))
    assert card["method"] == "LogitStd"
    assert card["training"]["parameters"] == {"kd_ratio": 0.5, "temperature": 0.3}
    log = (site / "student" / "training.jsonl").read_text("utf-8").splitlines()
    (first,) = [line for line in map(json.loads, log) if line["step"] == 1]
    assert first["loss/0.5 standardised_kl(temperature=0.3)"] > 0


def test_the_example_objective_is_its_formula() -> None:
    import torch

    from kdbench.training import Chunk

    z = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 9.0]], dtype=torch.float64)
    terms = example_methods()["logit_std"](temperature=0.5).triple().terms
    objective = terms[1].objective
    targets = torch.zeros(2, dtype=torch.long)
    # Shift and scale do not matter: equal after standardising.
    same = objective.token(Chunk(z, {"teacher": 5 * z - 3}, targets))
    assert same.tolist() == pytest.approx([0, 0], abs=1e-12)
    other = objective.token(Chunk(z, {"teacher": z.flip(-1)}, targets))
    # z' is (-1, 0, 1) and (1, 0, -1); over T = 1/2 twice that.
    p = torch.tensor([2.0, 0.0, -2.0], dtype=torch.float64).softmax(0)
    assert float(other[0]) == pytest.approx(0.25 * 4 * float(p[0] - p[2]))


def test_the_example_method_passes_the_conformance_test_as_the_page_says(example_method) -> None:
    site, _, _ = example_method
    words = "python -m pytest tests/methods/test_conformance.py -k logit_std"
    assert words in (ROOT / "docs" / "add-a-method.md").read_text("utf-8")
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *words.split()[1:], "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 20


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
