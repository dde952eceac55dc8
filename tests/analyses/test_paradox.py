"""Gain against fidelity, on students made by hand."""

import numpy as np
import pytest

from kdbench.analyses import analyses
from kdbench.analyses.core.run import analyse
from kdbench.analyses.paradox import (
    FIDELITY,
    DistillationCondition,
    Measured,
    cells,
    measured,
    sentences,
)
from kdbench.config.fill import parse_with_changes
from kdbench.errors import InputError

SEEDS = (10, 11, 12)
CONDITIONS = tuple(DistillationCondition("2x64", f"KD {n}", n > 2) for n in range(5))


def made(gain: np.ndarray, change: np.ndarray) -> Measured:
    """Gains and changes, (conditions, points), of all seeds but for a little noise."""
    rng = np.random.default_rng(0)

    def of_seeds(values: np.ndarray) -> np.ndarray:
        noise = 0.01 * rng.normal(size=(len(values), len(SEEDS), values.shape[1]))
        return values[:, None] + noise

    gains, changes = of_seeds(gain), of_seeds(change)
    level = dict.fromkeys(FIDELITY, changes + 0.5)
    return Measured(CONDITIONS, SEEDS, gains + 40, gains, level, dict.fromkeys(FIDELITY, changes))


STEPS = np.array([[2.0, 3.0], [1.0, 2.0], [0.5, 1.0], [-1.0, -2.0], [-3.0, -4.0]])


def test_gains_with_fidelity_are_no_paradox() -> None:
    first, second, third = sentences(made(STEPS, STEPS / 10))
    assert "go together: the published misalignment is not seen" in first
    assert second.startswith(
        "Of 10 points, 6 gain and come nearer to the teacher in acceptance, 0 "
    )
    assert second.endswith("and 4 do neither.")
    assert third.startswith("3 of 5 conditions gain over SFT and 2 lose")
    assert "of those that gain, 0 are not seen to near the teacher" in third


def test_gains_against_fidelity_are_the_paradox() -> None:
    first, second, third = sentences(made(STEPS, -STEPS / 10))
    assert "of those that gain, 3 are not seen to near the teacher" in third
    assert "oppose each other" in first
    assert "0 gain and come nearer" in second
    assert "6 gain without, 4 come nearer without a gain, and 0 do neither" in second


def test_what_is_unrelated_is_not_told() -> None:
    change = np.array([[0.1, -0.2], [-0.1, 0.2], [0.1, 0.2], [-0.1, -0.2], [0.05, 0.1]])
    first, *_ = sentences(made(STEPS, change))
    assert "are not told to go together (rank correlation" in first


def test_cells_count_signs_of_means_over_seeds() -> None:
    gain = np.array([[[1.0, 1.0], [-0.5, 1.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    change = np.array([[[1.0, -1.0], [1.0, -1.0]], [[1.0, -1.0], [1.0, -1.0]]])
    assert cells(gain, change) == (1, 1, 1, 1)


OWN = {"SFT 2x64": 10.0, "KD 2x64": 13.0, "SFT 1x32": 20.0, "KD 1x32": 19.0}


class Table:
    """A filled table; a row's value is its own plus the seed's and the column's."""

    def of(self, label):
        assert label in OWN
        return dict.fromkeys(SEEDS)

    def values(self, label, column):
        task, metric = column.split(":")
        assert metric in ("rougeL", *FIDELITY)
        noise = 0.0 if label.startswith("SFT") else 0.1
        return {seed: OWN[label] + 100 * seed + len(task) + noise * seed for seed in SEEDS}


def test_gain_is_over_sft_of_the_same_size_and_seed() -> None:
    conditions = [
        DistillationCondition("2x64", "KD", False),
        DistillationCondition("1x32", "KD", False),
    ]
    found = measured(conditions, [Table(), Table()], ["dolly", "vicuna"])
    assert found.gain.shape == (2, 3, 4)
    assert found.gain[0, 0] == pytest.approx([4.0] * 4)  # 13 - 10 + 0.1 · 10
    assert found.gain[1, 2] == pytest.approx([0.2] * 4)  # 19 - 20 + 0.1 · 12
    assert found.by_seed(found.gain, 1) == pytest.approx({10: 0.0, 11: 0.1, 12: 0.2})


def keys(world, tmp_path, *words):
    own = [f"teacher={world.teacher}", f"student={world.student}", f"data={world.data}"]
    places = [f"out={tmp_path / 'runs'}", f"results={tmp_path / 'results'}", "--dry-run"]
    return parse_with_changes(analyses.get("paradox"), [*own, *places, *words])


def test_a_plan_has_a_row_for_each_condition(world, tmp_path) -> None:
    words = ["noises=2,5", "temperatures=4", "sampling_temperatures=0,1", "train_seeds=2"]
    notes = analyse(keys(world, tmp_path, *words)).notes
    for node in ("SFT student", "KD student", "KD T 4 student", "KD noise 5 student seed 11"):
        assert f"train {node}" in notes
    with pytest.raises(InputError, match="three conditions are few"):
        analyse(keys(world, tmp_path, "noises=", "temperatures=4"))
    with pytest.raises(InputError, match="sampling_temperatures=-1"):
        analyse(keys(world, tmp_path, "sampling_temperatures=-1"))
