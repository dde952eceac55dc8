"""The sentences of docs/which-method.md rest on stored rows that bear them out."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kdbench.errors import InputError
from tests.helpers.docs_scripts import docs_script

ROOT = Path(__file__).parents[2]
TASKS = ["dolly", "self_instruct", "vicuna", "super_natural", "unnatural"]
ROWS = ["SFT", "KD", "GKD", "DistiLLM", "TVD", "MiniLLM"]
TOY = {"stored": "results/toy-all", "tasks": TASKS, "rows": ROWS}
BUDGET = "results/analyses/toy-all/budget.json"
PAGE = "# Page\n\n<!-- kdbench:begin claims score -->\nold\n<!-- kdbench:end claims -->\n"


@pytest.fixture(scope="module")
def claims() -> ModuleType:
    return docs_script("claims.py")


def page_of(*rows: dict[str, str]) -> dict[str, Any]:
    """The claims of a page with one sentence."""
    claim = {"says": "A sentence.", "rows": list(rows)}
    return {"tables": {"toy": TOY}, "sections": {"score": [claim]}}


def test_the_page_is_what_the_stored_rows_say() -> None:
    command = [sys.executable, "docs/claims.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_sentence_has_its_rows_with_the_numbers_of_compare(claims: ModuleType) -> None:
    text = claims.with_claims(PAGE, page_of({"toy": "MiniLLM better than SFT in rougeL"}))
    line = "    - toy: MiniLLM against SFT, rougeL +2.50 \\[1.27, 3.72\\], p 0.007\n"
    assert f"- A sentence.\n{line}" in text
    assert "old" not in text


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("SFT better than MiniLLM in rougeL", "SFT is worse than MiniLLM in rougeL"),
        ("MiniLLM not told apart from SFT in rougeL", "MiniLLM is better than SFT in rougeL"),
        ("GKD better than SFT in rougeL", "GKD is not told apart from SFT in rougeL"),
        ("TVD better than SFT in lm_loss", "TVD is worse than SFT in lm_loss"),
        ("all but TVD better than SFT in rougeL", "KD is not told apart from SFT in rougeL"),
        ("MiniLLM beats SFT", "cannot read the row 'toy: MiniLLM beats SFT'"),
    ],
)
def test_a_sentence_that_the_rows_do_not_bear_out_is_refused(
    claims: ModuleType, row: str, found: str
) -> None:
    with pytest.raises(InputError, match=found):
        claims.with_claims(PAGE, page_of({"toy": row}))


def test_p_values_are_corrected_over_all_rows_of_the_table(claims: ModuleType) -> None:
    table = claims.ClaimTable("toy", TOY["stored"], tuple(TASKS), tuple(ROWS))
    alone = {row: claims.compared(table, row, "SFT", "rougeL").p for row in ROWS[1:]}
    in_order = sorted(alone, key=lambda row: alone[row])
    by_hand: dict[str, float] = {}
    for place, row in enumerate(in_order):
        least = max(by_hand.values(), default=0.0)
        by_hand[row] = min(1.0, max(least, (len(alone) - place) * alone[row]))
    assert claims.corrected(table, "SFT", "rougeL") == pytest.approx(by_hand)


def test_all_but_some_rows_are_told_in_one_line(claims: ModuleType) -> None:
    row = "all but TVD, MiniLLM not told apart from SFT in rougeL"
    text = claims.with_claims(PAGE, page_of({"toy": row}))
    assert "all but TVD, MiniLLM (3) against SFT, rougeL +0.06 to +0.90, p ≥ " in text


def test_each_section_of_the_sentences_is_on_the_page(claims: ModuleType) -> None:
    with pytest.raises(InputError, match="differ in sections: score"):
        claims.with_claims("# Page\n", page_of({"toy": "MiniLLM better than SFT in rougeL"}))


def test_a_sentence_may_rest_on_a_line_of_a_stored_answer(claims: ModuleType) -> None:
    said = claims.answer_line(BUDGET, "2x", "pick", **{"is": "ABKD (1.9x)"})
    assert said == "budget of toy-all: 2x, pick: ABKD (1.9x)"
    faults = {
        ("2x", "pick", "SFT (1x)"): "2x, pick is 'ABKD",
        ("Nobody", "pick", ""): "line 'Nobody', column 'pick': in no table",
        ("KD", "over SFT's", "2.24"): "in A step, timed alone, A step, timed alone, Quality and",
    }
    for (line, column, shown), message in faults.items():
        with pytest.raises(InputError, match=message):
            claims.answer_line(BUDGET, line, column, **{"is": shown})


def test_a_sentence_may_rest_on_a_stored_frontier(claims: ModuleType) -> None:
    said = claims.frontier_line("results/toy-guided", "Trained", **{"is": "not told apart"})
    assert said.startswith("frontier of toy-guided: Trained is not told apart from the curve of")
    with pytest.raises(InputError, match="Trained is 'not told apart', not 'above'"):
        claims.frontier_line("results/toy-guided", "Trained", **{"is": "above"})
    with pytest.raises(InputError, match="no frontier with a student 'Nobody'"):
        claims.frontier_line("results/toy-guided", "Nobody", **{"is": "above"})
