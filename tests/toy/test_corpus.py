"""The toy corpus: its layout, its determinism and the separation of its splits."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kdbench.toy import corpus
from kdbench.toy.content import DOLLY, PEOPLE, SHIFTED
from kdbench.toy.corpus import alpaca_prompt, draw_example, write_corpus

FILES = {
    "dolly/train.jsonl",
    "dolly/valid.jsonl",
    "dolly/test.jsonl",
    "self_instruct/test.jsonl",
    "vicuna/test.jsonl",
    "super_natural/test.jsonl",
    "unnatural/test.jsonl",
}

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pairs(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row["instruction"], row["input"]) for row in rows]


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("corpus")
    write_corpus(directory, train=2000)
    return directory


def test_layout_holds_every_file_and_nothing_else(data: Path) -> None:
    assert set(contents(data)) == FILES


def test_files_have_the_requested_sizes(tmp_path: Path) -> None:
    write_corpus(tmp_path, train=7, valid=5, test=3)
    expected = dict.fromkeys(FILES, 3) | {"dolly/train.jsonl": 7, "dolly/valid.jsonl": 5}
    assert {name: len(read_rows(tmp_path / name)) for name in FILES} == expected


@pytest.mark.parametrize("name", sorted(FILES))
def test_rows_are_complete(data: Path, name: str) -> None:
    label = {"dolly": {"category"}, "super_natural": {"task"}}.get(Path(name).parent.name, set())
    for row in read_rows(data / name):
        assert set(row) == {"id", "instruction", "input", "output"} | label
        assert row["instruction"]
        assert isinstance(row["input"], str)
        assert row["output"]
        assert all(row["output"])
        assert "{" not in json.dumps([row["instruction"], row["input"], row["output"]])


def test_ids_are_unique_in_the_whole_corpus(data: Path) -> None:
    ids = [row["id"] for name in FILES for row in read_rows(data / name)]
    assert len(set(ids)) == len(ids)
    assert "toy-dolly-test-0000" in ids


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for directory in ("one", "two"):
        write_corpus(tmp_path / directory, seed=3, train=50, valid=10, test=10)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_bytes_do_not_depend_on_the_process(data: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kdbench.toy.corpus import write_corpus;"
        "write_corpus(Path(sys.argv[1]), train=2000)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    assert contents(tmp_path) == contents(data)


def test_another_seed_changes_every_file(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_corpus(tmp_path / str(seed), seed=seed, train=50, valid=10, test=10)
    first, two = contents(tmp_path / "0"), contents(tmp_path / "1")
    assert all(first[name] != two[name] for name in FILES)


def test_test_rows_do_not_depend_on_the_training_size(data: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path, train=1)
    shorter, longer = contents(tmp_path), contents(data)
    assert all(shorter[name] == longer[name] for name in FILES - {"dolly/train.jsonl"})


@pytest.mark.parametrize("seed", [0, 1])
def test_no_evaluation_row_is_in_training(tmp_path: Path, seed: int) -> None:
    write_corpus(tmp_path, seed=seed, train=6000)
    train = set(pairs(read_rows(tmp_path / "dolly/train.jsonl")))
    for name in FILES - {"dolly/train.jsonl"}:
        assert train.isdisjoint(pairs(read_rows(tmp_path / name))), name


def test_dolly_splits_are_disjoint_across_seeds(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_corpus(tmp_path / str(seed), seed=seed, train=3000)
    train = set(pairs(read_rows(tmp_path / "0/dolly/train.jsonl")))
    assert train.isdisjoint(pairs(read_rows(tmp_path / "1/dolly/test.jsonl")))


def test_evaluation_files_hold_no_row_twice(data: Path) -> None:
    for name in FILES - {"dolly/train.jsonl"}:
        rows = pairs(read_rows(data / name))
        assert len(set(rows)) == len(rows), name


def test_training_covers_every_kind_and_every_person(data: Path) -> None:
    rows = read_rows(data / "dolly/train.jsonl")
    assert {row["category"] for row in rows} == set(DOLLY)
    text = json.dumps(rows)
    assert all(person.name in text for person in PEOPLE)


def test_each_set_keeps_the_shift_of_its_benchmark(data: Path) -> None:
    def mean_words(name: str) -> float:
        rows = read_rows(data / name)
        return sum(len(row["output"][0].split()) for row in rows) / len(rows)

    vicuna = read_rows(data / "vicuna/test.jsonl")
    assert all(row["input"] == "" for row in vicuna)
    assert mean_words("vicuna/test.jsonl") > 2 * mean_words("dolly/test.jsonl")
    natural = read_rows(data / "super_natural/test.jsonl")
    assert all(row["input"] for row in natural)
    assert 0 < sum(len(row["output"]) > 1 for row in natural) < len(natural)


@pytest.mark.parametrize(
    ("kind", "items", "expected"),
    [
        ("repeat", ["dog", "ant", "cat"], "dog ant cat"),
        ("reverse", ["dog", "ant", "cat"], "cat ant dog"),
        ("sort", ["dog", "ant", "cat"], "ant cat dog"),
        ("first", ["dog", "ant", "cat"], "dog"),
        ("last", ["dog", "ant", "cat"], "cat"),
        ("keep", ["red", "cat", "blue"], "red blue"),
        ("count", ["dog", "ant", "cat"], "The list has 3 items."),
        ("reverse-first", ["dog", "ant", "cat"], "cat"),
        ("sort-last", ["cat", "dog", "ant"], "dog"),
        ("sort-reverse", ["cat", "dog", "ant"], "dog cat ant"),
    ],
)
def test_list_answers(kind: str, items: list[str], expected: str) -> None:
    assert corpus._list_references(kind, items, "colours")[0] == expected


def test_older_names_the_older_person() -> None:
    rng = random.Random(0)
    ages = {person.name: person.age for person in PEOPLE}
    for _ in range(200):
        example = draw_example(rng, {"older": DOLLY["older"]})
        older, younger = example.references[0].strip(".").split(" is older than ")
        assert ages[older] > ages[younger]
        assert all(name in example.instruction + example.input for name in (older, younger))


def test_sums_are_right() -> None:
    rng = random.Random(0)
    for _ in range(200):
        sentence = draw_example(rng, {"sum": DOLLY["sum"]}).references[0]
        left, right, total = (int(number.strip(".")) for number in sentence.split()[::2])
        assert left + right == total


def test_facts_belong_to_the_person_in_the_prompt() -> None:
    rng = random.Random(0)
    for _ in range(200):
        example = draw_example(rng, {"city": DOLLY["city"]})
        (person,) = (
            person for person in PEOPLE if person.name in f"{example.instruction} {example.input}"
        )
        assert example.references == (f"{person.name} lives in {person.city}.", person.city)


def test_shifted_sets_stay_out_of_the_training_table() -> None:
    known = {wording for wordings in DOLLY.values() for wording in wordings}
    for name, table in SHIFTED.items():
        assert known.isdisjoint(wording for wordings in table.values() for wording in wordings), (
            name
        )


def test_prompt_is_the_alpaca_template() -> None:
    assert alpaca_prompt("Sort it.", "") == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nSort it.\n\n### Response:\n"
    )
    assert alpaca_prompt("Sort it.", "b a") == (
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nSort it.\n\n### Input:\nb a\n\n### Response:\n"
    )


@pytest.mark.parametrize("sizes", [{"train": -1}, {"valid": 1001}, {"test": 1001}])
def test_impossible_sizes_are_refused(tmp_path: Path, sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="impossible sizes"):
        write_corpus(tmp_path, **sizes)
    assert contents(tmp_path) == {}


def test_largest_evaluation_sets_can_be_drawn(tmp_path: Path) -> None:
    write_corpus(tmp_path, train=1, valid=1000, test=1000)
    assert all(len(read_rows(tmp_path / name)) == 1000 for name in FILES - {"dolly/train.jsonl"})
