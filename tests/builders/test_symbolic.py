"""Symbolic knowledge distillation: statements, a critic, and what it keeps."""

import json
from pathlib import Path

import pytest
from built_sets import lines_of, rows_of, write_rows

from kdbench.builders.workshop.questions import ModelResponse
from kdbench.builders.workshop.recipe import make_build
from kdbench.builders.workshop.workshop import Workshop
from kdbench.errors import InputError
from kdbench.toy.models import World

ROWS = [
    {"id": f"r{n}", "prompt": f"Say {n}.", "response": f"word {n}", "kind": "word"}
    for n in range(30)
]


@pytest.fixture
def keys(world: World, tmp_path: Path) -> dict[str, str]:
    """The keys of a build."""
    file = write_rows(tmp_path / "mine.jsonl", ROWS)
    return {"train_set": str(file), "teacher": str(world.student), "judge": "exact_match"}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch):
    """Have the teacher write right statements for even rows, which the critic's scores show."""
    asked: dict[str, str] = {}

    def sample(self, key, questions, samples, step):
        asked.update({q.id: q.prompt for q in questions})
        self._pay(Path(step), key, {"responses": len(questions)})
        return {q.id: [ModelResponse(_said(q.id), "stop", 2)] * samples for q in questions}

    def score(self, keys, texts, measure, step):
        sure = {text.id: -0.1 if text.response.startswith("word") else -2.0 for text in texts}
        return {name: {"features": [p, p - 1, -p, 3.0]} for name, p in sure.items()}

    monkeypatch.setattr(Workshop, "sample", sample)
    monkeypatch.setattr(Workshop, "score", score)
    return asked


def _said(name: str) -> str:
    number = int(name[1:])
    return f" word {number}\nand more" if number % 2 == 0 else "nonsense"


def test_what_the_critic_believes_is_kept(build_it, keys, scripted) -> None:
    built = build_it("symbolic", **keys, judgements=20, responses=2)
    rows = rows_of(built)
    assert [row["id"] for row in rows] == [f"r{n}#1" for n in range(0, 30, 2)]  # each text once
    assert rows[1]["response"] == ["word 2"]  # the first line
    assert rows[1]["kind"] == "word"
    assert all(row["critic"] >= 0.5 for row in rows)
    figures = built.card.figures
    assert figures["judged"] == 20
    assert figures["unseen: right after it (precision)"] == 1
    assert figures["unseen: right ones kept (recall)"] == 1
    assert 0 < figures["unseen: right before the filter"] < 1
    (first, *_) = figures["critic by threshold"]
    assert first == {
        "threshold": 0,
        "kept": 1,
        "precision": figures["judged right"],
        "recall": 1,
    }
    removed = lines_of(built.folder / "removed.jsonl")
    assert {line["text"] for line in removed} == {"nonsense"}
    assert "## Critic by threshold" in (built.folder / "README.md").read_text()


def test_a_share_of_the_best_is_kept(build_it, keys, scripted) -> None:
    everything = build_it("symbolic", "all", **keys, threshold=0)
    assert len(rows_of(everything)) == 30
    share = build_it("symbolic", "share", **keys, share=0.5)
    assert len(rows_of(share)) == 15


def test_examples_come_before_a_row_and_do_not_answer_it(build_it, keys, scripted) -> None:
    build_it("symbolic", **keys, shots=3)
    for name, prompt in scripted.items():
        number = name[1:]
        assert prompt.count("Say ") == 4
        assert prompt.endswith(f"Say {number}.")
        assert f"word {number}\n" not in prompt
    (before, *_) = {prompt.rpartition("Say ")[0] for prompt in scripted.values()}
    assert before.count("word ") == 3


def test_plain_texts_are_continued_and_judged_by_people(
    build_it, world: World, scripted, tmp_path: Path
) -> None:
    texts = [{"id": f"r{n}", "text": f"word {n}", "kind": "x"} for n in range(12)]
    file = write_rows(tmp_path / "texts.jsonl", texts)
    judged = [
        {"prompt": "p", "response": "word" if n % 3 else "none", "right": n % 3 > 0}
        for n in range(12)
    ]
    keys = {"train_set": str(file), "teacher": str(world.student)}
    keys["judged"] = str(write_rows(tmp_path / "judged.jsonl", judged))

    with pytest.raises(InputError, match="a plain text asks nothing; pass shots=4 or so"):
        build_it("symbolic", **keys)

    def score(self, keys, texts, measure, step):
        sure = {t.id: -0.1 if str(t.response).startswith("word") else -2.0 for t in texts}
        return {name: {"features": [p, p - 1, -p, 3.0]} for name, p in sure.items()}

    built = build_it("symbolic", **keys, shots=2)
    assert {row["text"] for row in rows_of(built)} == {f"word {n}" for n in range(0, 12, 2)}
    assert all(set(row) == {"id", "text", "kind", "critic"} for row in rows_of(built))
    assert "unseen: right before the filter" not in built.card.figures
    write_rows(tmp_path / "judged.jsonl", [{"prompt": "p", "response": "q", "right": "yes"}])
    with pytest.raises(InputError, match="'right' must be true or false"):
        build_it("symbolic", "other", **keys, shots=2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"judge": None}, "pass judge=RULE or judged=FILE"),
        ({"judged": "x.jsonl"}, "pass judge=RULE or judged=FILE"),
        ({"threshold": 0.5, "share": 0.5}, "threshold= and share= both say"),
        ({"judge": "exact"}, "judge"),
        ({"responses": 2, "temperature": 0}, "responses=2: temperature=0 is greedy"),
        ({"shots": 40}, "shots=40: the set has 29 other rows"),
        ({"limit": 4}, "4 judged statements, 2 of them right: the critic needs 10 or more"),
    ],
)
def test_bad_keys(build_it, keys, scripted, changed: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        build_it("symbolic", **{**keys, **changed})
    assert not (tmp_path / "out").exists()


def test_a_missing_file_of_judgements_is_named(build_it, keys) -> None:
    with pytest.raises(InputError, match=r"judged=nowhere\.jsonl: no such file"):
        build_it("symbolic", **{**keys, "judge": None, "judged": "nowhere.jsonl"})


def test_the_plan_says_what_the_critic_learns_from(keys) -> None:
    recipe = make_build({"builder": "symbolic", **keys, "responses": 2})
    assert dict(recipe.builder.plan(30)) == {
        "asks of teacher": "60 statements",
        "critic": "learns from 200 judged by exact_match",
    }


def test_a_killed_build_resumes_with_the_same_bytes(
    world: World, build_killed_and_resumed, tmp_path: Path
) -> None:
    """A rule that finds half of the short statements right, whatever they say."""
    lines = (world.data / "dolly/train.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    facts = [row for row in rows if row["category"] in ("city", "pet")][:14]
    file = write_rows(tmp_path / "facts.jsonl", facts)
    words = ["symbolic", f"teacher={world.teacher}", f"train_set={file}", "judge=rougeL>=0.5"]
    words += ["responses=2", "max_new_tokens=12", "threshold=0.2"]
    built = build_killed_and_resumed(words)
    card = json.loads((built / "card.json").read_text())
    assert card["cost"]["teacher"]["responses"] == 28  # three passes pay once
