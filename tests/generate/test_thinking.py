"""Where a response's thinking ends, and which marks a model has."""

from types import SimpleNamespace
from typing import Any

import pytest
from lm_eval.models.utils import postprocess_generated_text
from tokenizers import AddedToken
from transformers import AutoTokenizer

from kdbench.generate import Row, Sample
from kdbench.generate.lm_eval.answers import Answers
from kdbench.generate.lm_eval.models import find_kind
from kdbench.generate.row.response import Response
from kdbench.generate.thinking import KNOWN_MARKS, Marks, find_marks, marks_in, split_thinking
from kdbench.protocol import get_protocol
from kdbench.toy.models import World

TAGS = Marks("<think>", "</think>")
HARMONY = (
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Oslo"
)


@pytest.mark.parametrize(
    ("text", "opened", "answer", "unclosed"),
    [
        ("Oslo", False, "Oslo", False),
        ("<think>\nHm.\n</think>\n\nOslo", False, "Oslo", False),
        ("\n<think>Hm.</think>Oslo", False, "Oslo", False),
        ("Hm.</think> Oslo", False, "Oslo", False),
        ("Hm.</think> Oslo", True, "Oslo", False),
        ("Hm.", True, "", True),
        ("<think>Hm.", False, "", True),
        ("", True, "", True),
        ("<think>a</think>b<think>c</think>d", False, "d", False),
        ("<think>a</think>\n<think>b", False, "", True),
        ("<think>a</think>\n\n", False, "", False),
        ("What does <think> mean?", False, "What does <think> mean?", False),
    ],
)
def test_the_answer_begins_after_the_thinking(
    text: str, opened: bool, answer: str, unclosed: bool
) -> None:
    split = split_thinking(text, TAGS, opened)
    assert text[split.answer or 0 :] == answer
    assert split.unclosed == unclosed
    if split.closed is not None:  # then lm-eval agrees
        assert postprocess_generated_text(text, None, "</think>") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (HARMONY, "Oslo"),
        ("<|channel|>final<|message|>Oslo", "Oslo"),
        ("[THINK]Hm.[/THINK]Oslo", "Oslo"),
        ("<seed:think>Hm.</seed:think>Oslo", "Oslo"),
        ("<|channel>thought\nHm.<channel|>Oslo", "Oslo"),
        ("<|START_THINKING|>Hm.<|END_THINKING|>Oslo", "Oslo"),
        ("<|inner_prefix|>Hm.<|inner_suffix|>Oslo", "Oslo"),
        ("◁think▷Hm.◁/think▷Oslo", "Oslo"),
        ("Here is my thought process: Hm.\nHere is my response: Oslo", "Oslo"),
        ("I wrote: Here is my response: Oslo", "I wrote: Here is my response: Oslo"),
    ],
)
def test_the_marks_of_common_families_are_known(text: str, answer: str) -> None:
    marks = marks_in(text)
    start = 0 if marks is None else split_thinking(text, marks).answer
    assert text[start:] == answer


def made(world: World, *tokens: str, special: bool = False, template: str = "{{x}}") -> Any:
    """The toy tokenizer with more tokens."""
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False, special=special) for token in tokens],
        special_tokens=special,
    )
    tokenizer.chat_template = template
    return tokenizer


def test_marks_are_found_in_the_template_and_the_vocabulary(world: World) -> None:
    greedy = get_protocol("greedy")
    assert find_marks(made(world), greedy) is None
    assert find_marks(made(world, "<think>", "</think>"), greedy) == TAGS
    assert find_marks(made(world, "[THINK]", "[/THINK]", special=True), greedy) == KNOWN_MARKS[1]
    seed = "{{ '<seed:think></seed:think>' }}"
    assert find_marks(made(world, "</think>", template=seed), greedy) == KNOWN_MARKS[2]
    own = get_protocol("greedy", {"thinking_marks": ("A:", "B:")})
    assert find_marks(made(world, "</think>"), own) == Marks("A:", "B:")


def ended(
    tokenizer: Any,
    text: str,
    until: tuple[str, ...] = (),
    prompt: str = "hello",
    **fields: Any,
) -> Sample:
    """What a model that writes this text, and then the end token, leaves."""
    protocol = get_protocol("greedy", {"max_new_tokens": 200, **fields})
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    row, ends = Row("a", 0, tuple(ids)), frozenset({tokenizer.eos_token_id})
    response = Response(row, protocol, tokenizer, ends, until, find_marks(tokenizer, protocol))
    for token in [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]:
        if (sample := response.take(token)) is not None:
            return sample
    raise AssertionError("no end")


@pytest.mark.parametrize("special", [False, True])
def test_a_response_keeps_its_thinking_and_says_where_the_answer_begins(
    special: bool, world: World
) -> None:
    tokenizer = made(world, "[THINK]", "[/THINK]", special=special)
    text = "[THINK]Anna lives in Rome.[/THINK]\n\nRome<|pad|> it is"
    sample = ended(tokenizer, text)
    assert sample.output == "[THINK]Anna lives in Rome.[/THINK]\n\nRome it is"
    assert (sample.answer, sample.finish, sample.unclosed) == ("Rome it is", "stop", False)
    thought = tokenizer("[THINK]Anna lives in Rome.", add_special_tokens=False)["input_ids"]
    assert sample.n_thinking_tokens == len(thought)
    kept = ended(tokenizer, text, thinking="keep")
    assert (kept.output, kept.answer) == (sample.output, sample.output)
    assert kept.n_thinking_tokens == len(thought)


@pytest.mark.parametrize("special", [False, True])
def test_an_unclosed_thinking_is_an_empty_answer(special: bool, world: World) -> None:
    tokenizer = made(world, "[THINK]", "[/THINK]", special=special)
    sample = ended(tokenizer, "[THINK]Anna lives")
    assert (sample.output, sample.answer, sample.unclosed) == ("[THINK]Anna lives", "", True)
    assert sample.n_thinking_tokens == sample.n_tokens
    opened = ended(tokenizer, "Anna lives", prompt="Who?\n[THINK]\n")
    assert (opened.output, opened.answer, opened.unclosed) == ("Anna lives", "", True)
    closed = ended(tokenizer, "Anna[/THINK]Rome", prompt="Who?\n[THINK]\n")
    assert (closed.answer, closed.unclosed) == ("Rome", False)
    plain = ended(tokenizer, "Anna<|pad|> lives", prompt="[THINK] is a mark.")
    assert (plain.output, plain.answer) == ("Anna lives", "Anna lives")
    assert (plain.n_thinking_tokens, plain.answer_start) == (0, None)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("until", [("\n\n",), ("<|pad|>",), ("Rome.",)])
def test_a_stop_string_ends_the_answer_and_not_the_thinking(
    until: tuple[str, ...], special: bool, world: World
) -> None:
    tokenizer = made(world, "[THINK]", "[/THINK]", special=special)
    thought = f"[THINK]Anna{until[0]}lives[/THINK]\n\n"
    sample = ended(tokenizer, f"{thought}In{until[0]}Oslo", until)
    assert (sample.answer, sample.finish) == ("In", "stop")
    assert sample.n_tokens < len(tokenizer(f"{thought}In{until[0]}Oslo")["input_ids"])
    # Without a thinking, stop strings end the response as ever.
    assert ended(tokenizer, f"In{until[0]}Oslo", until).output == "In"


def test_marks_of_several_tokens_count_the_tokens_before_them(world: World) -> None:
    tokenizer = made(world)
    sample = ended(tokenizer, "Übung héé</t>Rome", thinking_marks=("<t>", "</t>"))
    assert sample.answer == "Rome"
    assert sample.n_thinking_tokens == len(tokenizer("Übung héé")["input_ids"])


def test_a_model_without_marks_has_the_samples_of_ever(world: World) -> None:
    sample = ended(made(world), "<think>Hm.</think>Rome")
    assert sample.answer == sample.output == "<think>Hm.</think>Rome"
    assert not sample.knows_thinking


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("kept", ["strip", "keep"])
@pytest.mark.parametrize(
    "text", ["[THINK]Anna\n\nlives[/THINK]\n\nIn\n\nOslo", "In\n\nOslo", "[THINK]Anna", "In"]
)
def test_lm_evals_models_give_the_same_fields(
    text: str, kept: str, special: bool, world: World
) -> None:
    tokenizer = made(world, "[THINK]", "[/THINK]", special=special)
    protocol = get_protocol("greedy", {"thinking": kept})
    answers = Answers(find_kind("hf"), protocol, tokenizer)
    assert answers.requested_stops(["\n\n"]) == []
    assert answers.has_special_marks == special
    ids = tokenizer("hello")["input_ids"]
    theirs = answers.sample(Row("a", 0, tuple(ids)), text, ["\n\n"])
    ours = ended(tokenizer, text, ("\n\n",), thinking=kept)
    fields = ("output", "answer_start", "n_thinking_tokens", "unclosed")
    assert [getattr(theirs, f) for f in fields] == [getattr(ours, f) for f in fields]


def test_a_model_whose_text_lacks_the_marks_is_refused(world: World) -> None:
    from kdbench.errors import InputError

    tokenizer = made(world, "[THINK]", "[/THINK]", special=True)
    kind = SimpleNamespace(name="sglang", is_hf=False)
    with pytest.raises(InputError, match=r"lack '\[/THINK\]'.*use backend=hf or vllm"):
        Answers(kind, get_protocol("greedy"), tokenizer)  # type: ignore[arg-type]
    Answers(kind, get_protocol("greedy", {"thinking": "keep"}), tokenizer)  # type: ignore[arg-type]
    served = Answers(kind, get_protocol("greedy"), None)  # type: ignore[arg-type]
    assert served.requested_stops(["\n"]) == ["\n"]
    sample = served.sample(Row("a", 0, (1,)), "<think>Hm.</think>Rome", ["\n"])
    assert (sample.answer, sample.n_thinking_tokens) == ("Rome", None)
