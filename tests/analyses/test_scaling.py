"""Scaling, on losses made by hand."""

import pytest

from kdbench.analyses import analyses
from kdbench.analyses.core.run import analyse
from kdbench.analyses.scaling import ALONE, Learnt, losses_of, sentences
from kdbench.config.fill import parse_with_changes
from kdbench.errors import InputError

BUDGETS = (100.0, 400.0, 1600.0, 6400.0, 25600.0)


def learnt(teacher: str, quality: float | None, floor: float, last: float = 0.0) -> Learnt:
    """Students of floor + 8/√D, each seed a little above the last, and more at the end.

    Both numbers vary with the seed, the floor with the teacher too, and so do all differences.
    """
    losses = {
        seed: {
            d: floor * (1 + place / 1000) + (8 + place / 100) / d**0.5 + last * (d == BUDGETS[-1])
            for d in BUDGETS
        }
        for place, seed in enumerate((10, 11, 12))
    }
    return Learnt(teacher, quality, losses)


def test_the_law_of_each_seed_comes_back_and_predicts() -> None:
    found = learnt("large", 0.5, 1.0)
    assert [law.floor for law in found.laws.values()] == pytest.approx(
        [1.0, 1.001, 1.002], rel=1e-3
    )
    assert found.exponents.value == pytest.approx(0.5, rel=1e-3)
    assert all(abs(error) < 1e-4 for error in found.prediction_errors().values())
    # 8/√6400 - 8/√25600 = 0.1 - 0.05
    assert found.control_errors() == pytest.approx({10: 0.05, 11: 0.05, 12: 0.05}, rel=3e-3)


def test_a_loss_off_the_law_is_missed_by_as_much() -> None:
    found = learnt("large", 0.5, 1.0, last=0.2)
    assert found.prediction_errors() == pytest.approx({10: -0.2, 11: -0.2, 12: -0.2}, abs=1e-3)


def test_sentences_say_what_holds() -> None:
    found = [learnt("small", 1.0, 1.3), learnt("large", 0.5, 1.0), learnt(ALONE, None, 0.9)]
    law, teachers, prediction = sentences(found)
    assert law.startswith("The law E + B D^-β is determined in 9 of 9 trainings; β is small 0.50 [")
    assert "the student of large, the best teacher, ends below that of small by 0.300 [" in teachers
    assert "and ends above that of no teacher by 0.100 [" in teachers
    assert "misses its loss by 0.000 [" in prediction
    assert "less than the 0.050 [" in prediction


def test_a_law_that_predicts_worse_than_no_change_is_said_to() -> None:
    found = [learnt("large", 0.5, 1.0, last=0.2), learnt(ALONE, None, 1.01, last=0.21)]
    assert "more than the 0.1" in sentences(found)[-1]
    assert "is not told from any other" not in sentences(found)[1]


class Logs:
    """A filled table with one row."""

    def __init__(self, folder, steps):
        self.folder, self.steps = folder, steps

    def curves(self, label, name):
        assert (label, name) == ("large", "eval_loss")
        return {10: {step: 1.0 / step for step in self.steps}}

    def of(self, label):
        assert label == "large"

        class Row:
            checkpoint = self.folder

        return {10: Row}


def test_budgets_are_response_tokens(tmp_path) -> None:
    (tmp_path / "kdbench.json").write_text(
        '{"schema": 1, "steps": 8, "phases": {"train": {"tokens": 1600}}}'
    )
    found = losses_of(Logs(tmp_path, (2, 4, 8)), "large", (2, 8))
    assert found == {10: {400.0: 0.5, 1600.0: 0.125}}
    with pytest.raises(InputError, match="no eval_loss at step 6"):
        losses_of(Logs(tmp_path, (2, 4, 8)), "large", (2, 6))
    (tmp_path / "kdbench.json").write_text('{"schema": 1, "steps": 8}')
    with pytest.raises(InputError, match="has no tokens of the training"):
        losses_of(Logs(tmp_path, (2, 4, 8)), "large", (2, 4))


def keys(world, tmp_path, *words):
    own = [f"student={world.student}", f"teachers={world.teacher}", f"data={world.data}"]
    places = [f"out={tmp_path / 'runs'}", f"results={tmp_path / 'results'}", "--dry-run"]
    return parse_with_changes(analyses.get("scaling"), [*own, *places, *words])


def test_a_plan_trains_each_teacher_and_none(world, tmp_path) -> None:
    notes = analyse(keys(world, tmp_path, "train_seeds=2", "budgets=1,2,3,4")).notes
    for node in ("train teacher seed 11", "train no teacher", "evaluate teacher teacher"):
        assert node in notes
    with pytest.raises(InputError, match=r"budgets=1,2: give 4 or more"):
        analyse(keys(world, tmp_path, "budgets=1,2"))
    with pytest.raises(InputError, match="steps=9: give budgets="):
        analyse(keys(world, tmp_path, "steps=9"))
