"""The sentences of docs/which-method.md rest on stored rows that bear them out."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOY = {
    "stored": "results/toy-all",
    "tasks": ["dolly", "self_instruct", "vicuna", "super_natural", "unnatural"],
}
PAGE = "# Page\n\n<!-- kdbench:begin claims score -->\nold\n<!-- kdbench:end claims -->\n"


@pytest.fixture(scope="module")
def claims() -> ModuleType:
    place = importlib.util.spec_from_file_location("claims", ROOT / "docs" / "claims.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    sys.modules[place.name] = module
    place.loader.exec_module(module)
    return module


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
    line = "    - toy: MiniLLM against SFT, rougeL +2.50 \\[1.27, 3.72\\], p 0.002\n"
    assert f"- A sentence.\n{line}" in text
    assert "old" not in text


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("SFT better than MiniLLM in rougeL", "SFT is worse than MiniLLM in rougeL"),
        ("MiniLLM not told apart from SFT in rougeL", "MiniLLM is better than SFT in rougeL"),
        ("GKD better than SFT in rougeL", "GKD is not told apart from SFT in rougeL"),
        ("TVD better than SFT in lm_loss", "TVD is worse than SFT in lm_loss"),
        ("MiniLLM beats SFT", "cannot read the row 'toy: MiniLLM beats SFT'"),
    ],
)
def test_a_sentence_that_the_rows_do_not_bear_out_is_refused(
    claims: ModuleType, row: str, found: str
) -> None:
    with pytest.raises(claims.NotSoError, match=found):
        claims.with_claims(PAGE, page_of({"toy": row}))


def test_p_values_are_corrected_over_all_rows_of_the_page(claims: ModuleType) -> None:
    methods = ("GKD", "DistiLLM", "Classmate")
    rows = [{"toy": f"{row} not told apart from SFT in rougeL"} for row in methods]
    text = claims.with_claims(PAGE, page_of(*rows))
    alone = claims.compared("results/toy-all", tuple(TOY["tasks"]), "DistiLLM", "SFT", "rougeL").p
    (line,) = (line for line in text.splitlines() if "DistiLLM" in line)
    assert line.endswith(f", p {3 * alone:.3f}")


def test_each_section_of_the_sentences_is_on_the_page(claims: ModuleType) -> None:
    with pytest.raises(claims.NotSoError, match="differ in sections: score"):
        claims.with_claims("# Page\n", page_of({"toy": "MiniLLM better than SFT in rougeL"}))


def test_a_sentence_may_rest_on_a_line_of_a_stored_answer(claims: ModuleType) -> None:
    answer = "results/analyses/toy-all/seeds.json"
    (table, *_) = claims.read_conclusion(ROOT / answer).tables
    line, column = table.rows[0][0], table.columns[1].title
    said = claims.answer_line(answer, line, column)
    assert said.startswith(f"seeds of toy-all: {line}, {column}: ")
    with pytest.raises(claims.NotSoError, match="no line 'Nobody'"):
        claims.answer_line(answer, "Nobody", column)


def test_a_sentence_may_rest_on_a_stored_frontier(claims: ModuleType) -> None:
    said = claims.frontier_line("results/toy-guided", "Trained", "not told apart")
    assert said.startswith("frontier of toy-guided: Trained is not told apart from the curve of")
    with pytest.raises(claims.NotSoError, match="Trained is 'not told apart', not 'above'"):
        claims.frontier_line("results/toy-guided", "Trained", "above")
    with pytest.raises(claims.NotSoError, match="no frontier with a student 'Nobody'"):
        claims.frontier_line("results/toy-guided", "Nobody", "above")
