"""The line of advice about a protocol that asks otherwise than a student was trained."""

from typing import Any

import pytest

from kdbench.measuring.advice import prompt_advice
from kdbench.protocol import get_protocol


def advice(protocol: str, overrides: dict[str, Any] | None = None, **settings: Any) -> str | None:
    return prompt_advice({"training": {"settings": settings}}, get_protocol(protocol, overrides))


@pytest.mark.parametrize("learned", ["alpaca", "task", "text"])
def test_a_student_without_a_template_is_asked_without_one(learned: str) -> None:
    assert advice("minillm", train_format=learned) is None
    assert advice("greedy", train_format=learned) is None
    assert "protocol=minillm or greedy asks" in str(advice("chat", train_format=learned))


def test_a_chat_student_is_asked_with_its_template() -> None:
    assert advice("chat", train_format="chat") is None
    line = str(advice("minillm", train_format="chat"))
    assert "was trained on prompts in the tokenizer's chat template, and protocol minillm" in line
    assert "protocol=chat asks as in its training" in line


@pytest.mark.parametrize(
    ("trained", "asked", "word"),
    [
        ({"system": "Be brief."}, {}, "system='Be brief.'"),
        ({}, {"system": "Be brief."}, "system=none"),
        (
            {"chat_template_kwargs": {"enable_thinking": False}},
            {},
            "chat_template_kwargs=enable_thinking=false",
        ),
        ({"add_bos": True}, {}, "add_bos=true"),
        ({"system": "x\n" * 99}, {}, "system=… (see its run card)"),
    ],
)
def test_keys_of_chat_prompts_are_compared(
    trained: dict[str, Any], asked: dict[str, Any], word: str
) -> None:
    line = advice("chat", asked, train_format="chat", **trained)
    assert line == f"this student was trained with {word}; pass {word} to ask it so"
    assert advice("chat", trained, train_format="chat", **trained) is None


def test_an_older_card_and_one_of_another_shape_are_read() -> None:
    assert advice("minillm") is None
    assert "add_bos=true" in str(advice("minillm", add_bos=True))
    assert advice("chat", train_format=["chat"]) is None
    assert prompt_advice({"training": 3}, get_protocol("chat")) is None
