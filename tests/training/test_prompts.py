"""What a view is asked: a context before the question, which the student does not see."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from small_context import EXAMPLES, Letters, V, tiny_context, tiny_llama
from transformers import AutoTokenizer

from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.protocol import Protocol
from kdbench.training import FewShot, FromStudent, Match, Peer, Prefixed, Rollout, Triple
from kdbench.training.prompts import frame_of
from kdbench.training.seen import start_companions
from kdbench.views.rollout import Batch, Example, of_dataset
from kdbench.views.view import ModelView

ROWS = [of_dataset(example) for example in EXAMPLES]
BATCH = Batch(ROWS)


def encode(text):
    return Letters()(text)["input_ids"]


def asked(prompt, row=0, **changes):
    prompt.begin(tiny_context(**changes).context)
    return tuple(prompt(ROWS[row], encode))


def hint(example):
    return "jihg"


def test_a_context_comes_before_the_question_and_is_cut_alone() -> None:
    assert asked(Prefixed(hint, 9, "{}k")) == (9, 8, 7, 6, 10, 3, 4)
    assert asked(Prefixed(hint, 2, "{}k")) == (9, 8, 3, 4)
    assert asked(Prefixed(hint, 0, "{}k")) == (3, 4)


def test_a_context_may_be_a_field_of_the_example() -> None:
    examples = [replace(EXAMPLES[0], fields={"hint": "kk"})]
    prompt = Prefixed("hint", 9, "{}a")
    prompt.begin(tiny_context(train=examples).context)
    assert prompt(of_dataset(examples[0]), encode) == (10, 10, 0, 3, 4)
    with pytest.raises(InputError, match="row 'a' has no field 'domain'; it has hint"):
        asked(Prefixed("domain", 9))


def test_a_plain_text_has_no_context() -> None:
    prompt = Prefixed(hint, 9, "{}")
    prompt.begin(tiny_context().context)
    assert prompt(Rollout("text-0", (5,), (6,), "pretraining"), encode) == (5,)


def test_a_context_comes_after_a_bos_token() -> None:
    form = Protocol("training", add_bos=True, max_prompt_tokens=None)
    examples = [replace(example, prompt_ids=(1, *example.prompt_ids)) for example in EXAMPLES]
    prompt = Prefixed(hint, 1, "{}")
    prompt.begin(tiny_context(sampling=form, train=examples).context)
    assert prompt(of_dataset(examples[0]), encode) == (1, 9, 3, 4)


def test_in_a_chat_a_context_is_in_the_turn_of_the_user(world) -> None:
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}\n{% endfor %}[assistant]"
    )
    form = Protocol("t", prompt="chat", system="Be brief.", max_prompt_tokens=None)
    ids = tokenizer("[system]Be brief.\n[user]What is it?\n[assistant]", add_special_tokens=False)
    example = Example("a", tuple(ids["input_ids"]), (2,))
    context = tiny_context(tokenizer=tokenizer, sampling=form, train=[example]).context
    prompt = Prefixed(lambda example: "Sum 1 and 2.", 50, "{} ")
    prompt.begin(context)
    shown = prompt(of_dataset(example), partial(_encode, tokenizer))
    assert tokenizer.decode(shown) == (
        "[system]Be brief.\n[user]Sum 1 and 2. What is it?\n[assistant]"
    )
    frame = frame_of(context)
    assert tokenizer.decode(example.prompt_ids[len(frame.before) : -frame.after]) == "What is it?"
    other = Example("b", tuple(_encode(tokenizer, "[user]What is it?\n[assistant]")), (2,))
    with pytest.raises(InputError, match="row 'b': its prompt does not begin as the chat template"):
        prompt(of_dataset(other), partial(_encode, tokenizer))


def _encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def many(count=30):
    letters = "defghij"
    return [Example(f"row {n}", (3 + n % 7, 3), (4, 2), (letters[n % 7],)) for n in range(count)]


def test_examples_of_a_prompt_are_others_and_the_same_in_every_epoch() -> None:
    examples = many()
    first, again, other = (FewShot(3, template="{question}{response}", seed=n) for n in (1, 1, 2))
    for prompt in (first, again, other):
        prompt.begin(tiny_context(train=examples).context)
    shown = [[[e.id for e in p.chosen(x.id)] for x in examples] for p in (first, again, other)]
    assert shown[0] == shown[1] != shown[2]
    assert len({tuple(ids) for ids in shown[0]}) > 20
    for example, ids in zip(examples, shown[0], strict=True):
        assert len(set(ids) - {example.id}) == 3


def test_examples_of_a_prompt_are_left_out_whole() -> None:
    """Each has three letters: its question of two, and its response."""
    examples = many()
    lengths = []
    for limit in (9, 8, 5, 2):
        prompt = FewShot(3, limit, "{question}{response}")
        prompt.begin(tiny_context(train=examples).context)
        shown = prompt(of_dataset(examples[0]), encode)
        assert shown[-2:] == examples[0].prompt_ids
        lengths.append(len(shown) - 2)
    assert lengths == [9, 6, 3, 0]
    chosen = prompt.chosen("row 0")[0]
    prompt = FewShot(1, 9, "{question}{response}")
    prompt.begin(tiny_context(train=examples).context)
    response = ord(chosen.references[0]) - ord("a")
    shown = prompt(of_dataset(examples[0]), encode)
    assert shown == (*chosen.prompt_ids, response, *examples[0].prompt_ids)


def test_prompts_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(InputError, match="3 other examples of 3; take fewer"):
        asked(FewShot(3))
    with pytest.raises(InputError, match=r"has no \{\}"):
        asked(Prefixed(hint, 3, "Hint: "))


def started(prompt, source=None, positions=64):
    """The views of a method whose peer is shown a prompt."""
    peer = Peer("informed", [], "student")
    student = tiny_llama(1, positions)
    context = tiny_context(student).context
    triple = Triple(
        Match(forward_kl, view="informed"),
        **({} if source is None else {"source": source}),
        companions=[peer],
        prompts={"informed": prompt},
    )
    start_companions(triple, context, context.views)
    return context.views


def test_a_view_with_the_students_prompt_is_the_student() -> None:
    views = started(lambda rollout, encode: rollout.prompt_ids)
    with torch.no_grad():
        student, informed = (
            views[n].logits(views[n].states(BATCH)) for n in ("student", "informed")
        )
    assert torch.equal(student, informed)


def test_all_views_have_the_same_positions() -> None:
    """The logits at the response tokens after the longer prompt, worked out row by row."""
    view = started(Prefixed(hint, 9, "{}"))["informed"]
    with torch.no_grad():
        together = view.logits(view.states(BATCH))
        rows = []
        for example in EXAMPLES:
            ids = torch.tensor([[9, 8, 7, 6, *example.context, *example.response_ids]])
            rows.append(tiny_llama(1)(ids).logits[0, -len(example.response_ids) - 1 : -1])
    assert together.shape == (len(BATCH.targets), V)
    torch.testing.assert_close(together, torch.cat(rows), rtol=1e-4, atol=1e-5)


def test_the_longest_prompt_must_fit() -> None:
    """Row c has 3 + 4 tokens and 4 of context; a sampled response has up to 5."""
    started(Prefixed(hint, 9, "{}"), positions=11)
    with pytest.raises(InputError, match=r"row 'c': a prompt of 7 .* and 4 of .* its 10 positions"):
        started(Prefixed(hint, 9, "{}"), positions=10)
    with pytest.raises(InputError, match=r"a prompt of 7 .* and 5 of .* its 11 positions"):
        started(Prefixed(hint, 9, "{}"), FromStudent(), positions=11)


def test_a_view_of_no_model_has_no_prompt() -> None:
    context = tiny_context().context
    context.views["teacher"] = object()
    triple = Triple(Match(forward_kl), prompts={"teacher": lambda rollout, encode: (1,)})
    with pytest.raises(InputError, match="prompts: the view 'teacher' is not a model"):
        start_companions(triple, context, context.views)


def test_an_unknown_view_is_explained_by_the_known_ones() -> None:
    context = tiny_context().context
    del context.views["teacher"]
    with pytest.raises(InputError, match="the view 'teacher', and this run has only student;"):
        start_companions(Triple(Match(forward_kl)), context, context.views)


def test_a_prompt_is_asked_of_a_copy_of_the_view() -> None:
    view = ModelView(tiny_llama(1), V)
    other = view.asked(lambda rollout: (5,))
    assert view.prompt_ids(ROWS[0]) == (3, 4)
    assert other.prompt_ids(ROWS[0]) == (5,)
