"""The protocols equal those of the papers, and every change to one is in its name."""

from dataclasses import FrozenInstanceError

import pytest

from kdbench.errors import InputError
from kdbench.protocol import PROTOCOLS, get_protocol, postprocess


def test_minillm_is_the_papers_protocol():
    assert get_protocol("minillm").as_dict() == {
        "name": "minillm",
        "prompt": "task",
        "max_prompt_tokens": 256,
        "max_new_tokens": 256,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "no_repeat_ngram_size": 6,
        "add_bos": False,
        "seeds": [10, 20, 30, 40, 50],
    }


def test_greedy_is_one_undisturbed_greedy_response():
    greedy = get_protocol("greedy")
    assert (greedy.temperature, greedy.no_repeat_ngram_size, greedy.seeds) == (0.0, 0, (0,))
    assert (greedy.prompt, greedy.max_prompt_tokens, greedy.max_new_tokens) == ("task", 256, 256)


def test_chat_uses_the_template_and_does_not_cut_prompts():
    chat = get_protocol("chat")
    assert (chat.prompt, chat.max_prompt_tokens, chat.no_repeat_ngram_size) == ("chat", None, 0)
    assert chat.temperature == 1.0
    assert len(chat.seeds) == 5


def test_every_protocol_carries_its_own_name():
    assert {name: protocol.name for name, protocol in PROTOCOLS.items()} == {
        name: name for name in ("minillm", "greedy", "chat")
    }


def test_an_override_changes_the_field_and_the_name():
    protocol = get_protocol("minillm", {"max_new_tokens": 64})
    assert protocol.max_new_tokens == 64
    assert protocol.name == "minillm+max_new_tokens=64"


def test_overrides_are_named_in_a_fixed_order():
    protocol = get_protocol("minillm", {"top_p": 0.9, "max_new_tokens": 64, "seeds": (1, 2)})
    other = get_protocol("minillm", {"seeds": [1, 2], "max_new_tokens": 64, "top_p": 0.9})
    assert protocol == other
    assert protocol.name == "minillm+max_new_tokens=64+seeds=1,2+top_p=0.9"


@pytest.mark.parametrize(
    "same", [{"max_new_tokens": 256}, {"temperature": 1}, {"seeds": [10, 20, 30, 40, 50]}]
)
def test_an_override_that_changes_nothing_is_not_named(same):
    assert get_protocol("minillm", same) == get_protocol("minillm")


def test_an_override_does_not_change_the_named_protocol():
    get_protocol("minillm", {"top_k": 5})
    assert PROTOCOLS["minillm"].top_k == 0
    with pytest.raises(FrozenInstanceError):
        PROTOCOLS["minillm"].top_k = 5


def test_greedy_with_several_seeds_is_refused():
    with pytest.raises(InputError, match="give one seed"):
        get_protocol("minillm", {"temperature": 0.0})
    with pytest.raises(InputError, match="give one seed"):
        get_protocol("greedy", {"seeds": (1, 2)})
    assert get_protocol("minillm", {"temperature": 0.0, "seeds": (1,)}).seeds == (1,)


@pytest.mark.parametrize("seeds", [(1, 2, 1), ()])
def test_repeated_or_no_seeds_are_refused(seeds):
    with pytest.raises(InputError, match=r"^seeds=.*seeds must be unique and non-empty"):
        get_protocol("minillm", {"seeds": seeds})


@pytest.mark.parametrize("field", ["max_new_tokens", "temperature", "top_p", "top_k", "add_bos"])
def test_none_is_refused_for_a_required_field(field):
    from kdbench.config import EvalSettings, parse

    try:
        overrides = parse(EvalSettings, ["model=m", f"{field}=none"]).protocol_overrides()
        protocol = get_protocol("minillm", overrides)
    except InputError:
        return
    assert protocol == get_protocol("minillm")


def test_prompts_can_stay_uncut():
    protocol = get_protocol("minillm", {"max_prompt_tokens": None})
    assert protocol.max_prompt_tokens is None
    assert protocol.name == "minillm+max_prompt_tokens=none"


def test_an_unknown_protocol_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match="unknown protocol 'minilm': did you mean 'minillm'"):
        get_protocol("minilm")


@pytest.mark.parametrize(
    ("raw", "scored"),
    [
        ("  one two \n", "one two"),
        ("one<|endoftext|>two", "one"),
        ("one<|endoftext|>two<|endoftext|>three", "one"),
        ("<|endoftext|>one", ""),
        ("one<n>two", "one\ntwo"),
        ("<n>one<n>", "one"),
        ("one\n\n### Instruction:\ntwo", "one\n\n### Instruction:\ntwo"),
        ("one</s>two<eos>", "one</s>two<eos>"),
        ("one  two\n\nthree", "one  two\n\nthree"),
        ("<N> One", "<N> One"),
        ("", ""),
    ],
)
def test_postprocessing_equals_that_of_the_papers_scripts(raw, scored):
    assert postprocess(raw) == scored


def test_many_seeds_are_a_range_in_the_name_so_that_it_can_name_a_folder() -> None:
    assert get_protocol("minillm", {"seeds": (1, 2, 3)}).name == "minillm+seeds=1,2,3"
    assert get_protocol("minillm", {"seeds": tuple(range(1, 65))}).name == "minillm+seeds=1-64"
    scattered = get_protocol("minillm", {"seeds": tuple(range(0, 1000, 2))})
    assert len(scattered.name) < 40
    assert scattered.seeds[-1] == 998


def test_the_fields_of_chat_and_thinking_are_named_and_stored_only_if_given():
    given = {"system": "Be brief.", "chat_template_kwargs": {"enable_thinking": False, "a": "b"}}
    chat = get_protocol("chat", {**given, "thinking": "keep", "thinking_marks": ["<t>", "</t>"]})
    assert chat.name == (
        "chat+chat_template_kwargs=a=b,enable_thinking=false+system=Be brief."
        "+thinking=keep+thinking_marks=<t>,</t>"
    )
    stored = {key: chat.as_dict()[key] for key in ("system", "thinking", "thinking_marks")}
    assert stored == {"system": "Be brief.", "thinking": "keep", "thinking_marks": ["<t>", "</t>"]}
    assert chat.as_dict()["chat_template_kwargs"] == {"enable_thinking": False, "a": "b"}
    assert hash(chat)


def test_chat_results_name_what_becomes_of_the_thinking():
    # Those of earlier versions, which scored it, do not; other prompts keep their fingerprints.
    assert get_protocol("chat").as_dict()["thinking"] == "strip"
    assert "thinking" not in get_protocol("minillm").as_dict()
    assert get_protocol("minillm", {"thinking": "keep"}).as_dict()["thinking"] == "keep"


def test_a_long_system_turn_is_named_by_its_hash():
    name = get_protocol("chat", {"system": "Be brief. " * 20}).name
    assert len(name) == len("chat+system=") + 12
    name = get_protocol("chat", {"chat_template_kwargs": {"who": "You are brief. " * 20}}).name
    assert len(name) == len("chat+chat_template_kwargs=") + 12
    assert get_protocol("chat", {"system": "strip"}).as_dict()["system"] == "strip"


@pytest.mark.parametrize("given", [{"system": "s"}, {"chat_template_kwargs": {"a": 1}}])
def test_chat_fields_without_chat_prompts_are_refused(given):
    with pytest.raises(InputError, match="has no effect without protocol=chat"):
        get_protocol("minillm", given)
