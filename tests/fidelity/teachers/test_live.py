"""A teacher in memory, and a teacher of which only the cache is left."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.fidelity.teachers.find import protocols_of
from kdbench.measuring.measurement import Evaluation
from kdbench.metrics import PositionMetric, metrics
from kdbench.store.results import MetricResult
from kdbench.toy.models import World

Compare = Callable[..., Evaluation]


def kind_of(name: str) -> Any:
    return metrics.get(name.partition("@")[0])


def test_with_one_sampled_seed_the_teacher_gets_a_second() -> None:
    def seeds(**fields: Any) -> list[tuple[int, ...]]:
        settings = EvalSettings(model="s", teacher="t", **fields)
        return [protocol.seeds for protocol in protocols_of(settings)]

    assert seeds() == [(10, 20, 30, 40, 50)]
    assert seeds(seeds=(10, 20)) == [(10, 20)]
    assert seeds(seeds=(10,)) == [(10,), (11,)]
    assert seeds(protocol="greedy") == [(0,)]
    assert seeds(protocol="greedy", temperature=0.5) == [(0,), (1,)]


@pytest.fixture(scope="module")
def teacherless(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose teacher is deleted."""
    folder = tmp_path_factory.mktemp("teacherless")
    return World(world.data, shutil.copytree(world.teacher, folder / "gone"), world.student)


@pytest.fixture(scope="module")
def live(
    teacherless: World, compare: Compare, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Evaluation, Path]:
    """A measurement that wrote a cache, after which the teacher's folder was removed."""
    cache = tmp_path_factory.mktemp("cache")
    folder = tmp_path_factory.mktemp("live")
    evaluation = compare(folder, teacher=str(teacherless.teacher), teacher_cache=cache)
    shutil.rmtree(teacherless.teacher)
    return evaluation, cache


@pytest.fixture(scope="module")
def cached(
    live: tuple[Evaluation, Path], compare: Compare, tmp_path_factory: pytest.TempPathFactory
) -> Evaluation:
    """The same student compared with the cache."""
    return compare(tmp_path_factory.mktemp("cached"), teacher=f"cache:{live[1]}")


@pytest.fixture
def cache(live: tuple[Evaluation, Path], tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(live[1], tmp_path / "copy")


def rows(evaluation: Evaluation) -> dict[str, MetricResult]:
    return dict(evaluation.results["dolly"].metrics)


def test_a_cache_gives_every_metric_without_the_teachers_folder(
    live: tuple[Evaluation, Path], cached: Evaluation, teacherless: World
) -> None:
    assert not teacherless.teacher.exists()
    assert rows(cached).keys() == rows(live[0]).keys()
    teacher = dict(cached.results["dolly"].teacher)
    outside = teacher.pop("outside_top_k")
    assert teacher == {**live[0].results["dolly"].teacher, "top_k": 64}
    assert all(0 < mass < 1 for masses in outside.values() for mass in masses.values())
    assert teacher["name"] == "gone"


def test_metrics_from_a_cache_are_exact_or_bounds(
    live: tuple[Evaluation, Path], cached: Evaluation
) -> None:
    compared = {"exact": 0, "lower": 0, "upper": 0, "undefined": 0}
    for name, ours in rows(cached).items():
        true = rows(live[0])[name]
        if not issubclass(kind_of(name), PositionMetric) or name.endswith("@student-ref"):
            continue
        side = kind_of(name).from_top_k
        compared[side] += 1
        assert ours.bound == (side if side in ("lower", "upper") else None)
        if side == "exact":
            assert ours.value == pytest.approx(true.value, abs=2e-5), name
            assert ours.ci_low == pytest.approx(true.ci_low, abs=2e-5), name
        elif side == "lower":
            assert ours.value <= true.value + 2e-5
            assert ours.value < true.value - 1e-3 or name.startswith("mass_")
        elif side == "upper":
            assert ours.value >= true.value - 2e-5
        else:
            assert ours.value is None
            assert ours.reason == "a teacher's top 64 do not decide it"
    assert all(compared.values())


def test_from_a_cache_gaps_between_bounds_are_null(cached: Evaluation) -> None:
    measured = rows(cached)
    assert measured["top1@student-ref"].value is not None
    assert measured["fkl@student-ref"].value is None
    assert measured["fkl@student-ref"].reason == "needs the exact @student scores"
    assert measured["exposure_error"].reason == "a teacher's top 64 do not decide it"


def test_from_a_cache_text_metrics_are_unchanged(
    live: tuple[Evaluation, Path], cached: Evaluation
) -> None:
    measured, true = rows(cached), rows(live[0])
    texts = [name for name in measured if not hasattr(kind_of(name), "from_top_k")]
    assert {"rougeL_teacher", "same_text", "rougeL", "lm_loss", "distinct_1_gap"} <= {*texts}
    for name in texts:
        assert measured[name] == true[name]


def test_making_the_cache_again_gives_the_same_bytes(
    live: tuple[Evaluation, Path],
) -> None:
    files = [file.relative_to(live[1]).parts for file in live[1].rglob("*") if file.is_file()]
    assert not [parts for parts in files if parts[-1].startswith(".")]
    own = {"teacher.json", "index.safetensors", "tokenizer", "results", "scores"}
    assert {parts[0] for parts in files} == own
    record = json.loads((live[1] / "teacher.json").read_text())
    assert (record["name"], record["top_k"]) == ("gone", 64)


OTHER = {"metrics": ("top1", "acceptance@student", "rougeL_teacher"), "limit": 3}


def test_samples_of_a_different_student_are_not_in_the_cache(
    compare: Compare, live: tuple[Evaluation, Path], world: World, tmp_path: Path
) -> None:
    """The different student is the teacher itself, here in the role of a student."""
    evaluation = compare(tmp_path, model=str(world.teacher), teacher=f"cache:{live[1]}", **OTHER)
    assert rows(evaluation)["top1@ref"].value == 1
    assert rows(evaluation)["top1@teacher"].value == 1
    # It generates the teacher's texts, which are in the cache.
    assert rows(evaluation)["top1@student"].value == 1


def test_texts_missing_from_the_cache_have_no_value(
    compare: Compare, live: tuple[Evaluation, Path], changed_teacher: Any, tmp_path: Path
) -> None:
    def louder(model: Any) -> None:
        model.lm_head.weight.data *= 0.5

    other = changed_teacher("other", weights=louder)
    evaluation = compare(tmp_path, model=other, teacher=f"cache:{live[1]}", **OTHER)
    assert rows(evaluation)["top1@ref"].value is not None
    assert rows(evaluation)["top1@teacher"].value is not None
    for name in ("top1@student", "acceptance@student"):
        metric = rows(evaluation)[name]
        assert metric.value is None
        assert metric.reason.startswith("the cache has no scores of ")
        assert metric.reason.endswith(" of these 6 texts")
    assert rows(evaluation)["top1@student-ref"].reason == "needs the exact @student scores"
    assert rows(evaluation)["rougeL_teacher"].value is not None


@pytest.mark.parametrize(
    "other",
    [{"max_new_tokens": 17}, {"seeds": (10,)}, {"limit": 2}, {"temperature": 0.5}],
    ids=str,
)
def test_a_different_protocol_from_the_caches_gives_a_one_line_error(
    compare: Compare, live: tuple[Evaluation, Path], tmp_path: Path, other: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="no responses to 'dolly' under") as error:
        compare(tmp_path, teacher=f"cache:{live[1]}", metrics=("top1",), **other)
    assert "Make them with teacher=CHECKPOINT teacher_cache=DIR" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_missing_from_the_cache_gives_a_one_line_error(
    compare: Compare, live: tuple[Evaluation, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no responses to 'vicuna' under"):
        compare(tmp_path, teacher=f"cache:{live[1]}", tasks=("vicuna",), metrics=("top1",))


def test_a_missing_cache_is_reported_before_anything_is_generated(
    compare: Compare, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no teacher\.json, so this is not a cache"):
        compare(tmp_path / "results", teacher=f"cache:{tmp_path / 'none'}")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("change", "settings", "line"),
    [
        ("other teacher", {}, "made with name gone, not teacher"),
        (None, {"cache_top_k": 50}, "made with"),
    ],
)
def test_a_cache_folder_belongs_to_one_teacher(
    compare: Compare, cache: Path, generated: Path, change: str, settings: Any, line: str
) -> None:
    before = {file: file.read_bytes() for file in cache.rglob("*") if file.is_file()}
    with pytest.raises(InputError, match=line):
        compare(generated, teacher_cache=cache, metrics=("top1@ref",), **settings)
    assert {file: file.read_bytes() for file in cache.rglob("*") if file.is_file()} == before


def test_scores_over_a_different_vocabulary_are_refused(
    compare: Compare, cache: Path, tmp_path: Path
) -> None:
    record = json.loads((cache / "teacher.json").read_text())
    (cache / "teacher.json").write_text(json.dumps({**record, "vocabulary": 500}))
    with pytest.raises(InputError, match=r"made over 500 tokens, but this student shares \d+ "):
        compare(tmp_path / "results", teacher=f"cache:{cache}", metrics=("top1@ref",))


def break_scores(cache: Path) -> None:
    file = next((cache / "scores").iterdir())
    file.write_bytes(file.read_bytes()[:-9])


def break_samples(cache: Path) -> None:
    next(cache.rglob("dolly.jsonl")).write_text("oops\n")


def lose_samples(cache: Path) -> None:
    next(cache.rglob("dolly.jsonl")).unlink()


def lose_tokenizer(cache: Path) -> None:
    shutil.rmtree(cache / "tokenizer")


def break_record(cache: Path) -> None:
    (cache / "teacher.json").write_text("{")


def other_prompts(cache: Path) -> None:
    file = next(cache.rglob("run.json"))
    record = json.loads(file.read_text())
    record["tasks"]["dolly"]["prompts_sha256"] = "0" * 64
    file.write_text(json.dumps(record))


def some_samples(cache: Path) -> None:
    file = next(cache.rglob("dolly.jsonl"))
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def other_places(text: str) -> Callable[[Path], None]:
    def change(cache: Path) -> None:
        from safetensors import safe_open
        from safetensors.torch import save_file

        file = next((cache / "scores").iterdir())
        with safe_open(file, "pt") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        save_file(tensors, file, {"texts": text})

    return change


BREAKS: dict[str, Any] = {
    "scores cut": (break_scores, "not a file of a teacher cache"),
    "samples broken": (break_samples, r"dolly\.jsonl:1: not a line of JSON"),
    "samples lost": (lose_samples, "no responses to 'dolly'"),
    "tokenizer lost": (lose_tokenizer, "tokenizer: cannot be loaded"),
    "record broken": (break_record, "not JSON"),
    "other prompts": (other_prompts, "generated from different prompts"),
    "some samples lost": (some_samples, "missing"),
    "places that are a list": (other_places("[]"), "not a file of a teacher cache"),
    "places that are none": (other_places('{"x": 1}'), "not a file of a teacher cache"),
}


@pytest.mark.parametrize(
    "how",
    list(BREAKS),
)
def test_a_broken_cache_gives_a_one_line_error(
    compare: Compare, cache: Path, generated: Path, how: str
) -> None:
    change, line = BREAKS[how]
    change(cache)
    with pytest.raises(InputError, match=line) as error:
        compare(generated, teacher=f"cache:{cache}", metrics=("top1@ref", "rougeL_teacher"))
    assert "\n" not in str(error.value)


def test_a_cache_made_later_covers_earlier_measurements(
    compare: Compare, results: Path, whole: Evaluation, tmp_path: Path
) -> None:
    """Everything is already measured; the teacher reads the texts again only for the cache."""
    later = compare(results, teacher_cache=tmp_path / "late", metrics=("top1",))
    assert (later.generated, later.results) == (0, whole.results)
    evaluation = compare(results, teacher=f"cache:{tmp_path / 'late'}", metrics=("top1",))
    for where in ("ref", "teacher", "student"):
        name = f"top1@{where}"
        assert rows(evaluation)[name].value == pytest.approx(rows(whole)[name].value, abs=2e-5)


def test_the_teachers_own_row_is_labelled_as_such(whole: Evaluation) -> None:
    (file,) = whole.run.parents[1].glob("teacher/*/run.json")
    assert json.loads(file.read_text())["method"] == "Teacher"


def test_a_cache_of_one_sampled_seed_is_found_again(compare: Compare, tmp_path: Path) -> None:
    options = {"seeds": (10,), "limit": 1, "max_new_tokens": 4, "metrics": ("top1",)}
    live = compare(tmp_path / "live", teacher_cache=tmp_path / "cache", **options)
    evaluation = compare(tmp_path / "cached", teacher=f"cache:{tmp_path / 'cache'}", **options)
    assert rows(evaluation)["top1@ref"].value == pytest.approx(rows(live)["top1@ref"].value)
