"""The builder that removes rows which overlap with test sets."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lm_eval_tasks import ROWS, write_tasks

from kdbench.builders.workshop.build import Built, build
from kdbench.builders.workshop.recipe import parse_build
from kdbench.errors import InputError
from kdbench.toy.models import World

WORDS = [f"w{number}" for number in range(5000)]


class Case:
    """A training set and a file of test prompts."""

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, name: str, rows: Sequence[dict[str, Any]]) -> Path:
        file = self.folder / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    def build(
        self,
        train: Sequence[dict[str, Any]],
        test: Sequence[dict[str, Any]],
        *words: str,
        out: str = "out",
    ) -> Built:
        files = self.write("mine.jsonl", train), self.write("held_out.jsonl", test)
        return build(
            parse_build(
                ["decontaminate", f"train_set={files[0]}", f"out={self.folder / out}", *words]
                + ([] if "against=" in " ".join(words) else [f"against={files[1]}"])
            )
        )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def removed(built: Built) -> dict[str, dict[str, Any]]:
    lines = (built.folder / "removed.jsonl").read_text().splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def kept(built: Built) -> list[str]:
    return [json.loads(line)["id"] for line in built.train_file.read_text().splitlines()]


def row(name: str, prompt: str, response: str = "none") -> dict[str, Any]:
    return {"id": name, "prompt": prompt, "response": response}


def test_planted_copies_are_found_and_nothing_else(case: Case) -> None:
    chance = random.Random(3)

    def text(least: int) -> list[str]:
        return chance.choices(WORDS, k=chance.randint(least, 45))

    def filler() -> list[str]:  # of words that no test text has
        return [f"x{word}" for word in text(5)]

    prompts = [text(20) for _ in range(60)]
    tests = [row(f"t{n}", " ".join(words), " ".join(text(8))) for n, words in enumerate(prompts)]
    train, expected = [], {}
    for number, words in enumerate(prompts):
        loud = " ".join(w.upper() for w in words).replace(" ", ",  ") + "!?"
        changed = list(words)
        changed[chance.randrange(len(words))] = chance.choice(WORDS)
        run = chance.randrange(len(words) - 12)
        inside = [*filler(), *words[run : run + 13], *filler()]
        short = [*filler(), *words[run : run + 12], *filler()]  # one word too few
        other = " ".join(text(8))
        for kind, prompt, response in (
            ("copy", " ".join(words), other),
            ("loud", loud, other),
            ("changed", " ".join(changed), other),
            ("inside", " ".join(inside), other),
            ("answer", " ".join(text(8)), tests[number]["response"].title()),
            ("short", " ".join(short), other),
            ("unrelated", " ".join(text(5)), other),
        ):
            train.append(row(f"{kind}{number}", prompt, response))
            if kind not in ("short", "unrelated"):
                expected[f"{kind}{number}"] = f"t{number}"
    chance.shuffle(train)
    built = case.build(train, tests)
    found = {name: line["overlaps"][0]["id"] for name, line in removed(built).items()}
    assert found == expected
    assert kept(built) == [line["id"] for line in train if line["id"] not in expected]
    figures = built.card.figures
    assert figures["held_out: documents found"] == "60 of 60"
    assert figures["held_out: rows by exact"] == 180  # copy, loud and answer
    assert figures["held_out: rows by exact"] + figures["held_out: rows by ngram"] + figures.get(
        "held_out: rows by near", 0
    ) == len(expected)


PROMPT = (
    "who wrote the long book about the white whale that nobody read for sixty years after it was "
    "printed in london"
)


def test_by_hand(case: Case) -> None:
    answer = "Herman Melville, who had been a sailor, wrote it in Massachusetts."
    tests = [row("q", PROMPT.capitalize() + "?", answer), row("r", "Is it?", "Yes.")]
    changed = PROMPT.replace("nobody", "few")  # in 3 of 19 triples, and in every run of 13
    train = [
        row("equal", PROMPT, "I forgot."),
        row("equal answer", "Another question about it?", answer.lower()),
        row("changed", changed, "I forgot."),
        row("quoted", f"Translate: {PROMPT}. Thanks!", "I forgot."),
        row("quoted in the answer", "Ask me something", f"Sure: {PROMPT}? Do you know?"),
        row("other", "who wrote the long book about the black cat", "Yes."),
        row("short", "is it", "No."),
    ]
    built = case.build(train, tests)
    lines = removed(built)
    assert kept(built) == ["other"]
    equal = {"set": "held_out", "id": "q", "field": "prompt", "similarity": 1.0}
    (overlap,) = lines["equal"]["overlaps"]
    assert overlap == {**equal, "kind": "exact", "matched": PROMPT.capitalize() + "?"}
    assert lines["equal"]["response"] == ["I forgot."]
    assert lines["equal"]["prompt"] == PROMPT
    assert lines["equal answer"]["overlaps"][0]["field"] == "response"
    (overlap,) = lines["quoted"]["overlaps"]
    assert overlap == {**equal, "kind": "ngram", "matched": PROMPT}
    assert lines["quoted in the answer"]["reason"] == "ngram"
    (overlap,) = lines["changed"]["overlaps"]
    assert overlap["kind"] == "near"
    assert overlap["similarity"] == pytest.approx(16 / 22, abs=1e-4)
    assert lines["short"]["reason"] == "exact"  # but "Yes." removes nothing
    assert built.card.figures == {
        "held_out: documents found": "2 of 2",
        "held_out: rows by exact": 3,
        "held_out: rows by ngram": 2,
        "held_out: rows by near": 1,
        "runs of words too common to count": 0,
        "removed: exact": 3,
        "removed: ngram": 2,
        "removed: near": 1,
    }


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["by=exact"], ["changed", "quoted"]),
        (["by=ngram"], ["changed"]),
        (["by=near"], []),
        (["fields=response"], ["equal", "changed", "quoted"]),
        (["fields=both", "by=exact"], ["equal", "answer", "changed", "quoted"]),
        (["fields=both", "by=ngram"], ["answer", "changed"]),
        (["near=0.75"], ["changed"]),
        (["ngram=9"], []),
        (["ngram_share=1"], []),
    ],
)
def test_keys(case: Case, words: list[str], left: list[str]) -> None:
    answer = "I do not know who wrote it, or why."
    train = [
        row("equal", PROMPT, "Melville"),
        row("answer", "Do you know it?", answer.upper()),
        row("changed", PROMPT.replace("nobody", "few"), "Melville"),
        row("quoted", f"Translate: {PROMPT}", "Melville"),
        row("both", PROMPT, answer),
        row("other", "Who wrote this test for a builder?", "Melville"),
    ]
    built = case.build(train, [row("q", PROMPT, answer)], *words)
    assert kept(built) == [*left, "other"]


def test_all_documents_that_a_row_holds_are_counted(case: Case) -> None:
    other = PROMPT.replace("whale", "cat")
    tests = [row("a", PROMPT), row("b", other), row("c", "Who?")]
    train = [row("both", f"{PROMPT} {other}"), row("left", "Is it?")]
    built = case.build(train, tests)
    assert built.card.figures["held_out: documents found"] == "2 of 3"
    assert built.card.figures["held_out: rows by ngram"] == 1


def test_share_of_the_test_text(case: Case) -> None:
    tests = [row("q", " ".join(f"w{n}" for n in range(30)))]
    train = [row("half", " ".join(f"w{n}" for n in range(15))), row("other", "What is it?")]
    assert kept(case.build(train, tests, "ngram_share=0.5")) == ["other"]
    assert kept(case.build(train, tests, "ngram_share=0.51", out="more")) == ["half", "other"]


def test_a_leak_is_found_however_often_it_occurs(case: Case) -> None:
    chance = random.Random(0)
    prompts = [" ".join(chance.choices(WORDS, k=30)) for _ in range(3)]
    part = " ".join(prompts[1].split()[:20])  # a run, not the whole
    train = [row(f"a{n}", f"{prompts[0]} {n}") for n in range(30)]
    train += [row(f"b{n}", part) for n in range(30)]
    near = " ".join(["x", *prompts[2].split()[1:]])
    train += [row(f"c{n}", near) for n in range(30)]
    tests = [row(f"t{n}", prompt) for n, prompt in enumerate(prompts)]
    built = case.build([*train, row("other", "What is it?")], tests)
    assert kept(built) == ["other"]


CONVERSATION = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "A first question about something else?"},
    {"role": "assistant", "content": "An answer."},
    {"role": "user", "content": "And more?"},
    {"role": "assistant", "content": "More."},
]


def test_kinds_of_rows(case: Case) -> None:
    def chat(name: str, place: int, text: str) -> dict[str, Any]:
        turns = [dict(turn) for turn in CONVERSATION]
        turns[place]["content"] = text
        return {"id": name, "messages": turns}

    tests = [row("short", "Is it?"), row("long", PROMPT)]
    train = [chat("user", 1, "is it"), chat("last", 3, "IS IT"), chat("said", 2, f"x {PROMPT}")]
    assert kept(case.build([*train, chat("other", 0, "x")], tests)) == ["other"]
    train = [{"id": "text", "text": f"{PROMPT} Yes."}, {"id": "other", "text": "Is it so?"}]
    assert kept(case.build(train, tests, out="texts")) == ["other"]
    train = [
        {"id": "i", "instruction": "Is", "input": "it?", "output": "no"},
        {"id": "other", "instruction": "Is it so?", "input": "", "output": "no", "category": "c"},
    ]
    built = case.build(train, tests, out="instructions")
    (line,) = built.train_file.read_text().splitlines()
    assert json.loads(line) == train[1] | {"output": ["no"]}


def test_the_examples_of_a_task_are_not_its_questions(case: Case, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    write_tasks(tmp_path / "tasks")
    task = tmp_path / "tasks/shots.yaml"
    question = ROWS[0]["question"].strip()
    train = [row("q", question), row("o", "Is it?")]
    built = case.build(train, [], f"against={task}", "by=exact")
    assert kept(built) == ["o"]


def test_the_test_sets_are_part_of_the_identity(case: Case) -> None:
    train = [row("q", PROMPT), row("other", "Who?")]
    assert case.build(train, [row("t", PROMPT)]).is_new
    assert not case.build(train, [row("t", PROMPT)]).is_new
    card = (case.folder / "out/card.json").read_text()
    assert str(case.folder) not in card  # the content stands for where it is
    with pytest.raises(InputError, match="was built with a different files against"):
        case.build(train, [row("t", "Another one")])


def test_the_five_sets(world: World, build_killed_and_resumed, tmp_path: Path) -> None:
    tests = (world.data / "self_instruct/test.jsonl").read_text().splitlines()
    train = (world.data / "dolly/train.jsonl").read_text().splitlines()[:30]
    for number, line in enumerate(tests[:3]):
        train[5 * number] = json.dumps(json.loads(line) | {"id": f"planted{number}"})
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(train) + "\n")
    built = build_killed_and_resumed(
        ["decontaminate", f"train_set={file}", f"data={world.data}", "by=exact,ngram"]
    )
    lines = [json.loads(line) for line in (built / "removed.jsonl").read_text().splitlines()]
    planted = [line for line in lines if line["id"].startswith("planted")]
    assert [line["reason"] for line in planted] == ["exact"] * 3
    assert all(line["overlaps"][0]["set"] == "self_instruct" for line in planted)
    card = json.loads((built / "card.json").read_text())
    assert card["rows_out"] == 30 - len(lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["by=exact,close"], "by=exact,close: 'close' is not one of exact, ngram, near"),
        (["fields=answer"], "'answer' is not one of prompt, response, both"),
        (["against="], "against="),
        (["against=nothing.jsonl"], "^against=nothing.jsonl: no such file"),
        (["against=dolli"], "dolli"),
        (["near=0"], "near=0"),
    ],
)
def test_bad_input(case: Case, words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        case.build([row("q", "Who?")], [row("t", "Who?")], *words)
    assert not (case.folder / "out").exists()


def test_nothing_left(case: Case) -> None:
    with pytest.raises(InputError, match=r"kept none of 1 rows; .*rows by exact 1"):
        case.build([row("q", "Who?")], [row("t", "who")])
