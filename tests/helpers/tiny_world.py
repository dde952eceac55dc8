"""A tiny world without a model: two prompts, the texts of two students, scores and a gate."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from echo_backend import Echo
from outcomes import run

from kdbench.generate import backends

ROWS: list[dict[str, Any]] = [
    {"id": "a", "instruction": "Name a colour.", "input": "", "output": ["red is a colour"]},
    {"id": "b", "instruction": "Name a fruit.", "input": "Spain", "output": ["orange", "a lemon"]},
]
TASK: dict[str, Any] = {
    "task": "mine",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{instruction}} {{input}}",
    "doc_to_target": "{{output[0]}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}
TABLE: dict[str, Any] = {
    "title": "tiny",
    "setting": "s",
    "teacher": {"label": "Teacher", "checkpoint": "teacher"},
    "student": {"label": "Student", "checkpoint": "student"},
    "undistilled": "SFT",
    "rows": [{"train": {"method": "sft", "steps": 2}}, {"label": "Mine", "checkpoint": "mine"}],
    "train": {"batch_size": 2, "train_set": "dolly"},
    "evaluate": {"limit": 1, "metrics": ["rougeL"], "seeds": [1, 2]},
    "data": "data",
    "models": "models",
    "results": "filled",
    "tasks": ["dolly"],
    "columns": ["dolly", "AVG"],
    "published": [],
}
PUBLISHED: dict[str, Any] = {
    "schema": 1,
    "metric": "rougeL",
    "columns": ["dolly"],
    "sources": {"p": {"title": "A paper", "url": "https://example.org", "note": ""}},
    "settings": [
        {
            "id": "s",
            "title": "large to small",
            "teacher": "large",
            "student": "small",
            "rows": [
                {
                    "method": "KD",
                    "role": "student",
                    "source": "p",
                    "certainty": "verified",
                    "decimals": 2,
                    "values": {"dolly": 23.5},
                    "sd": {"dolly": 0.5},
                }
            ],
        }
    ],
}
CARD: dict[str, Any] = {
    "schema": 1,
    "method": "GKD",
    "setting": "s",
    "steps": 2,
    "training": {"settings": {"method": "gkd", "batch_size": 2}},
    "phases": {"generate": {"seconds": 1.5, "tokens": 20}, "train": {"seconds": 2.0, "tokens": 9}},
}


@dataclass(frozen=True)
class TinyWorld:
    """The folder of the world."""

    folder: Path

    def words(self, line: str) -> list[str]:
        """Words of a command line, in which {one} and {two} are the folders of the two runs."""
        return [
            word.replace("{one}", self.run("one")).replace("{two}", self.run("two"))
            for word in line.split()
        ]

    def run(self, name: str) -> str:
        """The folder of a student's run."""
        (file,) = self.folder.glob(f"results/{name}/*/run.json")
        return str(file.parent.relative_to(self.folder))

    @contextmanager
    def copied(self) -> Iterator["TinyWorld"]:
        """A copy of the world, in which this process works meanwhile."""
        before = Path.cwd()
        with tempfile.TemporaryDirectory() as place:
            copy = TinyWorld(Path(place) / "world")
            shutil.copytree(self.folder, copy.folder)
            os.chdir(copy.folder)
            try:
                yield copy
            finally:
                os.chdir(before)


def make_tiny_world(folder: Path, with_echo: bool = True) -> TinyWorld:
    """Make the world in an empty folder; with the backend `echo`, which this process then has."""
    if with_echo and "echo" not in backends.names():
        backends.register("echo")(Echo)
    write_lines(folder / "data" / "dolly" / "test.jsonl", ROWS)
    write_lines(folder / "rows.jsonl", ROWS)
    for name, content in (("task", TASK), ("table", TABLE), ("published", PUBLISHED)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for name in ("teacher", "student", "mine"):
        _checkpoint(folder / name)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name, words in (("one", ("red", "orange")), ("two", ("blue", "a lemon"))):
            write_lines(folder / f"{name}.jsonl", texts(*words))
            _must(["score", f"samples={name}.jsonl", "task=dolly", "data=data"])
        _must(TinyWorld(folder).words("regress run={one} baseline=g gates=gates --update reason=x"))
    finally:
        os.chdir(before)
    return TinyWorld(folder)


def texts(*words: str) -> list[dict[str, Any]]:
    """The samples of a student: its words for each prompt, at two seeds."""
    return [
        {"id": one, "seed": seed, "output": f"{word} {one} {seed}", "n_tokens": 3, "finish": "stop"}
        for one, word in zip("ab", words, strict=True)
        for seed in (1, 2)
    ]


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a JSONL file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _checkpoint(folder: Path) -> None:
    """A folder that counts as a checkpoint as long as nobody loads it."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "kdbench.json").write_text(json.dumps(CARD))


def _must(words: list[str]) -> None:
    done = run(words)
    assert done.code == 0, (words, done)
