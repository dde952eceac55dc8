"""How much of a ranking is noise, on results made by hand."""

import numpy as np
import pytest
from made_runs import put_run

from kdbench.analyses import analyses
from kdbench.analyses.seeded.scores import (
    RankedScores,
    runs_in,
    runs_of_table,
    seed_scores,
    with_labels,
)
from kdbench.errors import InputError
from tests.analyses.seeded.rows import filled, row, run, task

SCORES = {"sft": (1.5, 2.5, 2.0), "kd": (3.5, 6.5, 5.0), "gkd": (3.0, 4.0, 4.5)}


def results(scores=SCORES, first=10):
    """Two prompts around each score, in two tasks of which one lies above it."""
    return filled(
        *(
            row(
                label,
                seed,
                [
                    task("dolly", {"rougeL": [score - 1, score + 1]}),
                    task("vicuna", {"rougeL": [score + 1, score + 3]}),
                ],
            )
            for label, by_seed in scores.items()
            for seed, score in enumerate(by_seed, start=first)
        )
    )


def conclude(found):
    return analyses.get("seeds")()._conclude(found)


def read(rows):
    return seed_scores(runs_of_table(rows), "rougeL", "the table")


def test_scores_are_means_over_tasks_by_seed():
    found = read(results())
    assert found.labels == ("sft", "kd", "gkd")
    assert found.seeds == (10, 11, 12)
    assert found.scores[1] == pytest.approx([4.5, 7.5, 6.0])
    assert [part.shape for part in found.tasks] == [(3, 3, 2), (3, 3, 2)]


def test_only_chosen_rows_are_ranked():
    runs = runs_of_table(results())
    assert list(with_labels(runs, ["gkd", "sft"], "the table")) == ["gkd", "sft"]
    assert with_labels(runs, [], "the table") == runs
    with pytest.raises(InputError, match="rows=gdk: not in the table: did you mean 'gkd'"):
        with_labels(runs, ["gdk"], "the table")
    for one in (["sft"], ["sft", "sft"]):
        message = f"^rows={','.join(one)}: one row makes no ranking; name two or more$"
        with pytest.raises(InputError, match=message):
            with_labels(runs, one, "the table")


def test_recipes_with_fewer_seeds_are_left_out():
    found = read(results({**SCORES, "opd": (1.0,)}))
    assert found.labels == ("sft", "kd", "gkd")
    assert found.left_out == ("opd",)
    assert "Left out, with fewer training seeds: opd." in conclude(found).notes


def test_what_cannot_be_ranked_is_refused(tmp_path):
    with pytest.raises(InputError, match="share 1 training seed;"):
        read(results({"sft": (1.0,), "kd": (2.0,)}))
    with pytest.raises(InputError, match="the table: only sft has 3 training seeds; train another"):
        read(results({"sft": (1.0, 2.0, 3.0), "kd": (2.0, 3.0)}))
    with pytest.raises(InputError, match="no task has bleu"):
        seed_scores(runs_of_table(results()), "bleu", "the table")
    with pytest.raises(InputError, match="no such folder"):
        runs_in(tmp_path / "none")
    with pytest.raises(InputError, match="has 0 recipes with several training seeds"):
        runs_in(tmp_path)


@pytest.mark.parametrize("own", [(50.0, 50.0), (50.0, 52.0)])
def test_rows_of_one_score_are_no_ranking(tmp_path, own):
    keys = dict.fromkeys(("samples", "seconds", "student_tokens", "teacher_tokens"))
    for label in ("SFT", "KD"):
        for seed, score in enumerate(own, start=10):
            cost = {**keys, "method": "kd", "seed": seed, "recipe": label}
            put_run(tmp_path, f"{label} {seed}", {"dolly": [score]}, method=label, training=cost)
    message = f"^metric=rougeL: is one number for all rows of {tmp_path}; name another$"
    with pytest.raises(InputError, match=message):
        analyses.get("seeds")(stored=tmp_path).run(None)


def test_neighbours_are_the_ranking_and_their_gaps():
    variance, survives, pairs = conclude(read(results())).tables
    assert [label for label, *_ in pairs.rows] == ["kd - gkd", "gkd - sft"]
    gap = pairs.rows[0][1]
    assert gap.value == pytest.approx(3.5 / 3)  # .5, 2.5, .5
    assert pairs.rows[0][3] == "0 of 3"
    assert int(pairs.rows[1][4]) >= 2
    assert survives.rows[1][1].value <= 1
    assert len(variance.rows) == 6


def test_of_losses_the_lower_one_is_better():
    scores = np.array([[1.0, 1.1], [5.0, 5.2], [3.0, 3.1]])
    found = conclude(RankedScores(tuple("abc"), (1, 2), scores, (), lower=True))
    assert [label for label, *_ in found.tables[2].rows] == ["a - c", "c - b"]
    assert found.tables[2].rows[0][1].value == pytest.approx(-2.0)


def test_equal_methods_are_said_to_be():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(4, 5)) + 50
    scores -= scores.mean(axis=1, keepdims=True) - 50
    found = conclude(RankedScores(tuple("abcd"), (1, 2, 3, 4, 5), scores, ()))
    assert found.sentences[0].startswith("No difference between the methods is seen: 0 % [0, ")
    assert len(found.tables[0].rows) == 3  # nothing is known of prompts


def test_clear_methods_are_said_to_be():
    scores = np.array([[1.0, 1.1, 1.0], [5.0, 5.2, 5.1], [9.0, 9.1, 9.3]])
    found = conclude(RankedScores(tuple("abc"), (1, 2, 3), scores, ()))
    assert "100 % [" in found.sentences[0]
    assert "is between methods" in found.sentences[0]
    assert "swaps 0 of 2 pairs" in found.sentences[1]
    assert "Kendall's τ 1.00 [1.00, 1.00]" in found.sentences[1]
    assert found.tables[2].rows[0][0] == "c - b"


def test_a_metric_without_numbers_by_prompt_is_ranked_too():
    runs = {
        label: {seed: run(label, seed, {"dolly": task("dolly", {"distinct": float(score)})})}
        for label, seed, score in (("a", 1, 2), ("b", 1, 3))
    }
    for label, score in (("a", 2.5), ("b", 3.1)):
        runs[label][2] = run(label, 2, {"dolly": task("dolly", {"distinct": score})})
    found = seed_scores(runs, "distinct", "here")
    assert found.tasks == ()
    assert found.scores.tolist() == [[2.0, 2.5], [3.0, 3.1]]
