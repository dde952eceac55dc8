"""`kdbench build select`: rows that are kept, sizes, groups, labelled sets, rules of others."""

import json
import random
import shutil
import signal
from collections import Counter

import pytest
from killed_builds import Killed, Recorded, files_of, run_build

from kdbench.builders.selection import selection_rules
from kdbench.builders.workshop.build import build
from kdbench.builders.workshop.card import read_card
from kdbench.builders.workshop.dry_run import plan_build
from kdbench.builders.workshop.recipe import parse_build
from kdbench.errors import InputError

SCORED = ("max_new_tokens=6", "batch_size=8")


@pytest.fixture(autouse=True)
def _rules_of_a_test_go_with_it(monkeypatch):
    selection_rules.names()
    monkeypatch.setattr(selection_rules, "_parts", dict(selection_rules._parts))


def run(*words):
    return build(parse_build(["select", *map(str, words)]))


def lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def rows_of(built):
    return lines(built.train_file)


def ids_of(built):
    return [row["id"] for row in rows_of(built)]


def write(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


@pytest.fixture
def prompts(tmp_path):
    rows = [
        {
            "id": f"p{n:02d}",
            "prompt": f"ask {n}",
            "response": "x" * (n % 7 + 1),
            "kind": "ab"[n % 3 == 0],
        }
        for n in range(30)
    ]
    return write(tmp_path / "prompts.jsonl", rows)


def test_kept_rows_stay_as_they_are_and_in_order(world, tmp_path):
    built = run("by=random", "share=0.3", f"data={world.data}", f"out={tmp_path / 'o'}")
    before = {row["id"]: row for row in lines(world.data / "dolly" / "train.jsonl")}
    rows = rows_of(built)
    assert len(rows) == built.card.rows_out == 180
    assert [row["id"] for row in rows] == [n for n in before if n in {row["id"] for row in rows}]
    assert all(row == before[row["id"]] for row in rows)
    removed = lines(built.folder / "removed.jsonl")
    assert {row["id"] for row in removed} == before.keys() - {row["id"] for row in rows}
    assert {row["reason"] for row in removed} == {"not chosen"}
    assert all(0 <= row["score"] < 1 for row in removed)
    assert built.card.figures["removed: not chosen"] == 420
    assert built.card.identity.parameters["by"] == "random"


def test_a_smaller_share_is_part_of_a_larger_one_and_a_seed_decides(prompts, tmp_path):
    def of(name, *words):
        return set(
            ids_of(run("by=random", f"train_set={prompts}", f"out={tmp_path / name}", *words))
        )

    small, large, other = of("1", "rows=5"), of("2", "rows=12"), of("3", "rows=5", "seed=3")
    assert len(small) == 5
    assert small < large
    assert other != small


def test_the_order_of_the_rows_decides_nothing(prompts, tmp_path):
    rows = lines(prompts)
    random.Random(0).shuffle(rows)
    shuffled = write(tmp_path / "shuffled.jsonl", rows)
    for words in (("by=random",), ("by=length", "which=longest"), ("by=random", "within=kind")):
        first, second = (
            run(*words, "rows=9", f"train_set={file}", f"out={tmp_path / (name + words[-1])}")
            for name, file in (("a", prompts), ("b", shuffled))
        )
        assert set(ids_of(first)) == set(ids_of(second))


def test_the_share_of_each_group(prompts, tmp_path):
    built = run(
        "by=length", "within=kind", "rows=12", f"train_set={prompts}", f"out={tmp_path / 'o'}"
    )
    assert Counter(row["kind"] for row in rows_of(built)) == {"a": 8, "b": 4}
    assert built.card.figures["kind=a: share that is kept"] == pytest.approx(0.4)
    assert built.card.figures["kind=b: share of kept"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("which=shortest",), {1}),
        (("which=longest",), {7}),
        (("which=longest", "of=prompt"), None),
    ],
)
def test_the_shortest_and_the_longest(words, expected, prompts, tmp_path):
    built = run("by=length", *words, "rows=4", f"train_set={prompts}", f"out={tmp_path / 'o'}")
    rows = rows_of(built)
    if expected is None:  # of equal prompts, the first ids
        assert [row["id"] for row in rows] == ["p10", "p11", "p12", "p13"]
    else:
        assert {len(row["response"][0]) for row in rows} == expected


def test_random_rows_as_long_as_those_of_a_set(prompts, tmp_path):
    like = run(
        "by=length", "which=longest", "rows=6", f"train_set={prompts}", f"out={tmp_path / 'l'}"
    )
    words = ("by=length", "which=matched", f"like={like.folder}", f"train_set={prompts}", "bins=4")
    built = run(*words, f"out={tmp_path / 'o'}")
    assert len(ids_of(built)) == 6
    assert all(len(row["response"][0]) >= 5 for row in rows_of(built))
    assert ids_of(built) != ids_of(like)
    figures = built.card.figures
    assert abs(figures["mean length"] - figures["mean length of like="]) < 1


def test_labelled_rows_are_not_chosen_again(prompts, tmp_path):
    words = (f"train_set={prompts}", "by=random")
    first = run(*words, "rows=10", f"out={tmp_path / '1'}")
    second = run(*words, "rows=10", f"without={first.folder}", f"out={tmp_path / '2'}")
    assert not set(ids_of(first)) & set(ids_of(second))
    third = run(
        *words, "rows=10", f"without={first.folder},{second.train_file}", f"out={tmp_path / '3'}"
    )
    assert len({*ids_of(first), *ids_of(second), *ids_of(third)}) == 30
    assert third.card.figures["removed: in without="] == 20
    assert len(third.card.identity.files) == 2
    twin = run(*words, "rows=3", "seed=2", f"out={tmp_path / 'twin' / '1'}")  # the same name
    both = run(
        *words, "rows=4", f"without={first.folder},{twin.folder}", f"out={tmp_path / 'both'}"
    )
    assert len(both.card.identity.files) == 2
    with pytest.raises(InputError, match=r"all 30 rows of prompts\.jsonl are in these sets"):
        run(*words, f"without={prompts}", f"out={tmp_path / '4'}")
    with pytest.raises(InputError, match="rows=21: there are only 20 rows to choose from"):
        run(*words, "rows=21", f"without={first.folder}", f"out={tmp_path / '4'}")


def test_pcoreset_begins_far_from_the_labelled_rows(world, tmp_path):
    data = (f"data={world.data}", "limit=40", f"student={world.student}", "by=pcoreset")
    first = run(*data, "rows=6", f"out={tmp_path / '1'}")
    second = run(*data, "rows=6", f"without={first.folder}", f"out={tmp_path / '2'}")
    whole = run(*data, "rows=12", f"out={tmp_path / '3'}")
    # The labelled rows are the start, so that two rounds choose what one would.
    assert {*ids_of(first), *ids_of(second)} == set(ids_of(whole))
    assert (
        whole.card.figures["largest distance to the nearest kept"]
        <= (first.card.figures["largest distance to the nearest kept"])
    )


def test_a_plain_text_is_selected_by_the_difference_of_losses(world, tmp_path):
    rows = [{"text": f"{'red ' * n}cat", "kind": "text"} for n in range(1, 9)]
    texts = write(tmp_path / "texts.jsonl", rows)
    models = (f"teacher={world.teacher}", f"reference={world.student}", f"train_set={texts}")
    built = run("by=miniplm", *models, "share=0.5", f"out={tmp_path / 'o'}")
    figures = built.card.figures
    assert len(rows_of(built)) == 4
    assert figures["mean score, kept"] > figures["mean score, not chosen"]
    assert figures["mean score, kept"] == pytest.approx(
        figures["mean loss of reference, kept"] - figures["mean loss of teacher, kept"], abs=1e-9
    )
    drawn = run("by=miniplm", *models, "rows=4", "choice_temperature=1000", f"out={tmp_path / 'd'}")
    assert ids_of(drawn) != ids_of(built)  # nearly a draw without regard to the scores
    for rule, key in (("pcoreset", "student"), ("disagreement", "student")):
        words = [f"by={rule}", f"{key}={world.student}", f"train_set={texts}"]
        words += [f"teacher={world.teacher}"]
        words += ["edits=2"] if rule == "disagreement" else []
        with pytest.raises(InputError, match=r"row 'texts-00000' is a plain text"):
            run(*words, f"out={tmp_path / 'bad'}")
    assert not (tmp_path / "bad").exists()


def test_edits_are_answered_by_the_teacher(world, tmp_path):
    models = (f"teacher={world.teacher}", f"student={world.student}", f"data={world.data}", *SCORED)
    words = ("by=disagreement", "edits=3", "edited_share=0.7", "limit=40", "share=0.4")
    built = run(*words, *models, f"out={tmp_path / 'o'}")
    before = {row["id"]: row for row in lines(world.data / "dolly" / "train.jsonl")}
    rows, edited = rows_of(built), 0
    assert len(rows) == 16
    for row in rows:
        old = before[row["id"].partition("~")[0]]
        if "~" not in row["id"]:
            assert row == old
            continue
        edited += 1
        assert (row["instruction"], row["input"]) != (old["instruction"], old["input"])
        assert row["category"] == old["category"]
    assert edited == built.card.figures["edited rows kept"] > 0
    assert ids_of(run(*words, *models, f"out={tmp_path / 'again'}")) == ids_of(built)


@pytest.mark.parametrize("rule", ["disagreement", "kd3", "robust"])
def test_models_with_other_tokens_are_refused_before_the_teacher_answers(rule, world, tmp_path):
    other = shutil.copytree(world.student, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    models = [f"teacher={world.teacher}", f"student={other}", f"data={world.data}"]
    with pytest.raises(InputError, match="student=other: its tokens are not those of teacher="):
        run(f"by={rule}", *models, "limit=4", *SCORED, f"out={tmp_path / 'out'}")
    assert not (tmp_path / "out.unfinished").exists()  # which it keeps once a model was asked


def test_a_killed_build_resumes_with_the_same_bytes(world, tmp_path):
    words = ["select", "by=disagreement", "edits=1", "edited_share=1", "rows=2", *SCORED]
    words += [f"teacher={world.teacher}", f"student={world.student}", f"data={world.data}"]
    log, whole, disturbed = (tmp_path / name for name in ("log", "whole", "disturbed"))
    code, undisturbed = run_build([*words, "limit=5", f"out={whole}"], log)
    assert code == 0
    added = Recorded()
    for step in ("greedy-responses", "disagreement-of-edits"):
        killed = Killed(step, 2, torn=True)
        code, found = run_build([*words, "limit=5", f"out={disturbed}"], log, killed, added)
        assert code == -signal.SIGKILL
        assert not disturbed.exists()
        added.work += found.work
    code, found = run_build([*words, "limit=5", f"out={disturbed}"], log)
    assert code == 0
    assert added.work + found.work == undisturbed.work  # each line once
    assert files_of(disturbed) == files_of(whole)


OWN_RULE = '''
from kdbench.builders.selection import SelectionRule, selection_rules

@selection_rules.register("last_ids")
class LastIds(SelectionRule):
    """The rows with the last ids."""

    title, paper = "Last ids", "none"
    factor: float = 1.0

    def scores(self, work, rows):
        return {row.id: self.factor * int(row.id[1:]) for row in rows}
'''


def test_a_rule_of_ones_own(prompts, tmp_path):
    plugin = tmp_path / "own.py"
    plugin.write_text(OWN_RULE)
    words = ("by=last_ids", f"plugins={plugin}", f"train_set={prompts}", "rows=2")
    built = run(*words, f"out={tmp_path / 'o'}")
    assert ids_of(built) == ["p28", "p29"]
    assert ids_of(run(*words, "factor=-1", f"out={tmp_path / '2'}")) == ["p00", "p01"]
    assert "code" in read_card(built.folder).identity.settings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "by= is missing: name a rule: disagreement, entropy"),
        ("by=kd", "unknown selection rule 'kd': did you mean 'kd3'"),
        ("by=random teacher=x", "unknown key 'teacher' of builder=select by=random"),
        ("by=kd3 student=x", "teacher= is missing"),
        ("by=random share=0", "share"),
        ("by=random share=0.5 rows=3", "pass one of them"),
        ("by=random temperature=1", "temperature= has no effect"),
        ("by=kd3 teacher=x student=y temperature=1", "the teacher decodes greedily"),
        ("by=kd3 teacher=x student=y scored=dataset max_new_tokens=4", "max_new_tokens= has no"),
        ("by=pcoreset", "pass student=, teacher= or both"),
        ("by=pcoreset student=x teacher_share=0.3", "teacher_share= has an effect with both"),
        ("by=pcoreset student=x labels=yes", "two or more different words"),
        ("by=pcoreset student=x labels=a,b tokens=3", "tokens= has no effect with labels="),
        ("by=length like=x", "like= has an effect with which=matched only"),
        ("by=length which=matched", "needs like="),
        ("by=length which=matched like=x rows=3", "drop rows="),
        ("by=disagreement teacher=x student=y share=0.5", "leaves nothing to choose"),
        ("by=disagreement teacher=x student=y edited_share=0.2", "with edits= only"),
        ("by=disagreement teacher=x student=y edits=2 scored=dataset", "drop scored=dataset"),
    ],
)
def test_bad_keys_are_one_line_before_anything_is_read(words, message):
    with pytest.raises(InputError, match=message):
        parse_build(["select", *words.split(), "data=/does/not/exist"])


def test_a_missing_column_and_a_missing_set(prompts, tmp_path):
    data = ("by=random", f"train_set={prompts}", f"out={tmp_path / 'o'}")
    with pytest.raises(
        InputError, match=r"within=topic: row 'p00' has no such column; it has kind"
    ):
        run(*data, "within=topic")
    with pytest.raises(InputError, match=r"without=.*nix: no such file or folder"):
        run(*data, f"without={tmp_path / 'nix'}")
    with pytest.raises(InputError, match=r"neither a \.jsonl file nor a folder that kdbench build"):
        run(*data, f"without={tmp_path}")
    assert not (tmp_path / "o").exists()


def test_a_dry_run_says_how_many_rows_are_kept(prompts):
    recipe = parse_build(["select", "by=random", "share=0.1", f"train_set={prompts}"])
    facts = {fact.name: fact.value for section in plan_build(recipe) for fact in section.facts}
    assert facts["keeps"] == "3 of 30 rows"
    assert recipe.out.name == "select-random"
