"""The package's structure: few loose modules, imports downhill, one meaning for each name."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from house import circles, face_importers, floors, imports, rooms, uphill, without_face

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kdbench"
HEAVY = {"torch", "transformers", "numpy", "scipy", "pandas", "lm_eval", "vllm", "datasets"}
LISTS = ("tasks", "metrics", "methods", "backends", "protocols")


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return imports(ROOT)


def test_few_modules_lie_loose() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 11


def test_nothing_below_the_face_imports_it(graph: dict[str, set[str]]) -> None:
    assert face_importers(graph) == []


def test_no_files_and_no_rooms_import_each_other_in_a_circle(graph: dict[str, set[str]]) -> None:
    inner = without_face(graph)
    assert circles(inner) == []
    assert circles(rooms(inner)) == []
    assert uphill(graph) == {}


def test_the_house_has_at_most_eleven_floors(graph: dict[str, set[str]]) -> None:
    assert len(floors(graph)) <= 11


def test_a_circle_and_an_uphill_import_would_be_seen(tmp_path: Path) -> None:
    files = {
        "__init__": "",
        "low/__init__": "",
        "low/one": "def f():\n    from kdbench.high import two\n",
        "low/face": "import kdbench\n",
        "high/__init__": "",
        "high/two": "from kdbench.low.one import f\n",
    }
    for name, text in files.items():
        file = tmp_path / "kdbench" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    graph = imports(tmp_path)
    assert circles(graph) == [["kdbench.high.two", "kdbench.low.one"]]
    assert circles(rooms(without_face(graph))) == [["high", "low"]]
    assert face_importers(graph) == ["kdbench.low.face"]
    assert sum(uphill(graph).values()) == 2


QUICK = ("--help", "--version", "eval --help", "metrics acceptance", "completion bash", "ls")


@pytest.mark.parametrize("verb", [*LISTS, *QUICK])
def test_a_list_or_a_help_imports_no_heavy_package(verb: str) -> None:
    code = (
        "import sys\n"
        "from kdbench.cli.verbs import main\n"
        f"sys.argv = ['kdbench', *{verb.split()}]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print(*sorted({HEAVY} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.split() == []


def named_types(tree: ast.Module) -> list[str]:
    """The classes and the aliases of types at the top of a module."""
    names = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, ast.unparse(node.value)
            if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", name) and not value.startswith("TypeVar("):
                names.append(name)
    return names


def test_no_name_of_a_type_is_defined_twice() -> None:
    places = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for name in named_types(ast.parse(file.read_text("utf-8"))):
            places[name].append(str(file.relative_to(PACKAGE)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
