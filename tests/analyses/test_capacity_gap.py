"""The capacity gap, on students made by hand."""

from math import exp, log

import pytest

from kdbench.analyses import analyses
from kdbench.analyses.capacity_gap import Taught, best_of, differences, optimum, sentences
from kdbench.analyses.core.run import analyse
from kdbench.config.fill import parse_with_changes
from kdbench.errors import InputError

ALONE = {10: 3.0, 11: 3.11, 12: 3.19}


def taught(name: str, parameters: int, quality: float, *losses: float) -> Taught:
    by_seed = dict(zip((10, 11, 12), losses, strict=False))
    return Taught(name, parameters, quality, 50.0, by_seed, by_seed, by_seed, by_seed)


SMALL = taught("small", 1_000, 1.2, 2.0, 2.11, 2.2)
MIDDLE = taught("middle", 10_000, 0.8, 1.0, 1.11, 1.2)
LARGE = taught("large", 100_000, 0.5, 1.3, 1.4, 1.5)


def test_the_best_teacher_is_so_by_its_own_loss() -> None:
    assert best_of([SMALL, MIDDLE, LARGE]) is LARGE
    found = differences([SMALL, MIDDLE, LARGE])
    assert list(found) == ["small", "middle"]
    assert found["middle"].found.value == pytest.approx(-0.89 / 3)
    assert (found["small"].direction, found["middle"].direction) == (1, -1)


def test_a_weaker_teachers_better_student_is_a_gap() -> None:
    first, best_size, alone = sentences([SMALL, MIDDLE, LARGE], ALONE)
    assert first.startswith("A capacity gap is seen: the student of middle ends 0.297 [")
    assert "nats below that of large, the best teacher" in first
    assert "has 10 k [10 k, 10 k] parameters" in best_size
    assert alone.startswith("The student of large ends 1.700 [")
    assert "nats below the one without a teacher" in alone


def test_the_best_teachers_best_student_is_no_gap() -> None:
    better = taught("large", 100_000, 0.5, 0.5, 0.6, 0.72)
    first, *_ = sentences([SMALL, MIDDLE, better], ALONE)
    assert first == (
        "No capacity gap is seen: the student of large, the best teacher by its own held-out loss "
        "(0.500 nats), is the best of all."
    )


def test_what_is_not_told_apart_is_said() -> None:
    level = taught("large", 100_000, 0.5, 0.9, 1.3, 1.1)
    first, *_ = sentences([SMALL, MIDDLE, level], ALONE)
    assert first.startswith("No capacity gap is seen: no weaker teacher's student is better")
    assert first.endswith("; the student of middle is not told from it.")


def test_one_seed_tells_nothing() -> None:
    one = [taught(t.teacher, t.parameters, t.quality, t.losses[10]) for t in (SMALL, MIDDLE, LARGE)]
    assert "One training seed cannot tell" in sentences(one, {10: 1.0})[0]


def test_the_optimum_is_a_geometric_mean_over_seeds() -> None:
    # small, middle and large are each best once
    found = [
        taught("small", 1_000, 1.2, 1.0, 2.0, 2.0),
        taught("middle", 10_000, 0.8, 2.0, 1.0, 2.0),
        taught("large", 100_000, 0.5, 2.0, 2.0, 1.0),
    ]
    size = optimum(found)
    assert exp(size.value) == pytest.approx(10_000)
    # Student's t of 0.975 at two degrees of freedom is 4.3027; sd of logs is log 10
    assert size.high - size.value == pytest.approx(4.3027 * log(10) / 3**0.5, rel=1e-4)


def keys(*words: str):
    return parse_with_changes(analyses.get("capacity_gap"), list(words))


def test_a_plan_names_the_students_of_the_first_teacher(world, tmp_path) -> None:
    teachers = [tmp_path / name for name in ("a", "b", "c")]
    for folder in teachers:
        folder.symlink_to(world.teacher)
    own = [f"student={world.student}", f"data={world.data}", "train_seeds=2", "--dry-run"]
    places = [f"out={tmp_path / 'runs'}", f"results={tmp_path / 'results'}"]
    named = f"teachers={','.join(map(str, teachers))}"
    notes = analyse(keys(named, *own, *places)).notes
    for node in ("train a", "train a seed 11", "train without a teacher", "evaluate teacher a"):
        assert node in notes
    with pytest.raises(InputError, match="teachers=a: give 3 or more"):
        analyse(keys("teachers=a", *own, *places))
    with pytest.raises(InputError, match="teacher=b: this analysis has several"):
        analyse(keys("teacher=b", named, *own, *places))
    with pytest.raises(InputError, match="two folders have one name"):
        analyse(keys(f"teachers={named[9:]},other/a", *own, *places))
