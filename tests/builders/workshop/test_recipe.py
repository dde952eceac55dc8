"""The keys of a build, and builders from elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from built_sets import prompts, write_rows
from typer.testing import CliRunner

from kdbench.builders import Builder, builders
from kdbench.builders.workshop.recipe import make_build, parse_build
from kdbench.cli.verbs import app
from kdbench.errors import InputError

PLUGIN = '''
"""A builder."""

import kdbench
from pydantic import Field
from kdbench.builders import Builder, builders
from kdbench.builders.workshop.questions import kept


class Louder(Builder):
    """Write each response {times} times."""

    title = "Louder"
    paper = "none"
    family = "other"
    cost = "nothing"
    mark: str = Field("!", description="What is added")

    def build(self, work):
        """Yield each row with a louder response."""
        for rows in work.chunks():
            for row in rows:
                work.count("louder")
                yield kept(row, mark=self.mark * {times})
'''
REGISTERED = 'kdbench.register("louder")(Louder)\n'


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A file with a builder, and rows for it."""
    write_rows(tmp_path / "mine.jsonl", prompts(2))
    file = tmp_path / "parts.py"
    file.write_text(PLUGIN.format(times=2) + REGISTERED)
    return file


def test_a_file_of_plugins_brings_a_builder(plugin: Path, tmp_path: Path) -> None:
    words = [f"plugins={plugin}", f"train_set={tmp_path / 'mine.jsonl'}", f"out={tmp_path / 'o'}"]
    done = CliRunner().invoke(app, ["build", "louder", "mark=?", *words])
    assert done.exit_code == 0, done.stderr
    assert '"mark": "??"' in (tmp_path / "o/mine/train.jsonl").read_text()
    listed = CliRunner().invoke(app, ["builders", f"plugins={plugin}"])
    assert "louder" in listed.stdout
    explained = CliRunner().invoke(app, ["builders", "louder", f"plugins={plugin}"])
    assert "What is added" in explained.stdout


def test_another_code_of_a_plugin_is_another_build(plugin: Path, tmp_path: Path) -> None:
    words = [f"plugins={plugin}", f"train_set={tmp_path / 'mine.jsonl'}", f"out={tmp_path / 'o'}"]
    assert CliRunner().invoke(app, ["build", "louder", *words]).exit_code == 0
    plugin.write_text(PLUGIN.format(times=3) + REGISTERED)
    done = CliRunner().invoke(app, ["build", "louder", *words])
    assert done.exit_code == 2
    assert "different code" in done.stderr


def test_a_package_brings_a_builder(tmp_path: Path) -> None:
    info = tmp_path / "louder-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: louder\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[kdbench.builders]\nlouder = louder_parts:Louder\n")
    (tmp_path / "louder_parts.py").write_text(PLUGIN.format(times=1))
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    program = "from kdbench.builders import builders; print(builders.get('louder').title)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == "Louder"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["teacher_response"], "unknown builder 'teacher_response': did you mean"),
        ([], "builder= is missing: name a builder; kdbench builders lists them"),
        (["teacher_responses", "teachr=x"], "unknown key 'teachr'"),
        (["teacher_responses"], "teacher"),
        (["teacher_responses", "teacher=x", "responses=0"], "responses"),
        (["teacher_responses", "teacher=x", "seeds=1,2"], "kdbench build takes seed="),
        (
            ["teacher_responses", "teacher=x", "responses=2", "temperature=0"],
            "responses=2: temperature=0 is greedy decoding",
        ),
        (
            ["teacher_responses", "teacher=x", "responses=2", "protocol=greedy"],
            "responses=2: temperature=0 is greedy decoding",
        ),
        (["teacher_responses", "teacher=/nowhere/t"], "/nowhere/t"),
        (["teacher_responses", "teacher=x", "set_name=a/b"], "set_name"),
    ],
)
def test_bad_keys_are_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "mine.jsonl", prompts(2))
    words += [f"train_set={tmp_path / 'mine.jsonl'}", f"out={tmp_path / 'out'}"]
    done = CliRunner().invoke(app, ["build", *words])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"mine.jsonl"}


def test_keys_of_sampling_are_refused_where_they_do_nothing() -> None:
    @builders.register("still")
    class Still(Builder):
        """Sample nothing."""

        title = "Still"
        paper = "none"
        cost = "nothing"

    for key, value in {"temperature": 0.5, "max_new_tokens": 8, "backend": "vllm"}.items():
        with pytest.raises(InputError, match=f"{key}= has no effect: builder=still samples no"):
            make_build({"builder": "still", key: value})
    assert make_build({"builder": "still", "max_length": 9}).settings.max_length == 9


def test_a_builders_key_may_not_hide_a_shared_one() -> None:
    @builders.register("hiding")
    class Hiding(Builder):
        """Have a key of all builders."""

        title = "Hiding"
        paper = "none"
        cost = "nothing"
        seed: int = 3

    with pytest.raises(InputError, match="'seed' is a key of every builder; rename it"):
        make_build({"builder": "hiding"})


def test_a_file_of_keys_and_words_make_one_build(tmp_path: Path) -> None:
    file = tmp_path / "build.yaml"
    file.write_text("builder: teacher_responses\nteacher: t\nresponses: 3\nseed: 7\n")
    recipe = parse_build([f"config={file}", "responses=4"])
    assert (recipe.settings.seed, recipe.builder.responses) == (7, 4)
    assert recipe.command == [
        *("kdbench", "build", "builder=teacher_responses", "seed=7", "teacher=t", "responses=4"),
    ]
