"""Which words of two responses differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.comparing.word_diff import DiffSpan, shortened_diff, word_diff
from kdbench.text import visible


def text_of(spans: tuple[DiffSpan, ...], without: str) -> str:
    return "".join(span.text for span in spans if span.kind != without)


def written(base: str, new: str) -> str:
    marks = {"same": "{}", "gone": "-{}-", "new": "+{}+"}
    return "|".join(marks[span.kind].format(span.text) for span in word_diff(base, new))


@pytest.mark.parametrize(
    ("base", "new", "wanted"),
    [
        ("The city is Rome.", "The city is Oslo.", "The city is |-Rome-|+Oslo+|."),
        ("one two", "one more two", "one |+more +|two"),
        ("a red big cat", "a very old cat", "a |-red big-|+very old+| cat"),  # one change, not two
        ("Cairo", "a bird", "-Cairo-|+a bird+"),
        # One word in common is no reason to mark the rest piece by piece.
        ("Clara is a nurse in Lima today", "is", "-Clara is a nurse in Lima today-|+is+"),
        ("我喜欢北京的春天", "我喜欢上海的春天", "我喜欢|-北京-|+上海+|的春天"),
        ("", "a", "+a+"),
        ("a\n  b", "a b", "a b"),
        ("", "", ""),
    ],
)
def test_changes(base: str, new: str, wanted: str) -> None:
    assert written(base, new) == wanted


WORDS = st.lists(st.sampled_from(["a", "bb", "c", ".", " ", "\n", "é", "北"]), max_size=30)


@given(WORDS.map("".join), WORDS.map("".join), st.integers(4, 40))
def test_the_spans_make_up_both_texts_and_a_short_form_is_short(
    base: str, new: str, length: int
) -> None:
    spans = word_diff(base, new)
    assert text_of(spans, "new") == visible(base)
    assert text_of(spans, "gone") == visible(new)
    short = shortened_diff(spans, length)
    for side in ("new", "gone"):
        assert len(text_of(short, side).replace("…", "")) <= length
    if max(len(visible(base)), len(visible(new))) <= length:
        assert short == spans
    if visible(base) != visible(new):
        assert any(span.kind != "same" for span in short)


def test_long_texts_are_shown_around_their_changes() -> None:
    base = f"{'x ' * 300}the end is near{' y' * 300}"
    short = shortened_diff(word_diff(base, base.replace("near", "far")), 40)
    assert short == (
        DiffSpan("same", "…he end is "),
        DiffSpan("gone", "near"),
        DiffSpan("new", "far"),
        DiffSpan("same", " y y y y y…"),
    )
    many = shortened_diff(word_diff("a b " * 100, "a c " * 100), 40)
    assert many[-1].text.endswith("…")


def test_texts_of_any_length_are_compared_in_time() -> None:
    base = "spam " * 200_000
    assert word_diff(base, base + "egg") == (
        DiffSpan("gone", base.strip()),
        DiffSpan("new", base + "egg"),
    )


def test_what_is_left_out_after_the_last_shown_word_has_an_ellipsis() -> None:
    spans = (DiffSpan("gone", "x" * 9), DiffSpan("new", "y" * 9), DiffSpan("same", " end"))
    assert shortened_diff(spans, 9) == (*spans[:2], DiffSpan("same", "…"))
