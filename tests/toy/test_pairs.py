"""The gallery's pairs and rewarded rows."""

import json
from pathlib import Path

import pytest

from kdbench.toy.corpus import split_of, write_corpus
from kdbench.toy.extras.pairs import EXTRAS, REWARDED, SHORT
from kdbench.toy.models import World


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, train=300, valid=20, test=10)
    world = World(folder, folder / "teacher", folder / "student")
    places = {}
    for extra in EXTRAS:
        if extra.place.startswith("data/"):
            places[extra.place] = tmp_path_factory.mktemp("made")
            extra.make(world, places[extra.place], None)
    return places


def rows(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_the_short_form_is_chosen_and_the_sentence_rejected(made: dict[str, Path]) -> None:
    seen = set()
    for row in rows(made["data/pairs"] / "train.jsonl"):
        chosen, rejected = str(row["chosen"]), str(row["rejected"])
        assert row["output"] == [chosen] != [rejected]
        if row["category"] in SHORT:
            seen.add(row["category"])
            assert chosen in rejected
            assert len(chosen.split()) == 1 < len(rejected.split())
    assert seen == set(SHORT)


def test_the_prompts_are_new_and_answered(made: dict[str, Path]) -> None:
    for place, name, kinds in (("pairs", "short", SHORT), ("rewarded", "rewarded", REWARDED)):
        prompts = rows(made[f"data/{place}"] / f"{name}.jsonl")
        assert len(prompts) == 100
        for row in prompts:
            asked = str(row["instruction"]), str(row["input"])
            assert split_of(*asked) == "test"
            assert row["category"] in kinds
        answers = {str(row["reference"]) for row in prompts if row["category"] in SHORT}
        assert all(" " not in answer for answer in answers)


def test_rewarded_rows_are_of_the_rewarded_kinds(made: dict[str, Path]) -> None:
    kinds = {row["category"] for row in rows(made["data/rewarded"] / "train.jsonl")}
    assert kinds == set(REWARDED)
