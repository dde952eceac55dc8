"""Prompts as tokens: what a tokenizer puts around a text."""

from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from kdbench.errors import InputError
from kdbench.generate.prompts import check_template, encode_prompt, text_tokens
from kdbench.protocol import get_protocol
from kdbench.system.console import note_once
from kdbench.toy.models import World
from kdbench.views.chat import Turn


def around(world: World, template: str) -> Any:
    """The toy tokenizer, which puts these tokens around a text."""
    made = AutoTokenizer.from_pretrained(world.student)
    names = [made.bos_token, made.eos_token]
    tokens = list(zip(names, made.convert_tokens_to_ids(names), strict=True))
    made._tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=tokens)
    return made


@pytest.mark.parametrize(
    ("template", "before"),
    [("<|bos|> $A", 1), ("<|bos|> $A <|eos|>", 1), ("$A <|eos|>", 0), ("$A", 0)],
)
def test_add_bos_gives_bos_alone(template: str, before: int, world: World) -> None:
    tokenizer = around(world, template)
    plain = tokenizer("a b", add_special_tokens=False)["input_ids"]
    assert text_tokens(tokenizer, "a b", add_bos=True) == [tokenizer.bos_token_id] * before + plain
    assert text_tokens(tokenizer, "a b", add_bos=False) == plain
    protocol = get_protocol("greedy", {"add_bos": True, "max_prompt_tokens": 2})
    assert len(encode_prompt(tokenizer, protocol, "a b c d", "").ids) == 2


def test_a_bos_left_out_is_noted_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    note_once.cache_clear()
    with_bos, without = around(world, "<|bos|> $A"), around(world, "$A")
    for _ in range(2):
        check_template(with_bos, get_protocol("greedy"), "m")
    assert capsys.readouterr().err == (
        "note: the tokenizer of m begins a text with '<|bos|>', and the protocol leaves it out; "
        "add_bos=true keeps it\n"
    )
    note_once.cache_clear()
    check_template(without, get_protocol("greedy"), "m")
    check_template(with_bos, get_protocol("greedy", {"add_bos": True}), "m")
    check_template(with_bos, get_protocol("chat"), "m")
    assert capsys.readouterr().err == ""


def test_a_conversation_has_no_prompt_without_a_template(world: World) -> None:
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    turns = (Turn("user", "hello"),)
    assert encode_prompt(tokenizer, get_protocol("chat"), "", turns) == (
        encode_prompt(tokenizer, get_protocol("chat"), "", "hello")
    )
    with pytest.raises(InputError, match="use protocol=chat"):
        encode_prompt(tokenizer, get_protocol("greedy"), "", turns)


def test_a_chat_template_that_ends_the_prompt_is_noted_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    note_once.cache_clear()
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    turns = "{% for message in messages %}{{ message.content }}{% endfor %}"
    for template, notes in ((turns, 0), (turns + "{{ eos_token }}", 1)):
        tokenizer.chat_template = template
        for text in ("a b", "c d"):
            encode_prompt(tokenizer, get_protocol("chat", {}), "", text)
        assert capsys.readouterr().err.count("ends the prompt with the end token") == notes
