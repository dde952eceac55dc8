"""Whether students that gain answer like their teacher, on results made by hand."""

import numpy as np
import pytest

from kdbench.analyses import analyses
from kdbench.analyses.answered.measures import AnswerMeasures
from kdbench.analyses.answered.panels import PARTS
from kdbench.analyses.answered.read import answered_table
from kdbench.errors import InputError
from kdbench.reports.conclusion_figure import draw_conclusion
from kdbench.store.conclusions import Conclusion
from tests.analyses.answered.made import answered_runs

BASE = np.array([0.4, 0.1, 0.1, 0.2, 0.2])
WOBBLES = (-0.004, 0.0, 0.003, 0.006, -0.005)
"""Of the base, by training seed: moved from only the teacher right to both right."""
NOISE = (0.001, -0.001, 0.0, 0.001, -0.001)
"""Of a method's change, by training seed."""


def row(both: float, student: float, same: float = 0.0) -> list[tuple[float, ...]]:
    """Cells by seed of a method with more of both right, only the student right, same wrong."""
    rows = []
    for wobble, noise in zip(WOBBLES, NOISE, strict=True):
        cells = BASE + np.array([wobble, 0, 0, -wobble, 0])
        moved = both + noise * bool(both), same, student + noise * bool(student)
        cells += np.array([*moved, -moved[0], -moved[1] - moved[2]])
        rows.append(tuple(map(float, cells)))
    return rows


def conclude(rows: dict) -> Conclusion:
    table = answered_table(answered_runs({"SFT": row(0, 0), **rows}), None, "here")
    return analyses.get("generalization")()._conclude(AnswerMeasures(table))


def test_a_method_that_is_right_where_its_teacher_is_wrong_confirms_the_claim() -> None:
    found = conclude({"own": row(0, 0.05), "near": row(0.05, 0), "none": row(0, 0, 0.01)})
    assert found.sentences[0] == (
        "The published claim, that students gain without agreeing more with their teacher, is "
        "confirmed here: of 3 methods, 2 gain over SFT and 0 lose, at 5 % with Holm's correction. "
        "Of those that gain, 1 agrees more with the teacher; 1 does not, as agreement rises by "
        "less than half of the gain if at all; and 0 are open."
    )
    gains = found.tables[0].rows
    assert gains[0][0] == "SFT"
    by_label = {cells[0]: cells for cells in gains}
    assert by_label["own"][2].value == pytest.approx(0.05)
    assert by_label["own"][4].value == pytest.approx(0, abs=1e-12)
    assert [by_label[label][5] for label in ("SFT", "own", "near", "none")] == [
        None,
        "gains without agreeing more",
        "gains, agrees more",
        "no gain seen",
    ]
    who = {cells[0]: cells for cells in found.tables[1].rows}
    assert [column.title for column in found.tables[1].columns][2] == "only the student right"
    assert who["own"][2].value == pytest.approx(0.15)
    assert who["none"][4].value == pytest.approx(0.11)


def test_methods_that_gain_and_agree_more_refute_it() -> None:
    found = conclude({"near": row(0.05, 0), "nearer": row(0.06, 0)})
    assert "refuted here: of 2 methods, 2 gain over SFT" in found.sentences[0]
    assert found.sentences[1].startswith("Three methods or more, which differ, are needed")
    assert len(found.tables) == 3


def test_without_gain_nothing_is_settled() -> None:
    found = conclude({"same": row(0, 0, 0.01), "worse": row(-0.05, 0), "lost": row(-0.06, 0)})
    assert found.sentences[0].endswith(
        "not settled here: of 3 methods, 0 gain over SFT and 2 lose, at 5 % with Holm's "
        "correction; without it, 0 of the intervals of the gain lie above 0."
    )
    assert "Over 3 methods, gain and agreement with the teacher" in found.sentences[1]
    assert (
        "In kappa, which accuracy alone does not raise, of 3 methods 0 rise" in found.sentences[2]
    )


def test_pooled_takes_one_deviation_for_all_methods() -> None:
    rows = {"SFT": row(0, 0), "near": row(0.05, 0), "same": row(0, 0, 0.01)}
    table = answered_table(answered_runs(rows), None, "here")
    own, pooled = (
        AnswerMeasures(table, way).changes(AnswerMeasures(table).accuracies)
        for way in (False, True)
    )
    assert own["near"].found.value == pytest.approx(pooled["near"].found.value)
    assert own["near"].p != pytest.approx(pooled["near"].p)
    width = {
        label: pooled[label].found.high - pooled[label].found.low for label in ("near", "same")
    }
    assert width["near"] == pytest.approx(width["same"])


def test_the_figure_has_a_point_and_a_bar_for_each_method() -> None:
    found = conclude({"own": row(0, 0.05), "near": row(0.05, 0)})
    points, bars = found.panels
    assert [(curve.label, curve.names) for curve in points.curves] == [
        ("gains, agrees more", ("near",)),
        ("gains without agreeing more", ("own",)),
    ]
    near, own = points.curves
    assert (own.x[0], own.y[0]) == pytest.approx((0, 0.05), abs=1e-12)
    assert (near.x[0], near.y[0]) == pytest.approx((0.05, 0.05))
    assert near.left[0] < near.x[0] < near.right[0]
    assert near.low[0] < near.y[0] < near.high[0]
    assert bars.bars[0] == "SFT"
    assert [curve.label for curve in bars.curves] == list(PARTS)
    assert np.sum([curve.y for curve in bars.curves], axis=0) == pytest.approx([1, 1, 1])
    svg = draw_conclusion(found).svg.decode()
    assert all(f">{text}<" in svg for text in ("own", "SFT", *PARTS))


def test_of_many_methods_only_those_with_a_finding_are_named() -> None:
    rows = {f"same {place}": row(0, 0, 0.001 * place) for place in range(1, 21)}
    points, bars = conclude({"near": row(0.06, 0), **rows}).panels
    assert {name for curve in points.curves for name in curve.names if name} == {"near"}
    assert len(bars.bars) == 22


def test_stored_is_needed(tmp_path) -> None:
    with pytest.raises(InputError, match="stored= is missing: the results of a filled table"):
        analyses.get("generalization")().run(None)
    with pytest.raises(InputError, match="no such folder"):
        analyses.get("generalization")(stored=tmp_path / "none").run(None)
