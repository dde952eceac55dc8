"""ROUGE-L equals the rouge-score package to the last bit."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

import kdbench
from kdbench.config import ScoreSettings
from kdbench.metrics import Answer, make_metrics, metrics
from kdbench.system.console import note_once

HAND = [
    "",
    "the cat sat on the mat",
    "The CAT sat on the mat.",
    "café au lait, naïve Straße",
    "cafe au lait",
    "don't do it; dont",
    "3.14 is pi, 3 14 is not",
    "!!!",
    "first line\nsecond line",
    "second line\nfirst line",
    "3.14 was his bus, was has is",
    "running runs ran easily generational general",
    "the the the the",
    "東京 は 日本 の 首都 2020",
    "K\u212a İstanbul ﬁne x\u00a0y snake_case",
]

# Few words, so that texts share some, including those that are hard to tokenize.
_HARD = "the The THE cat cats running run flies was his 42 don't café naïve 東京 !!! a-b a_b İ ß x"
_WORDS = st.sampled_from(_HARD.split())
_TEXTS = st.one_of(
    st.lists(_WORDS, max_size=15).map(" ".join),
    st.text(max_size=40),
    st.text(alphabet="aAb cs-é.1\n", max_size=40),
)


def score(response, *references):
    return metrics.get("rougeL")().score(Answer(response, references))


@pytest.fixture(scope="module")
def package():
    return RougeScorer(["rougeL"], use_stemmer=True)


def expected(package, response, references):
    return 100 * package.score_multi(list(references), response)["rougeL"].fmeasure


@settings(deadline=None)
@given(response=_TEXTS, references=st.lists(_TEXTS, min_size=1, max_size=3))
def test_values_are_bit_identical_to_the_package(package, response, references):
    assert score(response, *references) == expected(package, response, references)


@pytest.mark.parametrize("response", HAND)
def test_values_are_bit_identical_on_known_hard_texts(package, response):
    for reference in HAND:
        assert score(response, reference) == expected(package, response, [reference])


def test_the_value_equals_the_hand_computation():
    # LCS "the cat on mat" = 4 words of 4 and of 6: P = 1, R = 2/3, F = 4/5.
    assert score("the cat on mat", "the cat sat on the mat") == pytest.approx(80, abs=1e-12)


def test_precision_and_recall_have_equal_weight():
    first, other = "the cat on mat", "the cat sat on the mat today"
    assert score(first, other) == score(other, first)


def test_the_best_reference_counts():
    references = ("nothing alike", "a cat sat", "a dog")
    assert score("a cat sat", *references) == 100
    assert score("a dog", *reversed(references)) == 100
    assert score("no word", *references) == 0


def test_word_order_matters():
    assert score("b a", "a b") == pytest.approx(50)


def test_inflection_and_case_are_ignored():
    assert score("Cats RUNNING", "cat runs") == 100


def test_words_of_three_letters_are_not_stemmed():
    assert score("was", "wa") == 0  # Porter would make "was" "wa"


def test_an_accent_splits_a_word():
    assert score("café", "caf") == 100
    assert score("café", "cafe") == 0


@pytest.mark.parametrize("text", ["", "!!!", "東京"])
def test_texts_without_words_score_zero_even_with_themselves(text):
    assert score(text, text) == 0


def test_the_metric_is_in_points_and_higher_is_better():
    metric = metrics.get("rougeL")
    assert (metric.name, metric.unit, metric.direction) == ("rougeL", "points", "higher")


@pytest.mark.parametrize(
    ("name", "response", "reference", "score"),
    [
        ("rougeL", "答案是五", "答案是五", 0.0),
        ("rougeL[characters]", "答案是五", "答案是五", 100.0),
        ("rougeL[characters]", "答 案", "答案是五", 200 / 3),
        ("rougeL[unicode]", "答案是五", "答案是五", 100.0),
        ("rougeL[unicode]", "Ответ: ПЯТЬ!", "ответ пять", 100.0),
        ("rougeL[unicode]", "running", "runs", 0.0),
        ("rougeL[unicode]", "naïve café", "nai\u0308ve bar", 50.0),
        ("rougeL[unicode]", "iPhone 15 手机", "iphone 手机", 200 * 3 / 7),
        ("rougeL[unicode]", "สวัสดี", "สวัสดี", 100.0),
        ("rougeL[unicode]", "", "x", 0.0),
    ],
)
def test_other_tokenizers_read_every_script(
    name: str, response: str, reference: str, score: float
) -> None:
    assert metrics.get(name)().score(Answer(response, (reference,))) == pytest.approx(score)


def test_variants_are_measured_only_when_asked_for() -> None:
    assert not [metric.name for metric in make_metrics() if "[" in metric.name]
    assert not [metric.name for metric in make_metrics(["all"]) if "[" in metric.name]
    settings = ScoreSettings(rouge_tokenizer="characters", samples=Path("x"), task="dolly")
    names = [metric.name for metric in make_metrics(settings.metric_names())]
    assert {"rougeL[characters]", "rougeL", "exact_match"} <= set(names)
    one = settings.model_copy(update={"metrics": ("rougeL",)})
    assert one.metric_names() == ("rougeL[characters]",)
    assert ScoreSettings(samples=Path("x"), task="dolly").metric_names() == ()


def test_a_script_without_words_is_noted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dolly").mkdir()
    rows = [
        {"id": str(n), "instruction": "问", "output": text} for n, text in enumerate(["五", "5"])
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "dolly" / "test.jsonl").write_text(text)
    lines = [json.dumps({"id": row["id"], "output": row["output"]}) + "\n" for row in rows]
    (tmp_path / "samples.jsonl").write_text("".join(lines))
    settings = {"samples": tmp_path / "samples.jsonl", "task": "dolly", "data": tmp_path}
    note_once.cache_clear()
    for folder in ("one", "two"):
        kdbench.score(**settings, results=tmp_path / folder)
    error = capsys.readouterr().err
    assert error.count("rougeL sees no word in the references of 1 of 2 documents of 'dolly'") == 1
    note_once.cache_clear()
    scored = kdbench.score(**settings, results=tmp_path / "three", rouge_tokenizer="characters")
    assert "sees no word" not in capsys.readouterr().err
    result = scored.results["dolly"]
    assert result.main_metric == "rougeL[characters]"
    assert result.metrics["rougeL[characters]"].value == 100
    assert result.metrics["rougeL"].value == 50
