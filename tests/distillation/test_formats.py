"""A student learns rows in the formats that evaluation asks in: alpaca, chat and text."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

import kdbench
from kdbench.config import EvalSettings, TrainFormat, TrainTurns
from kdbench.distillation.data import DataSet, SetFile, load_set
from kdbench.distillation.encoder import Encoder, Lengths
from kdbench.distillation.identity import Identity
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.prompts import PLAIN
from kdbench.distillation.recipe import make_recipe
from kdbench.distillation.students import StudentSource
from kdbench.errors import InputError
from kdbench.measuring.measurement import prepare
from kdbench.toy.models import World

CHAT = replace(PLAIN, prompt="chat")
# As Qwen3's: an answer gets an empty block of thinking unless it has its own.
TEMPLATE = (
    "{%- for m in messages -%}<|bos|>{{ m.role + '\\n' }}"
    "{%- if m.role == 'assistant' and '</think>' not in m.content %}"
    "<think>\n\n</think>\n\n{% endif -%}"
    "{{ m.content }}<|eos|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|bos|>{{ 'assistant\\n' }}"
    "{%- if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif -%}{%- endif -%}"
)
ROW = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say yes."},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "Say no."},
        {"role": "assistant", "content": "no"},
    ]
}


@pytest.fixture(scope="module")
def tokenizer(world: World) -> Any:
    return AutoTokenizer.from_pretrained(world.student)


def write(folder: Path, rows: Sequence[Any], split: str = "train") -> Path:
    path = folder / "mine" / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def load(
    folder: Path,
    encoder: Encoder,
    train_format: TrainFormat = "chat",
    turns: TrainTurns = "last",
) -> DataSet:
    return load_set(SetFile(folder, "mine", "train", train_format, turns), encoder)


def encoder_of(tokenizer: Any, form: Any = CHAT, **changes: Any) -> Encoder:
    return Encoder(tokenizer, form, Lengths(256, 512, "drop"), **changes)


def texts(tokenizer: Any, data: DataSet) -> list[tuple[str, str]]:
    return [
        (tokenizer.decode(example.context), tokenizer.decode(example.response_ids))
        for example in data.examples
    ]


def test_a_conversation_teaches_its_last_answer_and_the_end_of_the_turn(
    tokenizer: Any, tmp_path: Path
) -> None:
    form = replace(CHAT, chat_template=TEMPLATE)
    data = load(write(tmp_path, [ROW]), encoder_of(tokenizer, form))
    ((asked, learned),) = texts(tokenizer, data)
    assert asked.startswith("<|bos|>system\nBe brief.<|eos|>\n<|bos|>user\nSay yes.")
    assert asked.endswith("<|bos|>user\nSay no.<|eos|>\n<|bos|>assistant\n")
    assert learned == "<think>\n\n</think>\n\nno<|eos|>"  # without the newline after the end
    assert data.examples[0].references == ("no",)


def test_variables_of_the_template_move_what_is_asked_and_what_is_learned(
    tokenizer: Any, tmp_path: Path
) -> None:
    form = replace(CHAT, chat_template=TEMPLATE, chat_template_kwargs={"enable_thinking": False})
    data = load(write(tmp_path, [ROW]), encoder_of(tokenizer, form))
    ((asked, learned),) = texts(tokenizer, data)
    assert asked.endswith("<|bos|>assistant\n<think>\n\n</think>\n\n")
    assert learned == "no<|eos|>"


def test_the_system_turn_and_the_thinking_are_learned_and_validation_scores_the_answer(
    tokenizer: Any, tmp_path: Path
) -> None:
    answer = "<think>hm</think>\n\nno"
    rows = [{"prompt": "Say no.", "response": answer}]
    form = replace(CHAT, chat_template=TEMPLATE, system="Be brief.")
    data = load(write(tmp_path, rows), encoder_of(tokenizer, form))
    ((asked, learned),) = texts(tokenizer, data)
    assert asked.startswith("<|bos|>system\nBe brief.<|eos|>\n<|bos|>user\nSay no.<|eos|>")
    assert learned == f"{answer}<|eos|>"
    assert data.examples[0].references == ("no",)
    kept = load(tmp_path, encoder_of(tokenizer, replace(form, thinking="keep")))
    assert kept.examples[0].references == (answer,)
    assert kept.examples[0].response_ids == data.examples[0].response_ids
    with pytest.raises(InputError, match="a system turn of their own"):
        load(write(tmp_path, [ROW]), encoder_of(tokenizer, form))


@pytest.mark.parametrize("thought", ["<think>\nOh  well, no!\n</think>\n\n", "<think></think>", ""])
def test_a_template_that_leaves_out_the_thinking_is_noted_once(
    thought: str, tokenizer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": "Say no.", "response": f"{thought}no"}] * 2
    load(write(tmp_path, rows), encoder_of(tokenizer, replace(CHAT, chat_template=TEMPLATE)))
    assert "note:" not in capsys.readouterr().err
    # As DeepSeek-R1's.
    template = TEMPLATE.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}")
    data = load(write(tmp_path, rows), encoder_of(tokenizer, replace(CHAT, chat_template=template)))
    assert "Oh" not in texts(tokenizer, data)[0][1]
    noted = capsys.readouterr().err.count("leaves out the thinking")
    assert noted == ("Oh" in thought)


def test_a_student_without_marks_learns_the_answer_of_a_teacher_that_thinks(
    tokenizer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = "{% for m in messages %}{{ m.role + m.content }}<|eos|>{% endfor %}"
    template += "{% if add_generation_prompt %}assistant{% endif %}"
    form = replace(CHAT, chat_template=template)
    encoder = encoder_of(tokenizer, form)
    (row,) = load(write(tmp_path, [{"prompt": "Say no.", "response": "no"}]), encoder).rows

    def learned(text: str, ended: bool, **changes: Any) -> str | None:
        example = encoder_of(tokenizer, replace(form, **changes)).answered(row, text, ended)
        return None if example is None else tokenizer.decode(example.response_ids)

    assert learned("no", ended=True) == "no<|eos|>"
    assert not capsys.readouterr().err
    answer = "<think>Oh, no!</think>\n\nno"
    assert learned(answer, ended=True) == "no<|eos|>"
    assert "have no marks of a thinking" in capsys.readouterr().err
    assert learned(answer, ended=False) == "no"
    assert learned("<think>Oh, no!", ended=False) is None
    for changes in ({"thinking": "keep"}, {"thinking_marks": ("<think>", "</think>")}):
        assert learned(answer, ended=True, **changes) == f"{answer}<|eos|>"


def test_all_turns_of_a_conversation_can_be_learned(tokenizer: Any, tmp_path: Path) -> None:
    form = replace(CHAT, chat_template=TEMPLATE)
    data = load(write(tmp_path, [{"id": "a", **ROW}]), encoder_of(tokenizer, form), turns="all")
    (first, yes), (second, no) = texts(tokenizer, data)
    assert [example.id for example in data.examples] == ["a#2", "a"]
    assert second.startswith(first)
    assert (yes, no) == tuple(f"<think>\n\n</think>\n\n{word}<|eos|>" for word in ("yes", "no"))


def test_a_template_without_an_end_token_gets_one(tokenizer: Any, tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }} ;\n{% endfor %}"
    template += "{% if add_generation_prompt %}assistant:{% endif %}"
    data = load(
        write(tmp_path, [ROW]), encoder_of(tokenizer, replace(CHAT, chat_template=template))
    )
    assert texts(tokenizer, data)[0][1] == " no ;<|eos|>"
    assert data.cut == 0


def test_any_token_that_ends_generation_ends_the_turn(tokenizer: Any, tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.content }}<|pad|><|eos|>{% endfor %}"
    form, ends = replace(CHAT, chat_template=template), frozenset({1, 2})
    assert tokenizer.convert_ids_to_tokens([1, 2]) == ["<|eos|>", "<|pad|>"]
    data = load(write(tmp_path, [ROW]), encoder_of(tokenizer, form, ends=ends))
    assert texts(tokenizer, data)[0][1] == "no<|pad|>"
    assert data.cut == 0


def test_a_template_that_never_writes_what_it_asks_is_refused(
    tokenizer: Any, tmp_path: Path
) -> None:
    """As DeepSeek-R1's: it asks after an open <think>, and answers have none."""
    template = "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}"
    template += "{% if add_generation_prompt %}assistant:<think>{% endif %}"
    form = replace(CHAT, chat_template=template)
    with pytest.raises(InputError, match=r"row 'mine-00000': .*'….*assistant:<think>' and never"):
        load(write(tmp_path, [ROW]), encoder_of(tokenizer, form))


def test_prompts_and_instructions_are_turns_of_the_user(tokenizer: Any, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"prompt": "Say yes.", "response": ["yes", "Yes"]}]
    prompts = load(write(tmp_path / "prompts", rows), encoder_of(tokenizer))
    rows = [{"instruction": "Say yes.", "input": "", "output": ["yes", "Yes"]}]
    instructions = load(write(tmp_path / "instructions", rows), encoder_of(tokenizer))
    assert prompts.examples == instructions.examples
    assert prompts.examples[0].references == ("yes", "Yes")
    rows = [{"messages": [{"role": "user", "content": "Say yes."}], "response": ["yes", "Yes"]}]
    assert load(write(tmp_path, rows), encoder_of(tokenizer)).examples == prompts.examples


def test_text_is_learned_as_it_is(tokenizer: Any, tmp_path: Path) -> None:
    plain = encoder_of(tokenizer, PLAIN)
    data = load(write(tmp_path / "one", [{"text": "one two three"}]), plain, "text")
    ids = tokenizer("one two three", add_special_tokens=False)["input_ids"]
    assert data.examples[0].prompt_ids == (ids[0],)
    assert data.examples[0].response_ids == (*ids[1:], tokenizer.eos_token_id)
    data = load(write(tmp_path, [{"prompt": "one two", "response": " three"}]), plain, "text")
    assert texts(tokenizer, data) == [("one two", " three<|eos|>")]


def line(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns], **more}


@pytest.mark.parametrize(
    ("train_format", "row", "message"),
    [
        (
            "alpaca",
            {"text": "x"},
            r"rows with text, and train_format=alpaca learns .* pass train_f",
        ),
        ("alpaca", ROW, r"pass train_format=chat"),
        ("text", ROW, r"train_format=text learns rows with text or prompt and response"),
        ("chat", {"text": "x"}, r"pass train_format=text"),
        ("chat", {"prompt": "x", "completion": "y"}, r"'response' is missing; rename 'completion'"),
        ("chat", {"prompt": "x"}, r"train\.jsonl:2: 'response' must be a non-empty text"),
        ("chat", {"prompt": "x", "response": [3]}, r"'response' must be"),
        ("chat", {"prompt": 3, "response": "y"}, r"'prompt' must be a non-empty string"),
        ("chat", {"messages": []}, r"'messages' must be a list of turns"),
        ("chat", {"messages": ["x"]}, r"'messages\[0\]' must have role and content"),
        ("chat", line(("user", None)), r"'messages\[0\]': 'content' must be a string"),
        ("chat", line(("user", "x")), r"'response' must be a non-empty text"),
        ("chat", line(("user", "x"), ("assistant", " ")), r"'messages\[1\]': .* is empty"),
        ("chat", line(("assistant", "x")), r"must be the system's or the user's turn"),
        ("chat", line(("user", "x"), ("assistant", "y"), response="z"), r"give 'response' or end"),
        ("text", {"text": ""}, r"'text' must be a non-empty string"),
    ],
)
def test_a_bad_row_is_named(
    train_format: Any, row: dict[str, Any], message: str, tokenizer: Any, tmp_path: Path
) -> None:
    kind = next(iter(row))
    good: dict[str, Any] = {"text": {"text": "x"}, "messages": ROW}.get(
        kind, {"prompt": "x", "response": "y"}
    )
    folder = write(tmp_path, [good, row])
    with pytest.raises(InputError, match=message):
        load(folder, encoder_of(tokenizer), train_format)


def test_a_turn_with_more_than_text_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    turn = {"role": "assistant", "content": "x", "tool_calls": [{"name": "f"}]}
    rows = [{"messages": [{"role": "user", "content": "x"}, turn]}]
    with pytest.raises(InputError, match=r"train\.jsonl:1: 'messages\[1\]': 'tool_calls' cannot"):
        load(write(tmp_path, rows), encoder_of(tokenizer))


def test_a_chat_student_is_asked_what_it_was_trained_on(world: World, tmp_path: Path) -> None:
    """The toy chat student, trained for a few steps and evaluated with protocol=chat."""
    rows = [
        json.loads(text)
        for text in (world.data / "dolly" / "train.jsonl").read_text().splitlines()[:8]
    ]
    for split in ("train", "valid", "test"):
        path = tmp_path / "data" / "dolly" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    trained = kdbench.train(
        method="sft",
        student=str(world.student),
        train_set=str(tmp_path / "data" / "dolly" / "train.jsonl"),
        train_format="chat",
        out=tmp_path / "chat",
        steps=2,
        batch_size=4,
        max_new_tokens=4,
        validation_limit=2,
        device="cpu",
    )
    settings = trained.card["training"]["settings"]
    assert settings["train_format"] == "chat"
    assert settings["train_set"] == "train"
    assert len(trained.card["chat_template_sha256"]) == 64
    measured = prepare(
        EvalSettings(
            model=str(trained.checkpoint),
            data=tmp_path / "data",
            tasks=("dolly",),
            protocol="chat",
            results=tmp_path / "results",
            device="cpu",
        )
    )
    (task,) = measured.tasks
    asked = measured.prompts(task)
    measured.release()
    tokenizer = AutoTokenizer.from_pretrained(trained.checkpoint)
    data = load_set(SetFile(tmp_path / "data", "dolly", "train", "chat"), encoder_of(tokenizer))
    assert len(data.examples) == len(asked) == 8
    for example in data.examples:
        assert example.prompt_ids == example.context == asked[example.id].ids
        assert example.response_ids[-1] == tokenizer.eos_token_id


def test_plain_texts_are_learned_by_methods_without_prompts(world: World, tmp_path: Path) -> None:
    rows = [{"text": f"one two three {number}"} for number in range(4)]
    for split in ("train", "valid"):
        write(tmp_path, rows, split)
    keys: dict[str, Any] = {
        "student": str(world.student),
        "teacher": str(world.teacher),
        "train_set": str(tmp_path / "mine" / "train.jsonl"),
        "train_format": "text",
        "steps": 1,
        "batch_size": 4,
        "device": "cpu",
    }
    with pytest.raises(InputError, match="method=gkd samples responses to prompts, and rows with"):
        kdbench.train(**keys, method="gkd", out=tmp_path / "gkd")
    with pytest.raises(InputError, match="rows with text have no prompt: pass select=loss"):
        kdbench.train(**keys, method="kd", out=tmp_path / "kd")
    card = kdbench.train(**keys, method="kd", out=tmp_path / "kd", select="loss").card
    assert card["selected"].keys() == {"step", "loss"}
    assert card["validations"][1]["loss"] < card["validations"][0]["loss"]


def test_the_earlier_name_of_alpaca_is_read() -> None:
    recipe = make_recipe({"method": "sft", "student": "x", "train_format": "task"})
    assert recipe.settings.train_format == "alpaca"
    assert "train_format" not in recipe.settings.model_dump(exclude_defaults=True)
    stored = {"settings": {"train_format": "task", "seed": 3}, "parameters": {}, "student": {}}
    read = Identity.model_validate({**stored, "teacher": None, "data": {}})
    assert read.settings == {"train_format": "alpaca", "seed": 3}


def test_a_student_leaves_with_the_chat_template_that_it_learned(
    world: World, tmp_path: Path
) -> None:
    model = shutil.copytree(world.student, tmp_path / "model")
    named = AutoTokenizer.from_pretrained(model)
    named.chat_template = {"default": named.chat_template, "brief": TEMPLATE}
    named.save_pretrained(model)
    write(tmp_path, [ROW])
    write(tmp_path, [ROW], "valid")
    file = tmp_path / "template.jinja"
    file.write_text(TEMPLATE)
    keys = {"method": "sft", "student": str(model), "data": tmp_path, "train_set": "mine"}
    of_two = [
        Ingredients(make_recipe({**keys, "train_format": "chat", "chat_template": chosen}))
        for chosen in ("brief", str(file))
    ]
    assert [one.tokenizer.chat_template for one in of_two] == [TEMPLATE, TEMPLATE]
    assert of_two[0].train.examples == of_two[1].train.examples
    assert "<think>" in of_two[0].tokenizer.decode(of_two[0].train.examples[0].response_ids)
    own = Ingredients(make_recipe({**keys, "train_format": "chat"})).train.examples
    assert own != of_two[0].train.examples
    variables = {"chat_template": str(file), "chat_template_kwargs": {"enable_thought": False}}
    with pytest.raises(InputError, match="enable_thought=…: the chat template reads no such"):
        Ingredients(make_recipe({**keys, "train_format": "chat", **variables}))


def test_the_end_tokens_are_those_of_the_generation(world: World, tmp_path: Path) -> None:
    model = shutil.copytree(world.student, tmp_path / "model")
    file = model / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": [1, 2]}))
    write(tmp_path, [ROW])
    write(tmp_path, [ROW], "valid")
    template = "{% for m in messages %}{{ m.content }}<|pad|><|eos|>{% endfor %}"
    keys = {"method": "sft", "student": str(model), "data": tmp_path, "train_set": "mine"}
    keys |= {"train_format": "chat", "chat_template": template}
    both = Ingredients(make_recipe(keys))
    assert both.tokenizer.decode(both.train.examples[0].response_ids) == "no<|pad|>"
    chosen = Ingredients(make_recipe({**keys, "end_token": "<|eos|>"}))
    assert chosen.tokenizer.decode(chosen.train.examples[0].response_ids) == "no<|pad|><|eos|>"
    file.write_text("{}")
    assert StudentSource(str(model), None, 1).end_tokens == frozenset()
