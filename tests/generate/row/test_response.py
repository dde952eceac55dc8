"""Where a response ends, and what text is left of it."""

from typing import Any

import pytest
from transformers import AutoTokenizer

from kdbench.generate import Row, Sample
from kdbench.generate.row.response import Response
from kdbench.generate.row.text import special_texts
from kdbench.protocol import get_protocol
from kdbench.toy.models import World


@pytest.fixture(scope="module")
def tokenizer(world: World) -> Any:
    return AutoTokenizer.from_pretrained(world.student)


def ended(tokenizer: Any, text: str, until: tuple[str, ...]) -> Sample | None:
    """What a model that writes this text leaves."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    protocol = get_protocol("greedy", {"max_new_tokens": 200})
    response = Response(Row("a", 0, (5,)), protocol, tokenizer, frozenset(), until)
    for token in ids:
        if (sample := response.take(token)) is not None:
            return sample
    return None


@pytest.mark.parametrize(
    ("until", "left"),
    [
        (("<|pad|>",), "It is 13."),
        (("<|pad|>\n",), "It is 13. Or"),
        (("13.<|pad|>",), "It is "),
        (("\n", "<|pad|>"), "It is 13."),
        (("13", "<|pad|>"), "It is "),
        (("nothing", "<|eos|>"), "It is 13. Or\n14"),
        (("\n",), "It is 13. Or"),
    ],
)
def test_a_stop_string_may_hold_special_tokens(
    until: tuple[str, ...], left: str, tokenizer: Any
) -> None:
    sample = ended(tokenizer, "It is 13.<|pad|> Or<|pad|>\n14<|eos|>", until)
    assert sample is not None
    assert (sample.output, sample.finish) == (left, "stop")


def test_special_stops_are_found(tokenizer: Any) -> None:
    assert special_texts(tokenizer, ("\n", "<|eos|>", "a<|pad|>")) == ["<|eos|>", "a<|pad|>"]
    assert special_texts(tokenizer, ()) == []
