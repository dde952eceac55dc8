"""Hostile files: a verb that reads one is right, or ends in one line and exit 2.

A healthy file gets one hostile change: a value, a key, or its bytes. `nox -s fuzz` runs this for
longer and with random seeds.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import yaml
from hostile import json_text, lines, written, yaml_text
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import HEALTH, UNSHRUNK, examples, judge, kept
from tiny_world import TinyWorld

Kind = Callable[[str], st.SearchStrategy[bytes]]


def of_json(text: str) -> st.SearchStrategy[bytes]:
    return written(json.loads(text), json_text)


def of_yaml(text: str) -> st.SearchStrategy[bytes]:
    return written(yaml.safe_load(text), yaml_text)


def of_lines(text: str) -> st.SearchStrategy[bytes]:
    return lines([json.loads(line) for line in text.splitlines()])


@dataclass(frozen=True)
class Target:
    """A file to damage and the verbs that read it.

    Attributes:
        kind: Strategy for the damaged file.
        file: The file, in which {one} and {two} are the folders of the two runs.
        verbs: Command lines.
        fine: Exit codes of a verb that did its work.
        share: Share of the examples of a target whose verbs take milliseconds.
    """

    kind: Kind
    file: str
    verbs: tuple[str, ...]
    fine: tuple[int, ...] = (0,)
    share: float = 1.0


SCORE = "score samples=one.jsonl data=data"
ECHO = "eval model=mine backend=echo data=data tasks=dolly seeds=1,2"
COMPARE = "compare {one} {two}"
TABLE = "table results=results tasks=dolly published=none"

TARGETS = {
    "data rows": Target(of_lines, "data/dolly/test.jsonl", (f"{SCORE} task=dolly name=new",)),
    "data rows of eval": Target(of_lines, "data/dolly/test.jsonl", (ECHO,), share=0.5),
    "data rows of a YAML task": Target(
        of_lines, "rows.jsonl", (f"{SCORE} task=task.yaml",), share=0.3
    ),
    "prompts": Target(
        of_lines, "rows.jsonl", ("score samples=one.jsonl task=rows.jsonl name=new",), share=0.3
    ),
    "samples": Target(of_lines, "one.jsonl", (f"{SCORE} task=dolly name=new",)),
    "samples of a run": Target(
        of_lines, "{one}/samples/dolly.jsonl", ("score run={one} data=data", "plan run={one}")
    ),
    "samples that are compared": Target(
        of_lines, "{two}/samples/dolly.jsonl", (f"{COMPARE} interval=hierarchical",), (0, 1, 3)
    ),
    "result of a table": Target(of_json, "{one}/dolly.json", (TABLE,)),
    "result of a plan": Target(of_json, "{one}/dolly.json", ("plan run={one}",)),
    "result that is scored again": Target(
        of_json, "{one}/dolly.json", ("score run={one} data=data",)
    ),
    "result that is compared": Target(of_json, "{two}/dolly.json", (COMPARE,), (0, 1, 3)),
    "record of a table": Target(of_json, "{one}/run.json", (TABLE,)),
    "record of a scored run": Target(of_json, "{one}/run.json", ("score run={one} data=data",)),
    "record that is compared": Target(of_json, "{two}/run.json", (COMPARE,), (0, 1, 3)),
    "gate": Target(
        of_json, "gates/g.json", ("regress run={two} baseline=g gates=gates",), (0, 1, 3)
    ),
    "run card": Target(of_json, "mine/kdbench.json", (ECHO,), share=0.5),
    "task": Target(of_yaml, "task.yaml", (f"{SCORE} task=task.yaml",), share=0.5),
    "published numbers": Target(
        of_yaml, "published.yaml", ("table baselines=published.yaml tasks=dolly",)
    ),
    "table file": Target(of_yaml, "table.yaml", ("fill table.yaml --plan",), share=0.3),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_healthy_file_is_right(name: str, tiny: TinyWorld) -> None:
    # Else each damaged file would be refused for another reason than its damage.
    for line in TARGETS[name].verbs:
        with tiny.copied() as world:
            outcome = judge(world.words(line), world.folder, TARGETS[name].fine)
        assert outcome.code in TARGETS[name].fine, outcome


@pytest.mark.parametrize("name", TARGETS)
def test_a_hostile_file(name: str, tiny: TinyWorld) -> None:
    target = TARGETS[name]
    (file,) = tiny.words(target.file)
    damaged = target.kind((tiny.folder / file).read_text(encoding="utf-8"))

    @settings(max_examples=examples(target.share), phases=UNSHRUNK, suppress_health_check=HEALTH)
    @given(damaged)
    def check(content: bytes) -> None:
        with kept(name, content), tiny.copied() as world:
            (world.folder / file).write_bytes(content)
            for line in target.verbs:
                judge(world.words(line), world.folder, target.fine)

    check()
