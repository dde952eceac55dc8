"""The teacher's scores on disk are exact or bounds, and complete or absent."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from kdbench.errors import InputError
from kdbench.fidelity.forward import TextScores, compare_batch
from kdbench.fidelity.teachers.cache import CachedScores, digest_of
from kdbench.fidelity.teachers.live import LiveScores
from kdbench.fidelity.texts import ComparedText
from kdbench.generate import Prompt
from kdbench.metrics import PositionMetric, TokenMetric, metrics
from kdbench.scores.cache import CachedIdentity, Recorder, TopKCache
from kdbench.views import Batch, ModelView, Rollout

V, K = 200, 64
KINDS = [metrics.get(name) for name in metrics.names()]
EVERY = [kind() for kind in KINDS if issubclass(kind, PositionMetric)]
PROMPTS = {"a": Prompt((9, 3, 4), False), "b": Prompt((10,), False), "c": Prompt((5,), False)}
TEXTS = [
    ComparedText(1, Rollout("a", (3, 4), tuple(range(60, 75)), "student")),
    ComparedText(1, Rollout("b", (10,), (11, 199, 2), "student")),
    ComparedText(2, Rollout("a", (3, 4), (7, 7, 7, 2), "student")),
    ComparedText(1, Rollout("c", (5, 6), (2,), "student")),
]
WHO = CachedIdentity("t", "0" * 64, "auto", V, K, (2,))


def digest(text: ComparedText) -> str:
    return digest_of(text, PROMPTS[text.rollout.id])


class Pair:
    def __init__(self, student: Any, teacher: Any):
        self.student = ModelView(student, V)
        self.teacher = ModelView(teacher, V, prompt=lambda rollout: PROMPTS[rollout.id].ids)

    def record(
        self,
        cache: TopKCache,
        texts: Sequence[ComparedText] = TEXTS,
        chunk: int | None = None,
        top_k: int = K,
    ) -> list[TextScores]:
        def see(batch: Batch, texts: Sequence[ComparedText]) -> LiveScores:
            recorder = Recorder(cache, top_k, [digest(text) for text in texts], batch.lengths)
            return LiveScores(self.teacher, batch, recorder)

        return list(compare_batch(texts, self.student, see, EVERY, "student", chunk))

    def cached(
        self, cache: TopKCache, texts: Sequence[ComparedText] = TEXTS, chunk: int | None = None
    ) -> list[TextScores]:
        def see(batch: Batch, texts: Sequence[ComparedText]) -> CachedScores:
            return CachedScores([cache.read(digest(text)) for text in texts], batch.device)

        return list(compare_batch(texts, self.student, see, EVERY, "student", chunk))


@pytest.fixture(scope="module")
def pair(tiny: Callable[..., Any]) -> Pair:
    return Pair(tiny("llama", V, 1), tiny("llama", V + 4, 2))


@pytest.fixture(scope="module")
def recorded(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TextScores]]:
    folder = tmp_path_factory.mktemp("cache")
    return folder, pair.record(TopKCache(folder), chunk=5)


def values(outcomes: list[TextScores], name: str) -> np.ndarray:
    return np.concatenate([outcome.tokens[name] for outcome in outcomes])


# Content


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_cached_scores_are_exact_or_the_declared_bound(
    pair: Pair, recorded: tuple[Path, list[TextScores]], metric: PositionMetric
) -> None:
    folder, truth = recorded
    actual = pair.cached(TopKCache(folder), chunk=4)
    if not isinstance(metric, TokenMetric):
        if metric.from_top_k == "exact":
            for outcome, other in zip(actual, truth, strict=True):
                sums = other.pooled[metric.name]
                np.testing.assert_allclose(outcome.pooled[metric.name], sums, rtol=1e-5, atol=1e-5)
        return
    ours, true = values(actual, metric.name), values(truth, metric.name)
    if metric.from_top_k == "exact":
        np.testing.assert_allclose(ours, true, rtol=1e-5, atol=1e-5)
    elif metric.from_top_k == "lower":
        assert (ours <= true + 1e-5).all()
        if metric.name != "mass_1":
            assert (ours < true - 1e-3).any()
    elif metric.from_top_k == "upper":
        assert (ours >= true - 1e-5).all()
        assert (ours > true + 1e-3).any()


def test_a_cache_of_all_tokens_is_exact(pair: Pair, tmp_path: Path) -> None:
    cache = TopKCache(tmp_path)
    truth = pair.record(cache, top_k=V)
    actual = pair.cached(cache)
    for metric in EVERY:
        if isinstance(metric, TokenMetric) and metric.from_top_k != "undefined":
            np.testing.assert_allclose(
                values(actual, metric.name),
                values(truth, metric.name),
                rtol=1e-5,
                atol=1e-5,
                err_msg=metric.name,
            )


def test_cached_scores_do_not_depend_on_the_batch(
    pair: Pair, recorded: tuple[Path, list[TextScores]]
) -> None:
    cache, truth = TopKCache(recorded[0]), {outcome.text.key: outcome for outcome in recorded[1]}
    for texts in (TEXTS[::-1], TEXTS[1:2], TEXTS[2:]):
        for outcome in pair.cached(cache, texts, chunk=3):
            expected = truth[outcome.text.key]
            for name in ("top1", "spearman", "k1"):
                assert outcome.tokens[name] == pytest.approx(expected.tokens[name], abs=1e-5)


def test_mass_outside_the_shared_vocabulary_is_unknown(
    pair: Pair, recorded: tuple[Path, list[TextScores]]
) -> None:
    folder, truth = recorded
    assert all(outcome.cut_mass[1] > 0 for outcome in truth)
    assert all(outcome.cut_mass[1] == 0 for outcome in pair.cached(TopKCache(folder)))


def test_recording_does_not_change_the_scores(
    pair: Pair, recorded: tuple[Path, list[TextScores]]
) -> None:
    def see(batch: Batch, _: Sequence[ComparedText]) -> LiveScores:
        return LiveScores(pair.teacher, batch, None)

    plain = list(compare_batch(TEXTS, pair.student, see, EVERY, "student", 5))
    for outcome, other in zip(plain, recorded[1], strict=True):
        for name, column in outcome.tokens.items():
            np.testing.assert_array_equal(column, other.tokens[name], err_msg=name)


@pytest.mark.parametrize("chunk", [1, None])
def test_the_file_does_not_depend_on_the_chunk_size(
    pair: Pair, recorded: tuple[Path, list[TextScores]], tmp_path: Path, chunk: int | None
) -> None:
    cache, first = TopKCache(tmp_path), TopKCache(recorded[0])
    pair.record(cache, chunk=chunk)
    assert names(tmp_path) == names(recorded[0])
    for text in TEXTS:
        ours, its = cache.read(digest(text)), first.read(digest(text))
        assert ours["ids"].tolist() == its["ids"].tolist()
        for field in ("log_p", "tail", "entropy", "target"):
            torch.testing.assert_close(ours[field], its[field], atol=1e-5, rtol=1e-5)
            assert ours[field].dtype == torch.float32
        mass = ours["log_p"].exp().sum(-1) + ours["tail"].exp()
        torch.testing.assert_close(mass, torch.ones_like(mass))
        assert len(mass) == len(text.rollout.response_ids)


def test_a_text_is_identified_by_the_tokens_the_teacher_scores() -> None:
    text = TEXTS[0]
    other_seed = ComparedText(9, text.rollout)
    other_student_prompt = ComparedText(1, replace(text.rollout, prompt_ids=(1, 2)))
    shorter = ComparedText(1, replace(text.rollout, response_ids=text.rollout.response_ids[:-1]))
    assert digest(text) == digest(other_seed) == digest(other_student_prompt)
    # One token less of the prompt and one more of the response read alike, but score another.
    moved = ComparedText(1, replace(text.rollout, response_ids=(4, *text.rollout.response_ids)))
    digests = {
        digest(text),
        digest(shorter),
        digest_of(moved, Prompt((9, 3), False)),
        digest_of(text, Prompt((9, 3), False)),
        digest_of(text, Prompt((93, 4), False)),
    }
    assert len(digests) == 5


def test_two_seeds_with_the_same_text_share_one_record(pair: Pair, tmp_path: Path) -> None:
    twins = [TEXTS[0], ComparedText(2, TEXTS[0].rollout)]
    cache = TopKCache(tmp_path)
    truth = pair.record(cache, twins)
    for actual, expected in zip(pair.cached(cache, twins), truth, strict=True):
        assert actual.tokens["k1"] == pytest.approx(expected.tokens["k1"], abs=1e-5)


def test_recorded_scores_are_not_written_again(pair: Pair, tmp_path: Path) -> None:
    pair.record(TopKCache(tmp_path))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    pair.record(TopKCache(tmp_path))
    pair.record(TopKCache(tmp_path), TEXTS[:2])
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")} == before
    assert len(before) == 1


def test_a_growing_cache_is_read_completely(pair: Pair, tmp_path: Path) -> None:
    cache = TopKCache(tmp_path)
    pair.record(cache, TEXTS[:1])
    assert [cache.has(digest(text)) for text in TEXTS] == [True, False, False, False]
    pair.record(cache, TEXTS[1:])
    for view in (cache, TopKCache(tmp_path)):
        assert all(view.has(digest(text)) for text in TEXTS)
    assert len(pair.cached(TopKCache(tmp_path))) == 4


# Ownership


def test_a_folder_without_scores_has_no_owner(tmp_path: Path) -> None:
    assert TopKCache(tmp_path).identity() is None
    assert TopKCache(tmp_path / "none").identity() is None
    assert not TopKCache(tmp_path / "none").has("x")


def test_a_claimed_folder_keeps_its_owner(tmp_path: Path) -> None:
    TopKCache(tmp_path).claim(WHO)
    before = (tmp_path / "teacher.json").read_bytes()
    assert TopKCache(tmp_path).identity() == WHO
    TopKCache(tmp_path).claim(WHO)
    assert (tmp_path / "teacher.json").read_bytes() == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "u"),
        ("sha256", "1" * 64),
        ("dtype", "float32"),
        ("vocabulary", 201),
        ("top_k", 50),
        ("ends", (2, 3)),
    ],
)
def test_a_cache_of_a_different_teacher_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    TopKCache(tmp_path).claim(WHO)
    before = (tmp_path / "teacher.json").read_bytes()
    with pytest.raises(InputError, match=f"made with {key} .*, not .*; choose another") as error:
        TopKCache(tmp_path).claim(replace(WHO, **{key: value}))
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "teacher.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "not JSON"),
        ("{}", "schema None; this kdbench reads schema 1"),
        ('{"schema": 9}', "schema 9"),
        ('{"schema": 1}', "not the record of a teacher cache"),
        (json.dumps({"schema": 1, **asdict(WHO), "more": 1}), "not the record of a teacher cache"),
        (json.dumps({"schema": 1, **asdict(WHO), "ends": 2}), "not the record of a teacher cache"),
    ],
)
def test_a_broken_record_gives_a_one_line_error(tmp_path: Path, content: str, line: str) -> None:
    (tmp_path / "teacher.json").write_text(content)
    with pytest.raises(InputError, match=line) as error:
        TopKCache(tmp_path).identity()
    assert str(tmp_path / "teacher.json") in str(error.value)
    assert "\n" not in str(error.value)


# Broken files


def names(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def without_texts(file: Path) -> None:
    with safe_open(file, "pt") as opened:
        save_file({key: opened.get_tensor(key) for key in opened.keys()}, file)  # noqa: SIM118


BREAKS: dict[str, Callable[[Path], Any]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "cut in the header": lambda file: file.write_bytes(file.read_bytes()[:40]),
    "empty": lambda file: file.write_bytes(b""),
    "something else": lambda file: file.write_text("oops" * 50),
    "of another program": without_texts,
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_file_gives_a_one_line_error(pair: Pair, tmp_path: Path, how: str) -> None:
    pair.record(TopKCache(tmp_path))
    (file,) = (tmp_path / "scores").iterdir()
    BREAKS[how](file)
    message = r"not a file of a teacher cache: .*; delete it"
    with pytest.raises(InputError, match=message) as error:
        TopKCache(tmp_path).has("x")
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("zeros", [4, 64])
def test_scores_that_a_power_cut_zeroed_are_refused(pair: Pair, tmp_path: Path, zeros: int) -> None:
    pair.record(TopKCache(tmp_path))
    (file,) = (tmp_path / "scores").iterdir()
    file.write_bytes(file.read_bytes()[:-zeros] + bytes(zeros))
    cache = TopKCache(tmp_path)
    with pytest.raises(InputError, match="damaged"):
        cache.read(digest(TEXTS[0]))


def test_what_killed_writers_of_the_tokenizer_left_is_removed(tmp_path: Path) -> None:
    import platform

    class Tokenizer:
        def save_pretrained(self, folder: str) -> None:
            Path(folder).mkdir(parents=True)

    left = tmp_path / f".tokenizer.{platform.node()}.{2**22 + 1}"
    left.mkdir()
    (left / "vocab.json").write_text("{}")
    TopKCache(tmp_path).store_tokenizer(Tokenizer())
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]


def test_a_write_that_fails_leaves_nothing(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    cache = TopKCache(tmp_path)
    pair.record(cache, TEXTS[:1])
    before = names(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            pair.record(cache, TEXTS[1:])
    assert names(tmp_path) == before
    assert not cache.has(digest(TEXTS[1]))
    pair.record(cache, TEXTS[1:])
    assert len(names(tmp_path)) == 2


def test_temporary_files_of_a_killed_writer_are_ignored_and_removed(
    pair: Pair, tmp_path: Path
) -> None:
    import platform

    cache = TopKCache(tmp_path)
    pair.record(cache, TEXTS[:1])
    (file,) = (tmp_path / "scores").iterdir()
    left = file.with_name(f".{file.name}.{platform.node()}.{2**22 + 1}")
    left.write_bytes(file.read_bytes()[:100])
    file.unlink()
    cache = TopKCache(tmp_path)
    assert not cache.has(digest(TEXTS[0]))
    pair.record(cache, TEXTS[:1])
    assert names(tmp_path) == [f"scores/{file.name}"]
