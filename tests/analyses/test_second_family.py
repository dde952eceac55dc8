"""How much of an ordering a second family keeps, on results made by hand."""

import pytest

from kdbench.analyses import analyses
from kdbench.errors import InputError
from kdbench.reports.conclusion_figure import draw_conclusion
from kdbench.store.conclusions import Conclusion
from tests.analyses.seeded.rows import run, task

NAMES = ("smol", "gemma")
FIRST = {
    "SFT": (10.0, 11.0, 12.0),
    "KD": (11.1, 12.0, 12.9),
    "GKD": (13.0, 13.9, 15.1),
    "OPD": (16.0, 16.8, 18.2),
}
SECOND = {  # another spacing of one order, of two seeds
    "SFT": (30.0, 31.0),
    "KD": (30.9, 32.1),
    "GKD": (31.8, 33.2),
    "OPD": (38.0, 38.9),
}


def runs(scores, metric="rougeL", tasks=("dolly", "vicuna")):
    """Two tasks, of which one lies two points above the other."""
    return {
        label: {
            seed: run(
                label,
                seed,
                {name: task(name, {metric: score + 2 * k - 1}) for k, name in enumerate(tasks)},
            )
            for seed, score in enumerate(by_seed, start=10)
        }
        for label, by_seed in scores.items()
    }


def conclude(first=FIRST, second=SECOND, **keys):
    metric = keys.get("metric", "rougeL")
    found = analyses.get("second_family")(**keys)
    return found.conclude_from((runs(first, metric), runs(second, metric)), NAMES)


def test_rows_have_means_ranks_and_gains_in_both():
    rows = conclude().tables[1].rows
    assert [row[0] for row in rows] == ["OPD", "GKD", "KD", "SFT"]
    assert [(row[1], row[4]) for row in rows] == [(str(k), str(k)) for k in (1, 2, 3, 4)]
    gkd = rows[1]
    assert gkd[2].value == pytest.approx(14.0)
    assert gkd[3].value == pytest.approx(3.0)  # 3, 2.9, 3.1
    assert gkd[3].high == pytest.approx(3.0 + 4.302653 * 0.1 / 3**0.5)
    assert gkd[6].value == pytest.approx(2.0)
    assert rows[3][3] is None


def test_one_order_is_said_to_be_one():
    found = conclude()
    assert found.tables[0].rows[0][1].value == 1.0
    assert found.sentences[0].startswith("No difference between the orders of smol and gemma")
    assert "4 methods in rougeL is 1.00" in found.sentences[0]


def test_opposite_orders_are_said_to_differ():
    turned = {label: tuple(50 - score for score in by_seed) for label, by_seed in SECOND.items()}
    found = conclude(second=turned)
    assert found.tables[0].rows[0][1].value == -1.0
    assert found.sentences[0].startswith("gemma orders the methods differently from smol (p 0.0")
    pooled = found.tables[2].rows[1]
    assert pooled[2] == "6 of 6"
    assert pooled[3] == "0"  # none has the same sign
    assert int(pooled[5]) >= 3
    assert "finds 6 of 6 differences in smol. In gemma 0 of them have" in found.sentences[-1]
    assert {row[3] for row in found.tables[3].rows} <= {"opposite", "not significant"}
    assert found.tables[3].rows[0][0] == "OPD - SFT"


def test_enough_methods_in_one_order_or_in_opposite_ones_are_said_to_be_related():
    first = {**FIRST, "TAID": (19.0, 20.0, 21.1)}
    second = {**SECOND, "TAID": (41.0, 42.1)}
    turned = {label: tuple(50 - score for score in by_seed) for label, by_seed in second.items()}
    by_chance = "orders that have nothing to do with each other have a τ as far from 0"
    assert conclude(first, second).sentences[1] == (
        f"The orders agree beyond chance: {by_chance} with probability 0.017."  # 2 of 5! orders
    )
    assert conclude(first, turned).sentences[1].startswith("The orders oppose each other beyond")
    assert conclude(second=turned).sentences[1].startswith("It is not shown that the orders agree")


def test_of_losses_the_lower_one_is_better():
    found = conclude(metric="lm_loss")
    assert [row[0] for row in found.tables[1].rows] == ["SFT", "KD", "GKD", "OPD"]
    assert found.tables[3].rows[0][0] == "SFT - OPD"
    assert found.tables[3].rows[0][1].value == pytest.approx(-6.0)
    opd = found.tables[1].rows[-1]
    assert opd[2].value == pytest.approx(17.0)
    assert opd[3].value == pytest.approx(-6.0)  # a gain is for the better


def test_rows_with_one_mean_share_their_rank():
    rows = conclude(first={**FIRST, "KD": FIRST["GKD"]}).tables[1].rows
    assert [(row[0], row[1]) for row in rows] == [
        ("OPD", "1"),
        ("KD", "2"),
        ("GKD", "2"),
        ("SFT", "4"),
    ]


def test_noise_alone_says_so():
    flat = {label: (10.0 + k, 10.5, 11.0 - k) for k, label in enumerate(FIRST)}
    flat["OPD"] = (12.0, 9.0, 10.6)
    found = conclude(first=flat)
    assert found.sentences[0].startswith("No difference between the orders")
    assert "not shown either that the orders agree" in found.sentences[1]
    assert found.sentences[-1] == (
        "With one deviation for all rows, the test finds none of 6 differences in smol."
    )
    assert len(found.tables) == 3


def test_rows_of_one_table_are_named():
    more = {**FIRST, "TAID": (1.0, 2.0, 3.0), "TVD": (5.0,)}
    notes = conclude(more, {**SECOND, "ULD": (1.0, 2.0), "TVD": (1.0, 2.0)}).notes
    assert "Only in smol, and left out: TAID." in notes
    assert "Only in gemma, and left out: ULD." in notes
    assert "Left out, with fewer training seeds than others: TVD." in notes


def test_different_tasks_are_named():
    analysis = analyses.get("second_family")()
    found = analysis.conclude_from((runs(FIRST), runs(SECOND, tasks=("dolly",))), NAMES)
    assert "The tables have different tasks: smol dolly, vicuna; gemma dolly." in found.notes


@pytest.mark.parametrize(
    ("first", "keys", "message"),
    [
        (FIRST, {"baseline": "sft"}, "baseline=sft: is no row that both tables have"),
        ({"SFT": (1.0, 2.0), "KD": (3.0, 5.0)}, {}, r"share 2 rows .*\(SFT, KD\)"),
        ({"a": (1.0, 2.0), "b": (3.0, 5.0)}, {}, r"share 0 rows .*\(none\)"),
        (dict.fromkeys(FIRST, (1.0, 2.0)), {}, "is one number for all rows of smol; name another"),
    ],
)
def test_what_cannot_be_paired_is_refused(first, keys, message):
    with pytest.raises(InputError, match=message):
        conclude(first, **keys)


def test_folders_that_are_missing_or_the_same_are_refused(tmp_path):
    kind = analyses.get("second_family")
    with pytest.raises(InputError, match="other= is missing"):
        kind(stored=tmp_path).run(None)
    with pytest.raises(InputError, match=r"other=.*: is the same folder as stored="):
        kind(stored=tmp_path, other=tmp_path / ".." / tmp_path.name).run(None)


def test_the_figure_names_methods_at_their_points():
    found = conclude()
    (points,) = (curve for curve in found.panels[0].curves if curve.names)
    place = points.names.index("GKD")
    assert points.x[place] == pytest.approx(3.0)
    assert points.left[place] < 3.0 < points.right[place]
    svg = draw_conclusion(found).svg.decode()
    assert "GKD" in svg
    assert Conclusion(**found.model_dump(mode="json")) == found
