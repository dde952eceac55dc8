"""The public functions know their keys: for Python, for editors and for type checkers."""

import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import api_functions
import pytest

import kdbench
from kdbench.builders import builders
from kdbench.config import TrainSettings, fields_by_key
from kdbench.config.build_keys import BuildSettings
from kdbench.methods import methods


def test_the_signatures_are_those_of_the_settings():
    """If this fails, run `python tests/helpers/api_functions.py`."""
    assert api_functions.FILE.read_text("utf-8") == api_functions.formatted()


def test_every_function_of_a_verb_is_public():
    names = {function.name for function in api_functions.FUNCTIONS}
    assert names <= set(kdbench.__all__)
    assert set(kdbench.__all__) - names == {"InputError", "register", "results", "samples"}


@pytest.mark.parametrize("function", api_functions.FUNCTIONS, ids=lambda function: function.name)
def test_python_knows_every_key_with_its_default(function):
    parameters = inspect.signature(getattr(kdbench, function.name)).parameters
    fields = fields_by_key(function.kind)
    hidden = {"dry_run", *function.excluded}
    parts = {TrainSettings: methods, BuildSettings: builders}.get(function.kind)
    own = [parts.get(name).model_fields for name in parts.names()] if parts is not None else []
    extra = {key for keys in own for key in keys}
    assert set(fields) - hidden <= set(parameters) <= set(fields) - hidden | extra
    for name, parameter in parameters.items():
        if name in fields and not fields[name].is_required():
            assert str(parameter.default).strip("()") in str(fields[name].default).replace(
                "Path", ""
            )
    text = pydoc.render_doc(getattr(kdbench, function.name), renderer=pydoc.plaintext)
    for name in parameters:
        assert re.search(rf"^ +{name}: \S", text, re.M), name


def test_a_wrong_keyword_is_an_error_of_the_type_checker(tmp_path):
    lines = [
        "import kdbench",
        "from pathlib import Path",
        'kdbench.evaluate("m", limit=3, seeds=(1, 2), tasks="dolly")',
        'kdbench.evaluate(Path("m"), tasks=[Path("a.jsonl"), "dolly"], results=Path("r"))',
        'kdbench.evaluate("m", tasks=[{"prompt": "a", "reference": "b"}], seeds=range(3))',
        'kdbench.evaluate("m", tasks={"mine": [{"prompt": "a"}]}, backend_options={"a": 1})',
        'kdbench.train(method="gkd", student="s", teacher=Path("t"), steps=3)',
        'kdbench.compare("a", Path("b"), tolerance="rougeL:1")',
        'kdbench.samples(kdbench.results("r"), task=["dolly"])',
        'kdbench.evaluate("m", limt=3)  # error',
        'kdbench.evaluate("m", limit="many")  # error',
        'kdbench.evaluate("m", dtype="float8")  # error',
        "kdbench.evaluate(tasks='dolly')  # error",
        "kdbench.evaluate('m', tasks=[3])  # error",
        'kdbench.compare("a", "b", "c")  # error',
        'kdbench.table("r", out="x")  # error',
    ]
    (tmp_path / "snippet.py").write_text("\n".join(lines) + "\n")
    # Only the signatures are read, so that this takes seconds.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nfollow_imports = skip\n"
        "[mypy-kdbench,kdbench.api.*]\nfollow_imports = silent\n"
        "[mypy-pandas.*]\nignore_missing_imports = True\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "snippet.py"],
        cwd=tmp_path,
        env={"PATH": "", "MYPYPATH": str(Path(kdbench.__file__).parents[1])},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    found = {int(number) for number in re.findall(r"^snippet\.py:(\d+): error", done.stdout, re.M)}
    expected = {number for number, line in enumerate(lines, start=1) if line.endswith("# error")}
    assert found == expected, done.stdout + done.stderr


def test_importing_kdbench_imports_nothing_heavy():
    code = "import sys, kdbench; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pydantic", "torch", "numpy", "pandas", "transformers", "yaml", "jinja2", "inspect"}
    assert not heavy & set(done.stdout.split())


def test_arguments_by_position_are_keys():
    with pytest.raises(kdbench.InputError, match=r"^base=a: is not a run folder"):
        kdbench.compare("a", "b")
    with pytest.raises(kdbench.InputError, match=r"^run=a: is not a run folder"):
        kdbench.plan(Path("a"))
    with pytest.raises(kdbench.InputError, match=r"^unknown table 'a'"):
        kdbench.fill("a")
    with pytest.raises(TypeError, match="too many positional arguments"):
        kdbench.plan("a", "b")
    with pytest.raises(TypeError, match="multiple values for argument 'run'"):
        kdbench.plan("a", run="b")


def test_a_wrong_key_suggests_the_right_one():
    with pytest.raises(kdbench.InputError, match="unknown key 'limt': did you mean 'limit'"):
        kdbench.evaluate("m", limt=3)
    with pytest.raises(kdbench.InputError, match=r"^model= is missing"):
        kdbench.evaluate(limit=3)
