"""Who is right, read from results made by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest

from kdbench.analyses.answered.read import answered_table
from kdbench.errors import InputError
from tests.analyses.answered.made import FLOOR, answered_run, answered_runs

BASE = (0.4, 0.1, 0.1, 0.2, 0.2)
BETTER = (0.5, 0.1, 0.1, 0.1, 0.2)


def train(**keys: str) -> list[str]:
    return ["kdbench", "train", *(f"{key}={value}" for key, value in keys.items())]


def evaluate(teacher: str) -> list[str]:
    return ["kdbench", "eval", "model=m", f"teacher={teacher}"]


def test_the_undistilled_student_that_the_results_name_comes_first() -> None:
    runs = answered_runs({"KD": [BETTER, BASE], "SFT": [BASE, BASE]}, kl={"sums": 0.25})
    found = answered_table(runs, None, "here")
    assert (found.labels, found.seeds, found.tasks) == (("SFT", "KD"), (10, 11), ("sums",))
    assert found.cells.shape == (2, 2, 1, 5)
    assert found.cells[1, 0, 0].tolist() == list(BETTER)
    assert found.option_kl.tolist() == [[[0.25], [0.25]]] * 2
    assert found.left_out == {}
    assert answered_table(runs, "KD", "here").labels == ("KD", "SFT")


def test_only_tasks_with_closed_answers_count_and_only_those_with_options_have_kl() -> None:
    runs = {
        label: {
            seed: answered_run(label, seed, {"sums": BASE, "facts": BASE}, kl={"facts": 0.5})
            for seed in (10, 11)
        }
        for label in ("SFT", "KD")
    }
    for by_seed in runs.values():
        for run in by_seed.values():
            run.results["free"] = answered_run("x", 1, {"free": BASE}).results["free"]
            run.results["free"].metrics.pop("answers_rr")
    found = answered_table(runs, None, "here")
    assert found.tasks == ("sums", "facts")
    assert found.option_kl.shape == (2, 2, 1)
    assert np.all(found.option_kl == 0.5)


def test_rows_that_do_not_compare_are_left_out_with_the_reason() -> None:
    runs = answered_runs(
        {"SFT": [BASE, BASE], "KD": [BASE, BETTER], "Old": [BASE, BASE]},
        commands=[train(student="start"), evaluate("big")],
    )
    for label, commands in {
        "Weak": [train(student="other"), evaluate("big")],
        "Long": [train(student="start", teacher="overtrained"), evaluate("big")],
        "Same": [train(student="start", teacher="big"), evaluate("big")],
    }.items():
        runs |= answered_runs({label: [BASE, BASE]}, commands=commands)
    runs |= answered_runs({"Unknown": [BASE, BASE]})  # no command is known
    runs["One"] = {10: runs["KD"][10]}
    runs |= answered_runs({"Other": [BASE, BASE]}, name="facts")
    del runs["Old"]
    found = answered_table(runs, None, "here")
    assert found.labels == ("SFT", "KD", "Same", "Unknown")
    assert found.left_out == {
        "from another student": ("Weak",),
        "with another teacher": ("Long",),
        "with fewer training seeds": ("One",),
        "not measured on all tasks": ("Other",),
    }


def test_rows_of_other_prompts_or_another_teacher_are_left_out_with_the_reason() -> None:
    runs = answered_runs({"SFT": [BASE] * 2, "KD": [BASE] * 2}, teacher={**FLOOR, "sha256": "1"})
    runs |= answered_runs({"Served": [BASE] * 2})  # its teacher has no hash
    runs |= answered_runs({"Taught": [BASE] * 2}, teacher={**FLOOR, "sha256": "2"})
    runs |= answered_runs({"Other": [BASE] * 2})
    last = runs["Other"][11]
    other = replace(last.results["sums"], fingerprint={"task": "sums", "prompts_sha256": "other"})
    runs["Other"][11] = replace(last, results={"sums": other})
    found = answered_table(runs, None, "here")
    assert found.labels == ("SFT", "KD", "Served")
    assert found.left_out == {
        "compared with another teacher": ("Taught",),
        "measured on other prompts": ("Other",),
    }


@pytest.mark.parametrize(
    ("rows", "undistilled", "keys", "message"),
    [
        ({"SFT": [BASE] * 2}, None, {}, "here: no row compares with SFT; there is no other"),
        (
            {"SFT": [BASE] * 2, "KD": [BASE]},
            None,
            {},
            "no row compares with SFT; with fewer training seeds: KD",
        ),
        (
            {"A": [BASE] * 2, "B": [BASE] * 2},
            None,
            {"teacher": None},
            "undistilled= is missing: the label of the row that learned without the teacher (its "
            "results name none); rows: A, B",
        ),
        (
            {"A": [BASE] * 2, "B": [BASE] * 2},
            None,
            {"teacher": FLOOR},
            "undistilled=SFT: no row of this name has several training seeds: known: A, B",
        ),
        ({"SFT": [BASE] * 2, "KD": [BASE] * 2}, "KDD", {}, "did you mean 'KD'?"),
    ],
)
def test_what_cannot_be_compared_is_one_line(rows, undistilled, keys, message) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        answered_table(answered_runs(rows, **keys), undistilled, "here")
    assert "\n" not in str(caught.value)


def test_results_without_closed_answers_are_refused() -> None:
    runs = answered_runs({"SFT": [BASE] * 2, "KD": [BASE] * 2})
    for by_seed in runs.values():
        for run in by_seed.values():
            run.results["sums"].metrics.pop("answers_wwd")
    with pytest.raises(InputError, match="SFT has no closed answers compared with a teacher's"):
        answered_table(runs, None, "here")
