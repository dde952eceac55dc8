"""Lines of scored texts are stored as they are measured, resumed, and averaged by prompt."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from kdbench.errors import InputError
from kdbench.fidelity.set_scores import SetScores
from kdbench.fidelity.teachers.live import LiveScores
from kdbench.fidelity.texts import ComparedText
from kdbench.fidelity.tokens import ForwardPass, lines_of, score_set
from kdbench.metrics import PositionMetric, Positions, TokenMetric
from kdbench.metrics.divergences import ForwardKL
from kdbench.metrics.entropy import EntropyRatio
from kdbench.metrics.top1 import Top1, Top1Decision
from kdbench.store.folder import RunFolder
from kdbench.views import Batch, ModelView, Rollout

V, LIMIT = 61, 20


def line(n: int, total: float | None, count: int, curve: Sequence[float | None] = (), **more: Any):
    return {
        "n": n,
        "tokens": {"fkl": [total, count]},
        "curves": {"fkl": [list(curve), [float(index < n) for index in range(len(curve))]]},
        "pooled": {},
        "cut_mass": [0.0, 0.0],
        **more,
    }


# Averages worked out by hand


def scores(lines: dict, documents: Sequence[str] = ("a", "b"), seeds: Sequence[int] = (1, 2)):
    return SetScores("student", documents, seeds, 2, lines)


def test_a_mean_over_prompts_is_not_one_over_tokens() -> None:
    """Section 1 of the reference: macro averages the responses' means, micro all tokens."""
    whole = scores({("a", 1): line(1, 3.0, 1), ("b", 1): line(3, 3.0, 3)}, seeds=(1,))
    assert whole.means(ForwardKL()) == {1: [3.0, 1.0]}
    assert whole.micro(ForwardKL()) == pytest.approx(6 / 4)


def test_a_text_that_was_left_out_has_no_mean() -> None:
    holed = scores({("a", 1): line(2, 3.0, 2), ("b", 2): line(1, 5.0, 1)})
    assert holed.means(ForwardKL()) == {1: [1.5, None], 2: [None, 5.0]}
    assert holed.micro(ForwardKL()) == pytest.approx(8 / 3)


def test_a_response_without_counted_positions_has_no_mean() -> None:
    empty = scores({("a", 1): line(4, 0.0, 0)}, ("a",), (1,))
    assert empty.means(ForwardKL()) == {1: [None]}
    assert empty.micro(ForwardKL()) is None


def test_null_on_disk_is_read_as_infinite() -> None:
    endless = scores({("a", 1): line(4, None, 4), ("b", 1): line(1, 1.0, 1)}, seeds=(1,))
    assert endless.means(ForwardKL()) == {1: [math.inf, 1.0]}
    assert endless.micro(ForwardKL()) == math.inf


def test_a_curve_sums_over_seeds_and_counts_texts_per_index() -> None:
    lines = {
        ("a", 1): line(2, 3.0, 2, [1.0, 2.0]),
        ("a", 2): line(1, 5.0, 1, [5.0, 0.0]),
        ("b", 2): line(3, None, 3, [7.0, None]),
    }
    sums, counts = scores(lines).curve("fkl")
    assert sums.tolist() == [[6.0, 2.0], [7.0, math.inf]]
    assert counts.tolist() == [[2.0, 1.0], [1.0, 1.0]]


def test_pooled_sums_are_zero_for_a_text_that_was_left_out() -> None:
    lines = {("a", 2): line(1, 0.0, 1, pooled={"entropy_ratio": [1.0, 2.0]})}
    actual = scores(lines).sums(EntropyRatio())
    assert {seed: sums.tolist() for seed, sums in actual.items()} == {
        1: [[0.0, 0.0], [0.0, 0.0]],
        2: [[1.0, 2.0], [0.0, 0.0]],
    }


def test_the_cut_mass_is_the_mean_over_texts() -> None:
    lines = {
        ("a", 1): line(1, 0.0, 1, cut_mass=[0.1, 0.0]),
        ("b", 1): line(9, 0.0, 9, cut_mass=[0.3, 0.5]),
    }
    assert scores(lines).mass("cut_mass") == pytest.approx({"student": 0.2, "teacher": 0.25})
    assert scores({}).mass("cut_mass") == {"student": 0.0, "teacher": 0.0}


# Files


TEXTS = [
    ComparedText(seed, Rollout(document, prompt, response, "student"))
    for seed in (1, 2)
    for document, prompt, response in (
        ("a", (3, 4, 5), (6, 7, 8, 9)),
        ("b", (10,), (11, 2)),
        ("c", (12, 13), tuple(range(14, 14 + 18 + seed))),
    )
]
KEYS = [text.key for text in TEXTS]
METRICS: list[PositionMetric] = [ForwardKL(), Top1(), Top1Decision(), EntropyRatio()]


@pytest.fixture
def in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdbench.views.texts._TOKENS_PER_BATCH", 28)  # 1, 1 and 4 texts


@pytest.fixture(scope="module")
def pair(tiny: Callable[..., Any]) -> tuple[ModelView, ModelView]:
    return ModelView(tiny("llama", V, 1), V), ModelView(tiny("llama", V + 3, 2), V)


class Scorer:
    def __init__(self, pair: tuple[ModelView, ModelView], folder: Path):
        self.student, self.teacher = pair
        self.run, self.seen = RunFolder(folder), []

    def see(self, batch: Batch, texts: Sequence[ComparedText]) -> LiveScores:
        self.seen.append([text.key for text in texts])
        return LiveScores(self.teacher, batch, None)

    def score(
        self,
        metrics: Sequence[PositionMetric] = METRICS,
        key: Any = "k",
        must_cache: Callable[[ComparedText], bool] = lambda text: False,
    ) -> dict[tuple[str, int], dict[str, Any]]:
        self.seen = []
        both = ForwardPass("ref", metrics, self.student, self.see, must_cache, LIMIT)
        return score_set(lines_of(self.run, "t", both, key), "t @ref", TEXTS, both)

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.run.path.rglob("*.jsonl")}


@pytest.fixture
def scorer(pair: tuple[ModelView, ModelView], tmp_path: Path, in_small_batches: None) -> Scorer:
    return Scorer(pair, tmp_path)


def test_every_text_has_a_line_with_its_metrics_sums(scorer: Scorer) -> None:
    lines = scorer.score()
    assert sorted(lines) == sorted(KEYS)
    assert [len(batch) for batch in scorer.seen] == [1, 1, 4]
    (file,) = scorer.files()
    assert file.startswith("t.fidelity-ref-")
    for text in TEXTS:
        line, n = lines[text.key], len(text.rollout.response_ids)
        assert (line["id"], line["seed"], line["n"]) == (*text.key, n)
        assert line["tokens"]["fkl"][1] == line["tokens"]["top1"][1] == n
        assert line["tokens"]["top1_decision"][1] <= n
        assert len(line["pooled"]["entropy_ratio"]) == 2
        assert set(line["curves"]) == {"fkl", "top1"}
        sums, counts = line["curves"]["fkl"]
        assert sum(sums) == pytest.approx(line["tokens"]["fkl"][0], abs=1e-5)
        assert sum(counts) == n
        assert line["cut_mass"][0] == 0 < line["cut_mass"][1]


def test_stored_values_are_not_measured_again(scorer: Scorer) -> None:
    first, files = scorer.score(), scorer.files()
    assert scorer.score() == first
    assert (scorer.seen, scorer.files()) == ([], files)


@pytest.mark.parametrize("lines", range(6))
@pytest.mark.parametrize("torn", [False, True])
def test_resuming_after_any_line_gives_the_same_bytes(
    scorer: Scorer, lines: int, torn: bool
) -> None:
    whole, files = scorer.score(), scorer.files()
    ((name, content),) = files.items()
    kept = content.splitlines(keepends=True)
    end = kept[lines][: len(kept[lines]) // 2] if torn else b""
    (scorer.run.path / "samples" / name).write_bytes(b"".join(kept[:lines]) + end)
    assert scorer.score() == whole
    assert scorer.files() == files
    # Complete batches are not read again; in the others, every text is.
    assert [len(batch) for batch in scorer.seen] == [1, 1, 4][min(lines, 2) :]


def test_a_text_missing_from_the_cache_is_shown_again_but_not_written_twice(scorer: Scorer) -> None:
    whole, files = scorer.score(), scorer.files()
    assert scorer.score(must_cache=lambda text: text.key == KEYS[2]) == whole
    assert scorer.seen == [[KEYS[2]]]
    assert scorer.files() == files


def test_version_metrics_and_teacher_determine_the_file(
    scorer: Scorer,
) -> None:
    class NewTop1(Top1):
        version = 2

    scorer.score()
    scorer.score([ForwardKL()])
    scorer.score([NewTop1(), ForwardKL()])
    scorer.score([Top1(), ForwardKL()])
    scorer.score(key="another")
    assert len(scorer.files()) == 5
    scorer.score([ForwardKL(), Top1()])
    assert scorer.seen == []  # the order of metrics does not matter


def test_batches_do_not_change_the_values(
    pair: tuple[ModelView, ModelView],
    tmp_path: Path,
    in_small_batches: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = Scorer(pair, tmp_path / "small").score()
    monkeypatch.undo()
    large = Scorer(pair, tmp_path / "large")
    for key, line in large.score().items():
        assert line["tokens"]["fkl"] == pytest.approx(small[key]["tokens"]["fkl"], abs=1e-4)
        for ours, its in zip(line["curves"]["fkl"], small[key]["curves"]["fkl"], strict=True):
            assert ours == pytest.approx(its, abs=1e-4)
        assert line["tokens"]["top1"] == small[key]["tokens"]["top1"]
    assert len(large.seen) == 1


def test_a_broken_line_is_refused(scorer: Scorer) -> None:
    scorer.score()
    (name,) = scorer.files()
    (scorer.run.path / "samples" / name).write_text("oops\n")
    with pytest.raises(InputError, match=r"t\.fidelity-ref-.*\.jsonl:1: not a line of JSON"):
        scorer.score()


# Uncounted and infinite values


class ByTarget(TokenMetric):
    """One value per response token; 1 where none is given."""

    name = "by_target"
    unit = "rate"
    direction = "none"
    named: ClassVar[dict[int, float]] = {}

    def values(self, at: Positions) -> torch.Tensor:
        return torch.tensor([self.named.get(target, 1.0) for target in at.targets.tolist()])


@pytest.mark.parametrize(
    ("named", "total"),
    [
        ({6: math.nan, 7: 5.0}, [7.0, 3]),
        ({6: math.nan, 7: math.nan, 8: math.nan, 9: math.nan}, [0.0, 0]),
        ({6: math.inf}, [None, 4]),
        ({6: math.inf, 7: math.nan}, [None, 3]),
    ],
    ids=str,
)
def test_nan_is_not_counted_and_infinity_is(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch, named: dict[int, float], total: list
) -> None:
    monkeypatch.setattr(ByTarget, "named", named)
    lines = scorer.score([ByTarget()])
    assert lines["a", 1]["tokens"]["by_target"] == total
    assert lines["a", 2] == {**lines["a", 1], "seed": 2}
    assert lines["b", 1]["tokens"]["by_target"] == [2.0, 2]


def test_the_file_is_in_the_order_of_the_batches(scorer: Scorer) -> None:
    scorer.score()
    (content,) = scorer.files().values()
    order = [(line["id"], line["seed"]) for line in map(json.loads, content.splitlines())]
    assert order == [key for batch in scorer.seen for key in batch]
