"""The teacher answers each prompt once and resumes; its responses can be trained on."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.distillation.data import DataSet, SetFile, load_set
from kdbench.distillation.encoder import Encoder, Lengths
from kdbench.distillation.prompts import PLAIN
from kdbench.distillation.teacher_responses import folder_of, teacher_responses
from kdbench.errors import InputError
from kdbench.protocol import Protocol
from kdbench.toy.models import World

HOW = Protocol(
    "training", max_prompt_tokens=None, max_new_tokens=10, no_repeat_ngram_size=0, seeds=(3,)
)
LENGTHS = Lengths(256, 512, "drop")
Load = Callable[[], tuple[Any, Any]]


@pytest.fixture(scope="module")
def load(world: World) -> Load:
    both = load_checkpoint(find_checkpoint(str(world.teacher)), "float32", "cpu")
    return lambda: both


@pytest.fixture(scope="module")
def rows(world: World) -> DataSet:
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    return read(world.data, tokenizer, limit=14)


def read(folder: Path, tokenizer: Any, limit: int | None = None) -> DataSet:
    file = SetFile(folder, "dolly", "train")
    return load_set(file, Encoder(tokenizer, PLAIN, LENGTHS), limit)


def never() -> tuple[Any, Any]:
    raise AssertionError("the teacher is not needed")


def answer(file: Path, rows: DataSet, load: Load, size: int | None = 4, seed: int = 3) -> Any:
    return teacher_responses(file, rows.rows, replace(HOW, seeds=(seed,)), seed, load, size)


def lines_of(file: Path) -> dict[str, dict[str, Any]]:
    return {line["id"]: line for line in map(json.loads, file.read_text().splitlines())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, rows: DataSet, load: Load) -> Path:
    file = tmp_path_factory.mktemp("undisturbed") / "dolly" / "train.jsonl"
    answer(file, rows, load)
    return file


def test_each_prompt_is_answered_once(undisturbed: Path, rows: DataSet) -> None:
    lines = lines_of(undisturbed)
    assert len(undisturbed.read_text().splitlines()) == 14
    assert lines.keys() == {row.id for row in rows.rows}
    for row in rows.rows:
        line = lines[row.id]
        assert line["instruction"] == row.asked["instruction"]
        assert line["input"] == row.asked["input"]
        assert len(line["output"]) == 1
        assert line["finish"] in {"stop", "length"}
    assert {line["finish"] for line in lines.values()} == {"stop", "length"}


def test_a_second_call_does_not_load_the_teacher(undisturbed: Path, rows: DataSet) -> None:
    before = undisturbed.read_bytes()
    texts, tokens = answer(undisturbed, rows, never)
    assert tokens == sum(line["n_tokens"] for line in lines_of(undisturbed).values())
    assert undisturbed.read_bytes() == before
    lines = lines_of(undisturbed)
    assert texts == {i: (line["output"][0], line["finish"] == "stop") for i, line in lines.items()}


def test_returned_and_stored_responses_are_equal(rows: DataSet, load: Load, tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    given, tokens = answer(file, rows, load)
    kept, _ = answer(file, rows, never)
    assert given == kept
    tokenizer = load()[1]
    lengths = [
        len(tokenizer(text, add_special_tokens=False)["input_ids"]) + ended
        for text, ended in given.values()
    ]
    assert tokens == pytest.approx(sum(lengths), rel=0.1)  # re-encoded text can have fewer tokens
    assert tokens >= sum(lengths) - 5


@pytest.mark.parametrize("size", [1, 5, None])
def test_the_batch_size_changes_no_text(
    undisturbed: Path, rows: DataSet, load: Load, tmp_path: Path, size: int | None
) -> None:
    file = tmp_path / "train.jsonl"
    answer(file, rows, load, size)
    assert lines_of(file) == lines_of(undisturbed)


def test_a_different_seed_gives_different_responses(
    undisturbed: Path, rows: DataSet, load: Load, tmp_path: Path
) -> None:
    file = tmp_path / "train.jsonl"
    answer(file, rows, load, seed=4)
    assert lines_of(file) != lines_of(undisturbed)


@pytest.mark.parametrize("where", ["in a line", "after a line", "in the first line", "empty"])
def test_interrupted_generation_resumes(
    undisturbed: Path, rows: DataSet, load: Load, tmp_path: Path, where: str
) -> None:
    whole = undisturbed.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    length = {
        "in a line": (ends[5] + ends[6]) // 2,
        "after a line": ends[5] + 1,
        "in the first line": ends[0] // 2,
        "empty": 0,
    }[where]
    file = tmp_path / "dolly" / "train.jsonl"
    file.parent.mkdir()
    file.write_bytes(whole[:length])
    asked = []

    def once() -> tuple[Any, Any]:
        asked.append(1)
        return load()

    texts, tokens = answer(file, rows, once)
    assert asked == [1]
    assert tokens > 0
    assert lines_of(file) == lines_of(undisturbed)
    assert len(file.read_text().splitlines()) == 14
    assert file.read_bytes()[: ends[5] + 1 if length > ends[5] else 0] == (
        whole[: ends[5] + 1] if length > ends[5] else b""
    )
    assert texts == answer(undisturbed, rows, never)[0]


def test_a_crash_keeps_the_responses_so_far(
    undisturbed: Path, rows: DataSet, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "train.jsonl"
    model, tokenizer = load()
    forward, calls = model.forward, []

    def tired(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) > 15:
            raise KeyboardInterrupt
        return forward(*args, **options)

    monkeypatch.setattr(model, "forward", tired)
    with pytest.raises(KeyboardInterrupt):
        answer(file, rows, lambda: (model, tokenizer))
    kept = lines_of(file)
    assert 0 < len(kept) < 14
    monkeypatch.undo()
    answer(file, rows, load)
    assert lines_of(file) == lines_of(undisturbed)
    assert {name: lines_of(file)[name] for name in kept} == kept


def test_only_new_prompts_are_asked(
    undisturbed: Path, rows: DataSet, load: Load, tmp_path: Path
) -> None:
    file = tmp_path / "train.jsonl"
    few = replace(rows, rows=rows.rows[:5])
    known, first = answer(file, few, load)
    everything, more = answer(file, rows, load)
    assert first > 0
    assert more > 0
    assert {name: everything[name] for name in known} == known
    assert lines_of(file) == lines_of(undisturbed)


def test_the_folder_can_be_trained_on(undisturbed: Path, rows: DataSet, world: World) -> None:
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    again = read(undisturbed.parent.parent, tokenizer)
    lines = lines_of(undisturbed)
    assert {example.id: example.references for example in again.examples} == {
        name: tuple(line["output"]) for name, line in lines.items()
    }
    prompts = {example.id: example.prompt_ids for example in rows.examples}
    assert {example.id: example.prompt_ids for example in again.examples} == prompts


def test_the_folder_can_be_trained_on_with_empty_responses(
    rows: DataSet, load: Load, world: World, tmp_path: Path
) -> None:
    """A model may end immediately."""
    model, tokenizer = load()

    def end_at_once(_: Any, __: Any, output: Any) -> None:
        often = output.logits.argmax(-1) % 3 == 0  # the same alone and in a batch
        output.logits[..., tokenizer.eos_token_id] += 1e4 * often

    handle = model.register_forward_hook(end_at_once)
    try:
        texts, _ = answer(tmp_path / "dolly" / "train.jsonl", rows, lambda: (model, tokenizer))
    finally:
        handle.remove()
    assert ("", True) in texts.values()
    student = AutoTokenizer.from_pretrained(world.student)
    again = read(tmp_path, student)
    assert {example.id for example in again.examples} <= texts.keys()


def test_the_path_depends_on_everything_that_affects_the_responses(tmp_path: Path) -> None:
    def place(teacher: str = "t", prompts: str = "p", how: Protocol = HOW, seed: int = 3) -> Path:
        return folder_of(tmp_path, teacher, prompts, how, seed)

    others = [
        place("u"),
        place(prompts="q"),
        place(how=replace(HOW, temperature=0.9)),
        place(how=replace(HOW, top_p=0.9)),
        place(how=replace(HOW, max_new_tokens=11)),
        place(seed=4),
    ]
    assert place() == place()
    assert len({place(), *others}) == 7
    assert place().parent == tmp_path
    assert os.sep not in place().name


def test_sampling_does_not_touch_the_global_random_state(
    rows: DataSet, load: Load, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    answer(tmp_path / "train.jsonl", replace(rows, rows=rows.rows[:2]), load)
    assert torch.equal(torch.rand(3), expected)


DAMAGED: list[tuple[str, str]] = [
    ("{}", "'id': field required"),
    ('{"id": "x", "output": [], "finish": "stop", "n_tokens": 1}', "'output'"),
    ('{"id": "x", "output": ["a"], "finish": "stop", "n_tokens": "1"}', "'n_tokens'"),
    ('{"id": "x", "output": ["a"], "finish": "tired", "n_tokens": 1}', "'finish'"),
    ("[" * 5000, "not a line of JSON"),
]


@pytest.mark.parametrize(("line", "message"), DAMAGED)
def test_a_line_that_is_no_response_is_named(
    line: str, message: str, undisturbed: Path, rows: DataSet, tmp_path: Path
) -> None:
    file = tmp_path / "set" / "train.jsonl"
    file.parent.mkdir()
    file.write_bytes(undisturbed.read_bytes() + line.encode() + b"\n")
    with pytest.raises(InputError, match=message) as error:
        answer(file, rows, never)
    assert f"{file}:" in str(error.value)
    assert "\n" not in str(error.value)
