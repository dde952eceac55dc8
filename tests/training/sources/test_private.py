"""Which tokens are private."""

from types import SimpleNamespace

import pytest

from kdbench.errors import InputError
from kdbench.training import Example, FromDataset
from kdbench.training.sources.private import MarkPrivate
from kdbench.views.rollout import of_dataset


def example(tokenizer, text, private):
    ids = (*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id)
    fields = {} if private is None else {"private": private}
    return Example("row", (3,), ids, (text,), fields=fields)


def marked(tokenizer, text, private, rule="spans"):
    source = MarkPrivate(rule)
    row = example(tokenizer, text, private)
    source.begin(SimpleNamespace(tokenizer=tokenizer))
    draw = SimpleNamespace(examples=[row])
    (rollout,) = source.rollouts(draw)
    assert rollout.response_ids == of_dataset(row).response_ids
    marks = rollout.recorded["private"]
    ids = rollout.response_ids
    return [tokenizer.decode([t]).strip() for t, mark in zip(ids, marks, strict=True) if mark]


@pytest.fixture(scope="module")
def tokenizer(world):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(world.student)


def test_tokens_that_write_a_part_of_a_private_text_are_private(tokenizer):
    text = "The code is 4831, and 48 is no code."
    assert "".join(marked(tokenizer, text, ["4831"])) == "4831"
    assert "".join(marked(tokenizer, text, ["48"])) == "4848"
    assert "".join(marked(tokenizer, text, ["48", "4831"])) == "483148"
    assert "".join(marked(tokenizer, text, [])) == ""
    assert "".join(marked(tokenizer, text, None, "digits")) == "483148"


def test_characters_of_several_bytes_are_counted_right(tokenizer):
    whole = "".join(marked(tokenizer, "naïve café 7 über 12 🙂 9", ["12"]))
    assert whole == "12"
    assert marked(tokenizer, "naïve café 7 über 12 🙂 9", ["🙂"])


@pytest.mark.parametrize(
    ("private", "fault"),
    [
        ("4831", "must be a list of texts"),
        ([4831], "must be a list of texts"),
        ([""], "must be a list of texts"),
        (["1234"], "the private text '1234' is not in its response"),
    ],
)
def test_a_faulty_list_is_refused_by_its_row(tokenizer, private, fault):
    with pytest.raises(InputError, match="row 'row'") as caught:
        MarkPrivate().check([example(tokenizer, "The code is 4831.", private)])
    assert fault in str(caught.value)


def test_the_field_is_asked_for_where_it_is_read():
    assert MarkPrivate().fields == ("private",)
    assert MarkPrivate("digits").fields == FromDataset().fields
