"""Training rows become token ids: lengths, the end token, and the hash."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from kdbench.distillation.data import DataSet, SetFile, load_set, load_texts, with_responses
from kdbench.distillation.encoder import Encoder, Lengths
from kdbench.distillation.prompts import PLAIN
from kdbench.errors import InputError
from kdbench.system.bundled import load_module
from kdbench.toy.models import World

ROOMY = Lengths(256, 512, "drop")
LONG = "Count the letters of each word. " * 20
ROWS: list[dict[str, Any]] = [
    {"id": "a", "instruction": "Say yes.", "input": "", "output": ["yes", "Yes!"]},
    {"id": "b", "instruction": "Repeat the input.", "input": "one two", "output": ["one two"]},
    {"id": "c", "instruction": LONG, "input": "", "output": ["long"]},
    {"id": "d", "instruction": "Say no.", "input": "", "output": ["no"]},
]


@pytest.fixture(scope="module")
def tokenizer(world: World) -> Any:
    return AutoTokenizer.from_pretrained(world.student)


def write(folder: Path, rows: Sequence[Mapping[str, Any]], name: str = "train.jsonl") -> Path:
    path = folder / "mine" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return folder


def load(
    folder: Path | None, tokenizer: Any, lengths: Lengths = ROOMY, limit: int | None = None
) -> DataSet:
    file = SetFile(folder, "mine", "train")
    return load_set(file, Encoder(tokenizer, PLAIN, lengths), limit)


def encode(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def prompt_of(row: Mapping[str, Any]) -> str:
    return load_module("tasks/instruction.py").doc_to_text(row)


def test_rows_are_encoded_with_their_prompt_and_first_reference(
    tokenizer: Any, tmp_path: Path
) -> None:
    data = load(write(tmp_path, ROWS), tokenizer, Lengths(400, 512, "drop"))
    assert [example.id for example in data.examples] == ["a", "b", "c", "d"]
    assert data.read == 4
    assert data.dropped == 0
    for example, row in zip(data.examples, ROWS, strict=True):
        assert list(example.prompt_ids) == encode(tokenizer, prompt_of(row))
        ends = [*encode(tokenizer, row["output"][0]), tokenizer.eos_token_id]
        assert list(example.response_ids) == ends
        assert example.references == tuple(row["output"])
    assert "### Input:\none two" in data.rows[1].prompt


def test_gzipped_rows_are_the_same(tokenizer: Any, tmp_path: Path) -> None:
    plain = load(write(tmp_path / "plain", ROWS), tokenizer)
    packed = load(write(tmp_path / "packed", ROWS, "train.jsonl.gz"), tokenizer)
    assert packed == plain


def test_a_row_with_a_long_prompt_is_dropped(tokenizer: Any, tmp_path: Path) -> None:
    data = load(write(tmp_path, ROWS), tokenizer, Lengths(60, 512, "drop"))
    assert [example.id for example in data.examples] == ["a", "b", "d"]
    assert [row.id for row in data.rows] == ["a", "b", "d"]
    assert (data.read, data.dropped) == (4, 1)


def test_a_long_prompt_is_cut_on_the_right(tokenizer: Any, tmp_path: Path) -> None:
    data = load(write(tmp_path, ROWS), tokenizer, Lengths(60, 512, "cut"))
    assert [example.id for example in data.examples] == ["a", "b", "c", "d"]
    assert data.dropped == 0
    whole = encode(tokenizer, prompt_of(ROWS[2]))
    assert len(whole) > 60
    assert list(data.examples[2].prompt_ids) == whole[:60]
    assert data.examples[2].response_ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("long_prompts", ["drop", "cut"])
def test_a_prompt_of_just_the_limit_stays_whole(
    tokenizer: Any, tmp_path: Path, long_prompts: Any
) -> None:
    whole = encode(tokenizer, prompt_of(ROWS[1]))
    lengths = Lengths(len(whole), 512, long_prompts)
    data = load(write(tmp_path, ROWS[1:2]), tokenizer, lengths)
    assert list(data.examples[0].prompt_ids) == whole


def test_the_end_token_is_kept_unless_the_length_cuts_it(tokenizer: Any, tmp_path: Path) -> None:
    row = {**ROWS[0], "output": ["one two three four five"]}
    folder = write(tmp_path, [row])
    prompt, response = encode(tokenizer, prompt_of(row)), encode(tokenizer, row["output"][0])
    whole = [*response, tokenizer.eos_token_id]
    assert len(response) > 3
    for room in range(1, len(whole) + 3):
        lengths = Lengths(len(prompt), len(prompt) + room, "drop")
        (example,) = load(folder, tokenizer, lengths).examples
        assert list(example.response_ids) == whole[:room]
        has_end = example.response_ids[-1] == tokenizer.eos_token_id
        assert has_end == (room >= len(whole))


def test_the_hash_covers_the_content_and_not_the_path(tokenizer: Any, tmp_path: Path) -> None:
    known = load(write(tmp_path / "one", ROWS), tokenizer).sha256
    assert load(write(tmp_path / "two", ROWS, "train.jsonl.gz"), tokenizer).sha256 == known
    spaced = "".join(f"{json.dumps(row, indent=None, separators=(' , ', ' : '))}\n" for row in ROWS)
    (tmp_path / "one" / "mine" / "train.jsonl").write_text(spaced)
    assert load(tmp_path / "one", tokenizer).sha256 == known
    assert len(known) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"id": "z"},
        {"instruction": "Say Yes."},
        {"input": "please"},
        {"output": ["yes."]},
        {"output": ["yes", "Yes"]},
        {"output": ["yes"]},
    ],
    ids=str,
)
def test_every_change_of_the_content_changes_the_hash(
    change: dict[str, Any], tokenizer: Any, tmp_path: Path
) -> None:
    known = load(write(tmp_path, ROWS), tokenizer).sha256
    other = load(write(tmp_path, [{**ROWS[0], **change}, *ROWS[1:]]), tokenizer).sha256
    assert other != known


def test_the_order_of_the_rows_is_part_of_the_hash(tokenizer: Any, tmp_path: Path) -> None:
    known = load(write(tmp_path, ROWS), tokenizer).sha256
    assert load(write(tmp_path, ROWS[::-1]), tokenizer).sha256 != known


def test_a_limit_takes_the_first_rows_of_the_file(tokenizer: Any, tmp_path: Path) -> None:
    folder = write(tmp_path, ROWS)
    data = load(folder, tokenizer, Lengths(60, 512, "drop"), limit=3)
    assert [example.id for example in data.examples] == ["a", "b"]
    assert (data.read, data.dropped) == (3, 1)
    assert data.sha256 != load(folder, tokenizer, Lengths(60, 512, "drop")).sha256
    assert load(folder, tokenizer, limit=99).read == 4


def test_a_missing_file_is_named_in_the_error(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine/train\.jsonl: no such file \(nor \.gz\)"):
        load(tmp_path, tokenizer)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{oops", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"instruction": "", "output": "x"}', "'instruction' must be"),
        ('{"instruction": "x"}', "'output' must be"),
        ('{"instruction": "x", "output": [""]}', "'output' must be"),
        ('{"id": "a", "instruction": "x", "output": "x"}', "'a' occurs twice"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(
    line: str, reason: str, tokenizer: Any, tmp_path: Path
) -> None:
    path = write(tmp_path, ROWS[:2]) / "mine" / "train.jsonl"
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(InputError, match=rf"train\.jsonl:3: .*{reason}"):
        load(tmp_path, tokenizer)


def test_invalid_unicode_gives_a_one_line_error(tokenizer: Any, tmp_path: Path) -> None:
    """A lone surrogate is valid JSON but not valid text."""
    write(tmp_path, [{**ROWS[0], "output": ["a \ud800 b"]}])
    with pytest.raises(InputError, match=r"train\.jsonl"):
        load(tmp_path, tokenizer)


def test_an_empty_file_is_an_error(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.jsonl: no rows"):
        load(write(tmp_path, []), tokenizer)


def test_no_usable_rows_are_an_error(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mine/train: every prompt is longer than 3 tokens"):
        load(write(tmp_path, ROWS), tokenizer, Lengths(3, 512, "drop"))


def test_the_environment_variable_replaces_the_folder(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_DATA", str(write(tmp_path / "there", ROWS)))
    assert load(None, tokenizer).read == 4
    write(tmp_path / "here", ROWS[:1])
    assert load(tmp_path / "here", tokenizer).read == 1


def test_a_data_set_outside_the_hub_needs_a_folder(tokenizer: Any) -> None:
    with pytest.raises(
        InputError, match="train_set=mine: this set is not on the hub; pass data=DIR"
    ):
        load(None, tokenizer)


def test_the_hubs_first_thousand_rows_are_the_validation_set(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "raw.jsonl"
    rows = [{**ROWS[0], "id": str(number)} for number in range(1007)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    asked = []

    def download(*source: str) -> Path:
        asked.append(source)
        return path

    monkeypatch.setattr(load_module("tasks/instruction.py"), "download", download)
    encoder = Encoder(tokenizer, PLAIN, ROOMY)
    valid = load_set(SetFile(None, "dolly", "valid"), encoder)
    train = load_set(SetFile(None, "dolly", "train"), encoder)
    assert [example.id for example in valid.examples] == [str(number) for number in range(1000)]
    assert [example.id for example in train.examples] == [
        str(number) for number in range(1000, 1007)
    ]
    assert {source[:3] for source in asked} == {("dolly", "MiniLLM/dolly", "raw.jsonl")}


def test_texts_are_cut_into_pieces(tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    texts = ["one two three four five six", "x", ""]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))  # no last newline
    ids = encode(tokenizer, texts[0])
    actual = load_texts(path, tokenizer, 4)
    assert [token for piece in actual for token in piece] == ids[: sum(map(len, actual))]
    assert all(len(piece) == 4 for piece in actual[:-1])
    assert all(2 <= len(piece) <= 4 for piece in actual)
    assert len(ids) - sum(map(len, actual)) <= 1  # a single last token predicts nothing


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "one two three"}\n{"words": "x"}\n', r"texts\.jsonl:2: 'text' must be a string"),
        ('{"text": "one two three"}\n{oops\n', r"texts\.jsonl:2: not a line of JSON"),
        ('{"text": 3}\n', r"texts\.jsonl:1: 'text' must be a string"),
        ("", r"texts\.jsonl: no text of two tokens"),
        ('{"text": ""}\n', r"texts\.jsonl: no text of two tokens"),
    ],
)
def test_bad_texts_are_an_error(content: str, message: str, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        load_texts(path, tokenizer, 16)


def test_missing_texts_are_an_error(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pretraining=.*none\.jsonl: no such file"):
        load_texts(tmp_path / "none.jsonl", tokenizer, 16)


def test_given_responses_end_only_where_they_ended(tokenizer: Any, tmp_path: Path) -> None:
    encoder = Encoder(tokenizer, PLAIN, Lengths(400, 512, "drop"))
    data = load_set(SetFile(write(tmp_path, ROWS), "mine", "train"), encoder)
    texts = {"a": ("one two", True), "b": ("one two", False), "c": ("", True), "d": ("", False)}
    answered = with_responses(data, texts, encoder)
    ids, end = encode(tokenizer, "one two"), tokenizer.eos_token_id
    responses = {example.id: list(example.response_ids) for example in answered}
    assert responses == {"a": [*ids, end], "b": ids, "c": [end]}  # nothing to learn from in d
    appended = with_responses(data, texts, encoder, always_ends=True)
    responses = {example.id: list(example.response_ids) for example in appended}
    assert responses == {"a": [*ids, end], "b": [*ids, end], "c": [end], "d": [end]}
    for before, after in zip(data.examples, answered, strict=False):
        assert after.prompt_ids == before.prompt_ids
        assert after.references == before.references


def test_given_responses_are_cut_at_the_length_limit(tokenizer: Any, tmp_path: Path) -> None:
    text = "one two three four five"
    ids = encode(tokenizer, text)
    folder, prompt = write(tmp_path, ROWS[:1]), encode(tokenizer, prompt_of(ROWS[0]))
    for room in range(1, len(ids) + 2):
        lengths = Lengths(len(prompt), len(prompt) + room, "cut")
        encoder = Encoder(tokenizer, PLAIN, lengths)
        data = load_set(SetFile(folder, "mine", "train"), encoder)
        (example,) = with_responses(data, {"a": (text, True)}, encoder)
        assert list(example.response_ids) == [*ids, tokenizer.eos_token_id][:room]
