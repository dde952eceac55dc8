"""Evol-Instruct with a model whose words are scripted, and by rules."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from echo_backend import Echo

from kdbench.builders.workshop.build import Built, build
from kdbench.builders.workshop.recipe import parse_build
from kdbench.errors import InputError
from kdbench.generate import Sample, backends
from kdbench.toy.models import World

Script = Callable[[str], str]


class Scripted(Echo):
    """Answers what a script says to a prompt; a text that ends with … is cut."""

    script: Script
    asked: list[str]

    def generate(self, rows: Any, until: Any) -> Iterator[Sample]:  # noqa: ARG002
        for row in rows:
            prompt = "".join(map(chr, row.prompt_ids))
            type(self).asked.append(prompt)
            text = type(self).script(prompt)
            finish = "length" if text.endswith("…") else "stop"
            yield Sample(row.document, row.seed, text, len(text), finish)


class Evolving:
    """Builds from prompts with the scripted model."""

    def __init__(self, folder: Path, teacher: Path):
        self.folder, self.teacher = folder, teacher

    def build(
        self, script: Script, rows: list[dict[str, Any]], *words: str, out: str = "out"
    ) -> Built:
        Scripted.script, Scripted.asked = staticmethod(script), []
        file = self.folder / "mine.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        shared = [f"teacher={self.teacher}", f"train_set={file}", f"out={self.folder / out}"]
        return build(parse_build(["evol_instruct", "backend=scripted_texts", *shared, *words]))


@pytest.fixture
def evolving(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evolving:
    backends.names()
    monkeypatch.setitem(backends._parts, "scripted_texts", Scripted)
    return Evolving(tmp_path, world.teacher)


def lines(file: Path) -> list[dict[str, Any]]:
    if not file.exists():  # nothing was removed
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def is_rewriting(prompt: str) -> bool:
    return "Changed task:" in prompt or "Invented task:" in prompt


def given(prompt: str) -> str:
    """The task in a question for an evolved prompt."""
    return prompt.split("Task: ", 1)[1].split("\n\nChanged", 1)[0].split("\n\nInvented", 1)[0]


PROMPT = {"id": "a", "prompt": "Name three rivers.", "response": "Rhine, Elbe, Danube", "kind": "x"}


def test_lineage_over_rounds(evolving: Evolving) -> None:
    def script(prompt: str) -> str:
        if is_rewriting(prompt):
            return f"Changed task: {given(prompt)} And say why it is so number 0"
        return f"answer to: {prompt[-10:]}"

    built = evolving.build(script, [PROMPT], "rounds=3", "operators=deepen,breadth")
    original, *evolved = lines(built.train_file)
    assert original == PROMPT | {"response": ["Rhine, Elbe, Danube"]}
    assert [row["id"] for row in evolved] == ["a~1", "a~2", "a~3"]
    assert [row["parent"] for row in evolved] == ["a", "a~1", "a~2"]
    assert [row["round"] for row in evolved] == [1, 2, 3]
    assert {row["operator"] for row in evolved} <= {"deepen", "breadth"}
    assert {row["kind"] for row in evolved} == {"x"}
    addition = " And say why it is so number 0"
    assert [row["prompt"] for row in evolved] == [
        PROMPT["prompt"] + addition * count for count in (1, 2, 3)
    ]
    assert evolved[0]["response"] == ["answer to: o number 0"]
    assert built.card.figures["attempts"] == 3
    assert built.card.figures["share that survives"] == 1
    assert built.card.cost["teacher"]["responses"] == 6
    assert lines(built.folder / "removed.jsonl") == []


def test_each_failure_is_recorded_and_counted(evolving: Evolving) -> None:
    replies = {
        "copied": ("Name  the RIVER copied", ""),
        "empty": (" ", ""),
        "cut": ("Name the river cut that flows into…", ""),
        "gain": ("Name the long river gain", ""),
        "refusal": ("I'm sorry, I cannot do that with this one.", ""),
        "leak": ("Leave everything else of the task as it is", ""),
        "lost": ("Sing us a very loud song", ""),
        "refused": ("Name the river refused and all its towns", "I cannot say."),
        "mute": ("Name the river mute and all its towns", "..."),
        "fine": ("Name the river fine and all its towns", "Rhine"),
    }

    def script(prompt: str) -> str:
        name = next(name for name in replies if f"river {name}" in prompt)
        return replies[name][not is_rewriting(prompt)]

    rows = [{"id": n, "prompt": f"Name the river {n}.", "response": "None."} for n in replies]
    built = evolving.build(script, rows, "originals=false", "operators=deepen,concretise")
    assert [row["id"] for row in lines(built.train_file)] == ["fine~1"]
    reasons = {row["id"]: row["reason"] for row in lines(built.folder / "removed.jsonl")}
    assert reasons == {
        "copied": "copied prompt",
        "empty": "empty prompt",
        "cut": "cut prompt",
        "gain": "no gain",
        "refusal": "refusal",
        "leak": "words of the template",
        "lost": "another subject",
        "refused": "refused answer",
        "mute": "empty answer",
    }
    figures = built.card.figures
    assert [figures[f"removed: {reason}"] for reason in reasons.values()] == [1] * 9
    assert (figures["attempts"], figures["evolved rows"]) == (10, 1)
    assert figures["share that survives"] == pytest.approx(1 / 10)
    failed = {row["id"]: row for row in lines(built.folder / "removed.jsonl")}
    assert failed["gain"]["evolved"] == "Name the long river gain"
    assert failed["refused"]["answer"] == "I cannot say."
    assert failed["refused"]["attempt"] == "refused~1"
    assert len(Scripted.asked) == 10 + 3  # only prompts that pass are answered


def test_what_failed_is_tried_again_from_its_parent(evolving: Evolving) -> None:
    tries = iter(["Name three rivers.", "Name three rivers that flow through Rome."])

    def script(prompt: str) -> str:
        if is_rewriting(prompt):
            assert given(prompt) == "Name three rivers."
            return next(tries)
        return "Tiber"

    built = evolving.build(script, [PROMPT], "rounds=2", "originals=false")
    (row,) = lines(built.train_file)
    assert (row["id"], row["parent"], row["round"]) == ("a~2", "a", 2)


def test_the_teacher_decides_on_the_gain(evolving: Evolving) -> None:
    def script(prompt: str) -> str:
        if "Second task:" in prompt:
            return "Yes." if "river b" in prompt else "No, they differ."
        return f"{given(prompt)} And all its towns" if is_rewriting(prompt) else "Rhine"

    rows = [{"id": n, "prompt": f"Name the river {n}.", "response": "None."} for n in "abc"]
    built = evolving.build(script, rows, "originals=false", "ask_gain=true")
    assert [row["id"] for row in lines(built.train_file)] == ["a~1", "c~1"]
    (removed,) = lines(built.folder / "removed.jsonl")
    assert removed["reason"] == "no gain, says the teacher"


def test_layouts_of_rows(evolving: Evolving) -> None:
    def script(prompt: str) -> str:
        return f"{given(prompt)} And all its towns" if is_rewriting(prompt) else "Rhine"

    rows = [{"id": "i", "instruction": "Name it.", "input": "a river", "output": "Elbe", "w": 1}]
    built = evolving.build(script, rows, "originals=false")
    (row,) = lines(built.train_file)
    assert row["instruction"] == "Name it.\n\na river And all its towns"
    assert (row["input"], row["output"], row["w"]) == ("", ["Rhine"], 1)

    def turn(role: str, content: str) -> dict[str, str]:
        return {"role": role, "content": content}

    one = [turn("system", "Be kind."), turn("user", "Name it."), turn("assistant", "Elbe")]
    two = [*one, turn("user", "More"), turn("assistant", "Danube")]
    rows = [{"id": "one", "messages": one}, {"id": "two", "messages": two}]
    built = evolving.build(script, rows, "writer=rules", "operators=deepen", out="chat")
    found = {row["id"]: row for row in lines(built.train_file)}
    assert list(found) == ["one", "one~1", "two"]
    assert found["one~1"]["messages"][0] == one[0]
    assert found["one~1"]["messages"][1]["content"].startswith("Name it. ")
    assert found["one~1"]["response"] == ["Rhine"]
    assert built.card.figures["rows that are no single prompt"] == 1


def test_a_killed_build_resumes_with_the_same_bytes(world: World, build_killed_and_resumed) -> None:
    words = ["evol_instruct", f"teacher={world.teacher}", f"data={world.data}", "limit=3"]
    words += ["writer=rules", "rounds=2", "max_new_tokens=6", "batch_size=4"]
    built = build_killed_and_resumed(words)
    rows = lines(built / "dolly/train.jsonl")
    figures = json.loads((built / "card.json").read_text())["figures"]
    assert len(rows) == 3 + figures["evolved rows"] > 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["operators=deepen,widen"], "'widen' is not one of add_constraint, deepen"),
        (["rounds=0"], "rounds=0"),
        (["writer=me"], "writer=me"),
    ],
)
def test_bad_input(evolving: Evolving, words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evolving.build(lambda _: "", [PROMPT], *words)
    assert not (evolving.folder / "out").exists()
