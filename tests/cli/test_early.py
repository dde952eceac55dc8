"""A wrong name is reported before anything heavy is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_world import TinyWorld, make_tiny_world

HEAVY = ("torch", "transformers", "lm_eval", "datasets", "pandas", "scipy", "vllm")

# One process runs all commands, so that importing kdbench is paid for once; each must leave the
# heavy packages unloaded, or the next line would see them too.
CODE = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from kdbench.cli.verbs import app
for line in json.loads(sys.stdin.read()):
    err = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(err):
        try:
            app(line.split())
        except SystemExit as end:
            code = end.code
    heavy = [name for name in {heavy!r} if name in sys.modules]
    print(json.dumps([code, err.getvalue(), heavy]))
"""

COMMANDS = {
    "eval model=nowhere data=data tasks=dolly": "model=nowhere: no such folder",
    "eval model=student data=nowhere": "data=nowhere: no such folder",
    "eval model=student data=data tasks=doly": "did you mean 'dolly'?",
    "eval model=student data=data tasks=dolly,vicuna": "data/vicuna/test.jsonl: no such file",
    "eval model=student data=data tasks=dolly metrics=rougel": "unknown metric 'rougel'",
    "eval model=student data=data tasks=dolly protocol=minilm": "unknown protocol 'minilm'",
    "eval model=student data=data tasks=dolly max_new_token=3": "did you mean 'max_new_tokens'?",
    "eval model=student data=data tasks=dolly temperature=0": "give one seed",
    "eval model=student data=data tasks=dolly backend=hff": "unknown backend 'hff'",
    "eval model=student data=data tasks=dolly teacher=nowhere": "teacher=nowhere: no such folder",
    "eval model=student data=data tasks=dolly teacher=cache:nowhere": "no teacher.json",
    "eval model=student data=data tasks=dolly teacher=teacher undistilled=nowhere": (
        "undistilled=nowhere: no such folder"
    ),
    "train method=sft student=nowhere data=data": "student=nowhere: no such folder",
    "train method=sft student=data/nowhere data=data": "student=data/nowhere: no such folder",
    "train method=sft student=student data=data out=data": "exists, and is not a checkpoint",
    "train method=sft student=student data=nowhere": "nowhere/dolly/train.jsonl: no such file",
    "train method=sft student=student data=data pretraining=x": "data/dolly/train.jsonl: no such",
    "train method=gkd student=student teacher=nowhere data=data": "teacher=nowhere: no such",
    "train method=gkd student=student data=data": "teacher= is missing",
    "train method=sft student=prune:teacher,layers=2 data=data": "teacher= is missing",
    "train method=sft student=prune:teacher data=data": "must be prune:MODEL,layers=N",
    "train method=sft student=random:nowhere data=data": "no such config.json",
    "train recipe=toy/gdk student=student": "did you mean 'toy/gkd'?",
    "train method=sft student=student learning_rat=1": "did you mean 'learning_rate'?",
    "regress model=student baseline=nowhere": "baseline=nowhere: is not a run folder",
    "regress model=nowhere baseline=g gates=gates data=data protocol=minillm": "model=nowhere",
    "compare A B": "base=A: is not a run folder",
    "plan run=nowhere": "run=nowhere: is not a run folder",
    "score samples=nowhere task=dolly data=data": "samples=nowhere: no such file",
    "score samples=one.jsonl task=doly data=data": "did you mean 'dolly'?",
    "score run=nowhere": "run=nowhere: no such folder",
    "report results=nowhere": "results=nowhere: no such folder",
    "fill nowhere.yaml": "unknown table 'nowhere.yaml'",
    "fill table.yaml teacher.checkpoint=nowhere": "checkpoint=nowhere: no such folder",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """For each command its exit code, its message, and the heavy packages loaded by then."""
    folder = tmp_path_factory.mktemp("early")
    made: TinyWorld = make_tiny_world(folder, with_echo=False)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", CODE.replace("{heavy!r}", repr(HEAVY))],
        cwd=made.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        input=json.dumps(list(COMMANDS)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    after = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert after == before
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(COMMANDS, lines, strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_name_is_reported_before_torch_is_imported(
    command: str, outcomes: dict[str, list[object]]
) -> None:
    code, message, heavy = outcomes[command]
    assert code == 2
    assert COMMANDS[command] in str(message)
    assert str(message).count("\n") == 1
    assert heavy == []
