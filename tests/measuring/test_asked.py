"""What a model is asked is stored beside its samples, whole and once."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from kdbench.config import EvalSettings, ScoreSettings, build
from kdbench.generate.prompts import encode_prompt
from kdbench.measuring.asked import split_prompt
from kdbench.measuring.dry_run import turns_line
from kdbench.measuring.given_texts import score
from kdbench.measuring.measurement import Measurement, prepare
from kdbench.protocol import get_protocol
from kdbench.task.model import Document
from kdbench.toy.models import World
from kdbench.views.chat import Turn


def measurement(world: World, results: Path, **changes: Any) -> Measurement:
    settings = {"model": str(world.student), "data": world.data, "tasks": ("dolly",), "limit": 2}
    settings |= {"seeds": (1,), "max_new_tokens": 4, "device": "cpu", "results": results, **changes}
    return prepare(build(EvalSettings, settings))


def prompts_file(run: Path) -> Path:
    return run / "samples" / "dolly.prompts.jsonl"


@pytest.fixture
def tokenizer(world: World) -> Any:
    """A tokenizer that puts BOS before a text."""
    made = AutoTokenizer.from_pretrained(world.student)
    bos = (made.bos_token, made.bos_token_id)
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{made.bos_token} $A", special_tokens=[bos]
    )
    return made


@pytest.mark.parametrize("add_bos", [False, True])
def test_a_prompt_is_split_where_its_tokens_were_cut(tokenizer: Any, add_bos: bool) -> None:
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    text = "Name 3 pets:\ncat, 北京 dog é"
    document = Document("a", text, text, (), {})
    whole = get_protocol("minillm", {"max_prompt_tokens": None, "add_bos": add_bos})
    count = len(encode_prompt(tokenizer, whole, text, text).ids)
    assert count == len(tokenizer(text)["input_ids"]) - (not add_bos)
    for limit in range(1, count + 1):
        protocol = get_protocol("minillm", {"max_prompt_tokens": limit, "add_bos": add_bos})
        ids = encode_prompt(tokenizer, protocol, text, text).ids
        split = split_prompt(tokenizer, protocol, document, ids)
        assert split.removed is not None
        assert split.kept + split.removed == text
        assert split.n_removed == count - limit
        # The decoder is an independent witness, but it cannot show half a character.
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert decoded.rstrip("�") in (split.kept, split.kept[:-1])


@pytest.mark.parametrize(("add_bos", "limit"), [(False, None), (True, None), (True, 22)])
def test_turns_are_where_the_template_put_them(
    tokenizer: Any, add_bos: bool, limit: int | None
) -> None:
    turns = (Turn("user", "Name a pet."), Turn("assistant", "cat"), Turn("user", "Another."))
    document = Document("a", "", turns, (), {})
    protocol = get_protocol("chat", {"add_bos": add_bos, "max_prompt_tokens": limit})
    ids = encode_prompt(tokenizer, protocol, "", turns).ids
    shown = turns_line(tokenizer, protocol, document, len(ids))
    assert shown.endswith(f"; the answer begins at token {len(ids)}")
    places = re.findall(r"(\w+) = tokens (\d+) to (\d+)", shown)
    for turn, (role, first, last) in zip(turns, places, strict=False):
        said = tokenizer.decode(ids[int(first) : int(last) + 1]).strip()
        assert (role, said) == (turn.role, turn.content[: len(said)])
    assert ("cut" in shown) == (limit is not None)
    assert limit or len(places) == len(turns)


def test_tokens_of_another_text_are_decoded(tokenizer: Any) -> None:
    other = tuple(tokenizer("cat dog", add_special_tokens=False)["input_ids"])
    document = Document("a", "a cow", "a cow", (), {})
    split = split_prompt(tokenizer, get_protocol("minillm"), document, other)
    assert (split.kept, split.removed, split.n_removed) == ("cat dog", None, None)


def test_prompts_and_references_are_stored_when_sampling_begins(
    world: World, tmp_path: Path
) -> None:
    run = measurement(world, tmp_path, max_prompt_tokens=9).measure().run
    lines = prompts_file(run.path).read_text("utf-8").splitlines()
    rows = (world.data / "dolly" / "test.jsonl").read_text("utf-8").splitlines()
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    assert len(lines) == 2
    for line, row in zip(map(json.loads, lines), map(json.loads, rows), strict=False):
        assert line["id"] == row["id"]
        assert line["references"] == row["output"]
        assert row["instruction"] in line["prompt"] + line["cut"]
        ids = tokenizer(line["prompt"], add_special_tokens=False)["input_ids"]
        assert len(ids) == line["n_prompt_tokens"] <= 9
    assert [bool(json.loads(line)["cut"]) for line in lines] == [True, True]


def test_shards_and_a_resume_store_the_same(world: World, tmp_path: Path) -> None:
    whole = measurement(world, tmp_path / "whole").measure().run.path
    expected = prompts_file(whole).read_bytes()
    for shard in ("1/2", "0/2"):
        part = measurement(world, tmp_path / "parts", shard=shard)
        part.measure()
        assert prompts_file(part.run.path).read_bytes() == expected
    samples = whole / "samples" / "dolly.jsonl"
    samples.write_text(samples.read_text("utf-8").splitlines(keepends=True)[0], "utf-8")
    prompts_file(whole).unlink()
    measurement(world, tmp_path / "whole").measure()
    assert prompts_file(whole).read_bytes() == expected


def test_a_damaged_file_is_rebuilt_and_an_absent_one_waits(world: World, tmp_path: Path) -> None:
    run = measurement(world, tmp_path).measure().run.path
    file = prompts_file(run)
    expected, result = file.read_bytes(), (run / "dolly.json").read_bytes()
    for damaged in (expected[:30], expected.splitlines(keepends=True)[0], b""):
        file.write_bytes(damaged)
        assert measurement(world, tmp_path).measure().generated == 0
        assert file.read_bytes() == expected
    file.unlink()
    measurement(world, tmp_path).measure()
    assert not file.exists()  # a finished run stays as it is
    again = measurement(world, tmp_path, metrics=("rougeL", "rougeL[characters]")).measure()
    assert again.generated == 0
    assert file.read_bytes() == expected
    (run / "dolly.json").write_bytes(result)


def test_no_number_depends_on_the_file(world: World, tmp_path: Path) -> None:
    run = measurement(world, tmp_path).measure().run
    before = (run.path / "dolly.json").read_bytes()
    shutil.rmtree(run.path / "samples")
    measurement(world, tmp_path).measure()
    assert (run.path / "dolly.json").read_bytes() == before


def test_given_texts_store_their_prompts_without_tokens(world: World, tmp_path: Path) -> None:
    run = measurement(world, tmp_path).measure().run
    texts = run.path / "samples" / "dolly.jsonl"
    settings = {"samples": texts, "task": "dolly", "data": world.data, "limit": 2, "name": "mine"}
    scored = score(build(ScoreSettings, {**settings, "results": tmp_path / "scored"}))
    lines = [json.loads(line) for line in prompts_file(scored.run).read_text("utf-8").splitlines()]
    measured = run.prompts("dolly")
    assert [line["prompt"] for line in lines] == [prompt.prompt for prompt in measured]
    assert [line["references"] for line in lines] == [list(p.references) for p in measured]
    assert {(line["cut"], line["n_prompt_tokens"]) for line in lines} == {(None, None)}


def test_a_conversation_is_stored_with_its_turns(world: World, tmp_path: Path) -> None:
    student = measurement(world, tmp_path, protocol="chat")
    turns = (Turn("user", "Name a pet."), Turn("assistant", "cat"), Turn("user", "Another."))
    document = Document("a", "", turns, (), {}, "pets")
    task = student.tasks[0]
    object.__setattr__(task, "documents", (document,))
    student.sampling.keep_prompts(task)
    (stored,) = student.run.prompts("dolly")
    assert [turn["content"] for turn in stored.messages] == ["Name a pet.", "cat", "Another."]
    assert all(turn.content in stored.prompt for turn in turns)
    assert (stored.references, stored.category, stored.cut) == ((), "pets", "")
