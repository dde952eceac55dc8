"""Hostile settings: words of a command line, and config files.

A command that works gets one hostile value, or a key that it did not have.
"""

from dataclasses import dataclass
from typing import Any

import pytest
from hostile import ATOMS, RAW_YAML, changed, yaml_text
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import HEALTH, UNSHRUNK, examples, judge, kept
from tiny_world import TinyWorld

from kdbench import config
from kdbench.comparing.settings import CompareSettings, PlanSettings, RegressSettings
from kdbench.config.kinds import fields_by_key

REPORTS = {"json", "markdown", "junit"}
"""Files that a refused comparison writes all the same."""

REFUSED = {"train", "report"}
"""Verbs that the tiny world has no input for: no model, and no run with a teacher."""

ELSEWHERE = ("/", "../x")
"""Folders that are not the test's to write to."""


@dataclass(frozen=True)
class Command:
    """A command that works.

    Attributes:
        words: Its words.
        settings: Class of its keys.
        fine: Exit codes if it did its work.
        fixed: Key that is always true and on the command line.
    """

    words: str
    settings: Any
    fine: tuple[int, ...] = (0,)
    fixed: str | None = None

    @property
    def verb(self) -> str:
        return self.words.split()[0]

    def given(self, world: TinyWorld) -> dict[str, str]:
        return dict(word.split("=", 1) for word in world.words(self.words)[1:])


COMMANDS = {
    one.verb: one
    for one in (
        Command("score samples=one.jsonl task=dolly data=data name=new", config.ScoreSettings),
        Command(
            "eval model=mine backend=echo data=data tasks=dolly seeds=1,2", config.EvalSettings
        ),
        Command("compare base={one} new={two}", CompareSettings, (0, 1, 3)),
        Command("regress run={two} baseline=g gates=gates", RegressSettings, (0, 1, 3)),
        Command("plan run={one}", PlanSettings),
        Command("table results=results tasks=dolly published=none", config.TableSettings, (0, 1)),
        Command("report results=results", config.ReportSettings),
        Command("fill table=table.yaml", config.FillSettings, fixed="plan"),
        Command("train method=kd student=none teacher=none", config.TrainSettings),
    )
}

TEXTS = [
    *(str(atom) for atom in ATOMS if str(atom) not in RAW_YAML and "\x00" not in str(atom)),
    "\udcff",
    "1,1",
    "a:b:c",
    "a=b",
    "rougeL:1e999",
    "rougeL:nan%",
    "0/1",
    "1e400",
    ",",
    "x" * 300,
]


def keys(command: Command) -> list[str]:
    return sorted(set(fields_by_key(command.settings)) - REPORTS - {command.fixed})


def line_of(command: Command, words: dict[str, str]) -> list[str]:
    fixed = [] if command.fixed is None else [f"--{command.fixed}"]
    return [command.verb, *(f"{key}={value}" for key, value in words.items()), *fixed]


@pytest.mark.parametrize("verb", sorted(set(COMMANDS) - REFUSED))
def test_the_healthy_command_works(verb: str, tiny: TinyWorld) -> None:
    command = COMMANDS[verb]
    with tiny.copied() as world:
        outcome = judge(line_of(command, command.given(tiny)), world.folder, command.fine)
    assert outcome.code in command.fine, outcome


@pytest.mark.parametrize("verb", COMMANDS)
def test_hostile_words(verb: str, tiny: TinyWorld) -> None:
    command = COMMANDS[verb]
    texts = st.sampled_from([text.encode("utf-8", "replace").decode() for text in TEXTS])
    texts |= st.text(st.characters(exclude_characters="\x00/", codec="utf-8"), max_size=12)

    @settings(max_examples=examples(0.7), phases=UNSHRUNK, suppress_health_check=HEALTH)
    @given(st.sampled_from([*keys(command), "config", "unknown_key"]), texts)
    def check(key: str, text: str) -> None:
        if text in ELSEWHERE:
            return
        words = {**command.given(tiny), key: text}
        with kept(f"words of {verb}", f"{key}={text}".encode()), tiny.copied() as world:
            judge(line_of(command, words), world.folder, command.fine)

    check()


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_hostile_config_file(verb: str, tiny: TinyWorld) -> None:
    command = COMMANDS[verb]
    given_values = command.given(tiny)
    one_more = st.tuples(st.sampled_from(keys(command)), st.sampled_from(ATOMS))
    values = changed(given_values) | one_more.map(lambda pair: {**given_values, pair[0]: pair[1]})

    @settings(max_examples=examples(0.7), phases=UNSHRUNK, suppress_health_check=HEALTH)
    @given(values)
    def check(content: Any) -> None:
        found = content.values() if isinstance(content, dict) else ()
        if any(value in ELSEWHERE for value in found if isinstance(value, str)):
            return
        whole = yaml_text(content)
        with kept(f"config of {verb}", whole), tiny.copied() as world:
            (world.folder / "config.yaml").write_bytes(whole)
            line = line_of(command, {"config": "config.yaml"})
            judge(line, world.folder, command.fine)

    check()
