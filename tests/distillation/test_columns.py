"""Other columns of rows: fields of examples, weights, pairs, and what they change in a run."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

import kdbench
from kdbench.config import TrainFormat, TrainTurns
from kdbench.distillation.data import DataSet, SetFile, Split, load_set
from kdbench.distillation.encoder import Encoder, Lengths
from kdbench.distillation.prompts import PLAIN
from kdbench.errors import InputError
from kdbench.toy.models import World
from kdbench.views.rollout import Example

TEMPLATE = (
    "{% for m in messages %}<|bos|>{{ m.role + '\\n' + m.content }}<|eos|>{% endfor %}"
    "{% if add_generation_prompt %}<|bos|>{{ 'assistant\\n' }}{% endif %}"
)
CHAT = replace(PLAIN, prompt="chat", chat_template=TEMPLATE)
ASKED = {"role": "user", "content": "Say no."}
NO, YES = ({"role": "assistant", "content": text} for text in ("no", "yes"))
FORMS = {
    "instruction": {"instruction": "Say no.", "output": "no"},
    "prompt": {"prompt": "Say no.", "response": "no"},
    "messages": {"messages": [ASKED], "response": "no"},
    "text": {"text": "no"},
}
PAIR = {"chosen": "no", "rejected": "yes"}


@pytest.fixture(scope="module")
def tokenizer(world: World) -> Any:
    return AutoTokenizer.from_pretrained(world.student)


def load(
    tokenizer: Any,
    file: Path,
    rows: Sequence[dict[str, Any]],
    fields: tuple[str, ...] = (),
    train_format: TrainFormat = "chat",
    split: Split = "train",
    turns: TrainTurns = "last",
) -> DataSet:
    content = "\n\n".join(map(json.dumps, rows)).encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    encoder = Encoder(
        tokenizer, CHAT if train_format == "chat" else PLAIN, Lengths(256, 512, "drop")
    )
    return load_set(SetFile(None, str(file), split, train_format, turns, fields), encoder)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
@pytest.mark.parametrize("kind", FORMS)
def test_every_other_column_is_a_field_as_the_file_has_it(
    tokenizer: Any, tmp_path: Path, kind: str, name: str
) -> None:
    others = {"domain": "sums", "n": 3, "spans": [[0, 2.5]], "label": None, "chosen": 7}
    train_format: TrainFormat = "text" if kind == "text" else "chat"
    rows = [{**FORMS[kind], **others}, {**FORMS[kind], "weight": 2, "id": "b"}]
    first, second = load(tokenizer, tmp_path / name, rows, (), train_format).examples
    assert first.fields == others
    assert second.fields == {"weight": 2}
    assert Example.from_json(json.loads(json.dumps(first.as_json()))) == first
    assert first.replies == {}


@pytest.mark.parametrize("kind", FORMS)
def test_a_missing_field_and_a_bad_weight_name_file_and_line(
    tokenizer: Any, tmp_path: Path, kind: str
) -> None:
    train_format: TrainFormat = "text" if kind == "text" else "chat"
    file, row = tmp_path / "rows.jsonl", FORMS[kind]
    rows = [{**row, "domain": "a"}, {**row, "label": 1}]
    with pytest.raises(
        InputError, match=r"rows\.jsonl:3: the method needs the field 'domain'.*has label"
    ):
        load(tokenizer, file, rows, ("domain",), train_format)
    for weight in (-1, "2", None, True, [1]):
        with pytest.raises(InputError, match=r"rows\.jsonl:3: 'weight' must be a number of 0"):
            load(tokenizer, file, [row, {**row, "weight": weight}], (), train_format)
    file.write_text(json.dumps({**row, "weight": 1}).replace("1}", "1e999}"))
    with pytest.raises(InputError, match=r"rows\.jsonl:1: 'weight' is not finite"):
        load_set(
            SetFile(None, str(file), "train", train_format),
            Encoder(tokenizer, PLAIN, Lengths(256, 512, "drop")),
        )
    with pytest.raises(InputError, match="'weight' of every row is 0"):
        load(tokenizer, file, [{**row, "weight": 0}], (), train_format)


def test_fields_are_in_the_identity_only_where_they_change_what_is_learned(
    tokenizer: Any, tmp_path: Path
) -> None:
    def identity(row: dict[str, Any], *fields: str, **more: Any) -> dict[str, Any]:
        both = [{**FORMS["prompt"], "id": "a"}, {**FORMS["prompt"], "id": "b", **row}]
        for known in both:
            known.setdefault("domain", "x")
        return load(tokenizer, tmp_path / "rows.jsonl", both, fields, **more).identity

    plain = identity({})
    assert plain.keys() == {"rows", "dropped", "sha256"}
    assert identity({"domain": "y", "weight": 1, "new": 3}) == plain
    assert identity({"weight": 1.0}) == plain
    declared = identity({}, "domain")
    assert declared.keys() == {*plain, "fields"}
    assert declared["sha256"] == plain["sha256"]
    assert identity({"other": "y"}, "domain") == declared
    assert identity({"domain": "y"}, "domain") != declared
    weighted = identity({"weight": 2})
    assert weighted["fields"] not in (None, declared["fields"])
    assert identity({"weight": 2.0}) == weighted
    assert identity({"weight": 3}) != weighted
    assert identity({"weight": 2}, split="valid") == plain  # validation weighs all rows alike


PAIRS: dict[str, dict[str, Any]] = {
    "instruction": {**FORMS["instruction"], **PAIR},
    "texts": {"prompt": "Say no.", **PAIR},
    "texts with another reference": {**FORMS["prompt"], **PAIR},
    "a prompt and turns": {"prompt": "Say no.", "chosen": [ASKED, NO], "rejected": [ASKED, YES]},
    "a prompt of turns": {"prompt": [ASKED], "chosen": [NO], "rejected": [YES]},
    "turns without a prompt": {"chosen": [ASKED, NO], "rejected": [ASKED, YES]},
    "messages": {"messages": [ASKED], "chosen": [NO], "rejected": "yes"},
    "messages with the answer": {
        "prompt": "Say no.",
        "messages": [ASKED, NO],
        "chosen": [ASKED, NO],
        "rejected": [ASKED, YES],
    },
}


@pytest.mark.parametrize("kind", PAIRS)
def test_pairs_are_encoded_like_responses(tokenizer: Any, tmp_path: Path, kind: str) -> None:
    data = load(tokenizer, tmp_path / "rows.jsonl", [PAIRS[kind]], ("chosen", "rejected"))
    (example,) = data.examples
    assert example.references == ("no",)
    for name, text in PAIR.items():
        row = [{"prompt": "Say no.", "response": text}]
        (alone,) = load(tokenizer, tmp_path / "alone.jsonl", row).examples
        assert example.replies[name] == (alone.context, alone.response_ids)
        assert tokenizer.decode(alone.response_ids) == f"{text}<|eos|>"
    assert Example.from_json(json.loads(json.dumps(example.as_json()))) == example


@pytest.mark.parametrize("train_format", ["alpaca", "text"])
def test_pairs_in_the_other_formats(
    tokenizer: Any, tmp_path: Path, train_format: TrainFormat
) -> None:
    row = PAIRS["instruction" if train_format == "alpaca" else "texts"]
    needed = ("chosen", "rejected")
    (example,) = load(tokenizer, tmp_path / "a.jsonl", [row], needed, train_format).examples
    assert example.replies["chosen"] == (example.context, example.response_ids)
    assert example.replies["rejected"] != example.replies["chosen"]
    assert "no" in tokenizer.decode(example.replies["chosen"].response)


BAD_PAIRS: dict[str, tuple[dict[str, Any], str]] = {
    "no second response": ({"prompt": "a", "chosen": "b"}, "needs the field 'rejected'; the row"),
    "empty": ({"prompt": "a", "chosen": " ", "rejected": "b"}, "'chosen' must be a non-empty"),
    "number": ({**FORMS["prompt"], "chosen": 1, "rejected": "b"}, "'chosen' must be a non-empty"),
    "no turns": ({"prompt": "a", "chosen": "b", "rejected": []}, "'rejected' must be a non-empty"),
    "the user answers": (
        {"prompt": "a", "chosen": "b", "rejected": [ASKED]},
        "a list of turns that ends with the assistant's",
    ),
    "another prompt": (
        {"prompt": "a", "chosen": "b", "rejected": [ASKED, YES]},
        "'rejected' begins with other turns than the prompt",
    ),
    "two prompts": (
        {"chosen": [ASKED, NO], "rejected": [YES]},
        "without a prompt, 'chosen' and 'rejected' must be lists of turns that differ in the last",
    ),
    "no prompt": ({"chosen": [NO], "rejected": [YES]}, "without a prompt"),
    "odd turns": ({"prompt": "a", "chosen": ["b"], "rejected": "c"}, "'chosen' must be a non-e"),
}


@pytest.mark.parametrize("fault", BAD_PAIRS)
def test_bad_pairs_are_refused_with_file_and_line(
    tokenizer: Any, tmp_path: Path, fault: str
) -> None:
    row, message = BAD_PAIRS[fault]
    good = PAIRS["turns without a prompt" if "prompt" not in row else "texts"]
    with pytest.raises(InputError, match=rf"rows\.jsonl:3: .*{message}"):
        load(tokenizer, tmp_path / "rows.jsonl", [good, row], ("chosen", "rejected"))


def test_a_bad_first_row_of_pairs_is_named_and_a_text_keeps_its_kind(
    tokenizer: Any, tmp_path: Path
) -> None:
    file, row = tmp_path / "rows.jsonl", {"chosen": [NO], "rejected": [YES]}
    with pytest.raises(InputError, match=r"rows\.jsonl:1: without a prompt, 'chosen'"):
        load(tokenizer, file, [row], ("chosen", "rejected"))
    (example,) = load(tokenizer, file, [{**FORMS["text"], **row}], (), "text").examples
    assert example.fields == row


def test_a_text_and_an_earlier_turn_have_no_pair(tokenizer: Any, tmp_path: Path) -> None:
    file, needed = tmp_path / "rows.jsonl", ("chosen", "rejected")
    with pytest.raises(InputError, match=r"rows\.jsonl:1: a plain text answers nothing"):
        load(tokenizer, file, [{"text": "no", **PAIR}], needed, "text")
    row = {"messages": [ASKED, YES, ASKED], **PAIR}
    assert len(load(tokenizer, file, [row], needed).examples) == 1
    with pytest.raises(InputError, match=r"only its last turn has a pair.*train_turns=last"):
        load(tokenizer, file, [row], needed, turns="all")


def test_without_a_method_of_pairs_their_columns_are_not_looked_at(
    tokenizer: Any, tmp_path: Path
) -> None:
    row = {**FORMS["prompt"], "chosen": 1, "rejected": [None]}
    (example,) = load(tokenizer, tmp_path / "rows.jsonl", [row]).examples
    assert example.replies == {}


def test_weights_of_1_change_no_bit_and_weights_of_0_leave_a_row_out(
    world: World, tmp_path: Path
) -> None:
    lines = (world.data / "dolly" / "train.jsonl").read_text().splitlines()[:8]
    rows = [json.loads(line) for line in lines]

    def trained(name: str, weights: Sequence[float | None]) -> Any:
        file = tmp_path / f"{name}.jsonl"
        added = [{} if weight is None else {"weight": weight} for weight in weights]
        both = zip(rows, added, strict=True)
        file.write_text("\n".join(json.dumps({**row, **more}) for row, more in both))
        return kdbench.train(
            method="sft",
            student=str(world.student),
            data=world.data,
            train_set=str(file),
            valid_set="dolly",
            out=tmp_path / name,
            steps=2,
            batch_size=8,
            validation_limit=2,
            validation_samples=1,
            max_new_tokens=2,
            log_every=1,
            select="last",
            device="cpu",
        )

    def bits(run: Any) -> bytes:
        return (run.checkpoint / "model.safetensors").read_bytes()

    plain, ones = trained("plain", [None] * 8), trained("ones", [1, 1.0] * 4)
    assert bits(plain) == bits(ones)
    assert plain.card["training"]["data"] == ones.card["training"]["data"]
    half = trained("half", [0, 2] * 4)
    assert bits(half) != bits(plain)
    assert half.card["training"]["data"] != plain.card["training"]["data"]
    assert half.log["loss"][0] != pytest.approx(plain.log["loss"][0], rel=1e-3)
