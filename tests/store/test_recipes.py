"""Labels of runs that are trainings of one recipe."""

import numpy as np
from stored_scores import stored_run

from kdbench.store.recipes import labels_of_trainings


def trained(model, method, seed, recipe="r"):
    record = {"method": method, "training": {"seed": seed, "recipe": recipe}}
    return stored_run(model, {"dolly": np.arange(5.0)}, record)


def test_no_training_has_the_name_of_its_recipe():
    runs = [trained("GKD", "GKD", 10), trained("GKD seed 11", "GKD", 11), trained("KD", "KD", 10)]
    assert list(labels_of_trainings(runs).values()) == [
        "GKD (seed 10)",
        "GKD (seed 11)",
        "KD",
    ]


def test_other_recipes_and_runs_of_unknown_ones_keep_their_labels():
    runs = [trained("GKD", "GKD", 10), trained("GKD 2", "GKD", 11, recipe="another")]
    runs += [stored_run("SFT", {"dolly": np.arange(5.0)}), stored_run("KD", {})]
    assert list(labels_of_trainings(runs).values()) == ["GKD", "GKD (GKD 2)", "SFT", "KD"]
