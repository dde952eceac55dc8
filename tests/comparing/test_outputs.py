"""A comparison as text: the same bytes for the same inputs, escaped, and never too long."""

import json
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gate_runs import Put, noisy

import kdbench
from kdbench.comparing.model import (
    ComparedRow,
    Comparison,
    Evidence,
    RowTestMethod,
    ScoresOfSeed,
    WorstPrompt,
)
from kdbench.comparing.outputs.junit import junit
from kdbench.comparing.outputs.markdown import LIMIT, markdown, marker
from kdbench.comparing.outputs.numbers import numbers
from kdbench.comparing.outputs.terminal import coloured, terminal
from kdbench.comparing.run import run_verb
from kdbench.comparing.tolerance import Tolerance
from kdbench.comparing.verdict import Problem, Rules
from kdbench.errors import InputError

ROW = ComparedRow(
    task="dolly",
    metric="rougeL",
    unit="points",
    direction="higher",
    n=500,
    base=23.41,
    new=22.0,
    change=-1.41,
    low=-1.95,
    high=-0.87,
    p=0.0001,
    p_adjusted=0.0003,
    tolerance=0.5,
    least=0.68,
    needed=925,
    verdict="regressed",
    within=False,
    worst=(WorstPrompt("117", 61.2, 20.0),),
)
FAILED = Comparison(
    "base", "new", (ROW,), (), ("a note",), Rules(), RowTestMethod(), {"rougeL": Tolerance(0.5)}
)


def changed(**fields: object) -> Comparison:
    return replace(FAILED, rows=(replace(ROW, **fields),))


def test_the_text_on_the_terminal() -> None:
    assert terminal(FAILED).splitlines() == [
        "new against base",
        "",
        "  task   metric  prompts   base    new  change   95 % interval       p  allowed  sees"
        "  needs  verdict",
        "  dolly  rougeL      500  23.41  22.00   -1.41  [-1.95, -0.87]  <0.001     0.50  0.68"
        "         regressed",
        "",
        "generalises to: these checkpoints and other prompts, not to other trainings of their "
        "recipes",
        "tolerance rougeL:0.5; alpha 0.05",
        "p: two-sided, over prompts (seeds averaged); the larger one of a sign-flip test and a "
        "test that allows for skew, Holm's correction over 1 row",
        "interval: changes that neither test rejects, for each row alone",
        "sees: smallest change detected with 80 % power (at Holm's strictest level); needs: "
        "prompts required to detect a change as large as the tolerance",
        "largest losses: dolly 117: 61.20 → 20.00 (-41.20)",
        "note: a note",
        "FAIL: 1 of 1 rows fail: 1 regressed",
    ]
    assert coloured(FAILED).plain == terminal(FAILED)
    assert {str(span.style) for span in coloured(FAILED).spans} == {"bold red"}


def test_an_inconclusive_row_shows_what_it_needs_and_no_zero_is_negative() -> None:
    text = terminal(changed(verdict="inconclusive", change=-0.001, low=None, high=None))
    assert "+0.00        [−∞, ∞]" in text
    assert re.search(r"0\.68    925  inconclusive", text)


def test_a_comment_is_found_by_its_marker() -> None:
    text = markdown(FAILED, "main gate --> x")
    assert text.startswith("<!-- kdbench regress: main-gate-x -->\n### kdbench: FAIL: 1 of 1 rows")
    assert "| dolly | rougeL | 500 | 23.41 | 22.00 |" in text
    assert "**regressed** |" in text
    assert marker("a") != marker("b")
    assert "--" not in marker("a-->b---c")[4:-3]


EVIL = "</details>\n| x | <script>alert(1)</script> `code` **b** <!-- kdbench regress: x --> @all"


def test_responses_and_names_are_escaped() -> None:
    evidence = Evidence(
        1, EVIL, f"not {EVIL}", 60.0, 10.0, (ScoresOfSeed(1, 60.0, 10.0),), 2, EVIL, EVIL, (EVIL,)
    )
    evil = replace(ROW, task=EVIL, worst=(WorstPrompt(EVIL, 61.2, 20.0, evidence),))
    comparison = replace(FAILED, base=EVIL, new=EVIL, rows=(evil,), notes=(EVIL,))
    text = markdown(comparison, "gate")
    assert text.count("<details>") == text.count("</details>") == 3
    assert "<script>" not in text
    assert text.count("<!--") == 1
    assert r"\| x \|" in text
    ET.fromstring(junit(replace(comparison, new="\x00\x1b[31m" + EVIL)))


@pytest.mark.parametrize("letters", ["x", "𝕏", "*"])
@pytest.mark.parametrize("rows", [1, 600, 10_000])
def test_a_comment_is_never_too_long(letters: str, rows: int) -> None:
    long = letters * 3000
    evidence = Evidence(
        1,
        long,
        f"not {long}",
        60.0,
        10.0,
        (ScoresOfSeed(1, 60.0, 10.0),) * 50,
        60,
        long,
        long,
        (long,),
    )
    row = replace(ROW, task=long, metric=long, worst=(WorstPrompt(long, 61.2, 20.0, evidence),))
    fine = replace(row, verdict="inconclusive")
    comparison = replace(
        FAILED,
        base=long,
        new=long,
        rows=(*[fine] * (rows - 1), row),
        notes=(long,) * rows,
        problems=(),
    )
    text = markdown(comparison, long)
    assert len(text.encode()) < LIMIT
    assert text.count("<details>") == text.count("</details>") == 3
    assert "**regressed**" in text  # failing rows go first where not all fit
    if rows == 10_000:
        assert re.search(r"\d+ of 10000 rows are not shown; the JSON file has all of them\.", text)
    problems = replace(comparison, rows=(), problems=(Problem(2, long),) * rows)
    assert len(markdown(problems, long).encode()) < LIMIT


def test_junit_has_a_test_for_each_row() -> None:
    rows = (
        ROW,
        replace(ROW, task="vicuna", verdict="inconclusive"),
        replace(ROW, task="AVG", verdict="unchanged", within=True),
    )
    whole = ET.fromstring(junit(replace(FAILED, rows=rows)))[0]
    scope = whole.find("properties/property[@name='generalises to']")
    assert scope is not None
    assert str(scope.get("value")).startswith("these checkpoints and other prompts")
    suite = whole.findall("testcase")
    assert [whole.get(key) for key in ("tests", "failures", "errors", "skipped")] == [
        "3",
        "1",
        "0",
        "1",
    ]
    assert [(case.get("classname"), case.get("name")) for case in suite] == [
        ("kdbench.regress", f"{task} rougeL") for task in ("dolly", "vicuna", "AVG")
    ]
    failure = suite[0].find("failure")
    assert failure is not None
    assert failure.text == (
        "task dolly, metric rougeL, prompts 500, base 23.41, new 22.00, change -1.41, "
        "95 % interval [-1.95, -0.87], p <0.001, allowed 0.50, sees 0.68, verdict regressed"
    )
    assert suite[1].find("skipped") is not None
    problem = replace(FAILED, rows=(), problems=(Problem(2, "seeds differ", "dolly"),))
    suite = ET.fromstring(junit(problem))[0]
    assert suite.get("errors") == "1"
    error = suite[0].find("error")
    assert error is not None
    assert (suite[0].get("name"), error.get("message")) == ("dolly", "seeds differ")


def test_require_conclusive_makes_an_inconclusive_row_a_failure() -> None:
    row = replace(ROW, verdict="inconclusive")
    strict = replace(FAILED, rows=(row,), rules=Rules(require_conclusive=True))
    assert 'failures="1" errors="0" skipped="0"' in junit(strict)


def files(settings: dict[str, object], folder: Path) -> dict[str, bytes]:
    names = {"markdown": "c.md", "junit": "j.xml", "json": "n.json"}
    kdbench.compare(**settings, **{key: folder / name for key, name in names.items()})
    return {name: (folder / name).read_bytes() for name in names.values()}


def test_equal_inputs_give_equal_bytes(put: Put, tmp_path: Path) -> None:
    scores = {"dolly": {"rougeL": noisy(60, 30, 1)}, "vicuna": {"rougeL": noisy(30, 30, 2)}}
    put("a", scores, texts="old *words*")
    put("b", {t: {"rougeL": m["rougeL"] - 1} for t, m in scores.items()}, texts="new\n<b>words")
    settings = {"base": "a", "new": "b", "results": tmp_path / "results"}
    first, second = files(settings, tmp_path / "1"), files(settings, tmp_path / "2")
    assert first == second
    comment = first["c.md"].decode()
    assert (
        "  - base, seed 10: <del>old \\*</del>words<del>\\*</del>\n"
        "  - new, seed 10: <ins>new &lt;b&gt;</ins>words\n"
    ) in comment
    content = json.loads(first["n.json"])
    assert content["decision"]["exit_code"] == 1
    assert set(content["rows"]) == {"dolly:rougeL", "vicuna:rougeL", "AVG:rougeL"}
    assert content["rows"]["dolly:rougeL"]["change"] == -1
    assert not re.search(rb"20\d\d-\d\d", b"".join(first.values()))  # no date


def test_a_refusal_is_in_the_files_too(put: Put, tmp_path: Path) -> None:
    put("a", {"dolly": {"rougeL": np.zeros((9, 2))}})
    with pytest.raises(InputError, match="new=b"):
        kdbench.compare(base="a", new="b", results=tmp_path / "results", junit=tmp_path / "j.xml")
    assert 'errors="1"' in (tmp_path / "j.xml").read_text()


def test_a_comment_mentions_nobody_and_links_nowhere() -> None:
    note = "@octocat and @org/team, see https://evil.example, www.evil.example, GH-3 \x1b[31m\u202e"
    text = markdown(replace(FAILED, new="@octocat", notes=(note,)), "main")
    assert not re.search(r"(?<![\w/])@\w|https?:/|www\.|GH-\d", text)
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert "top1@student" in markdown(changed(metric="top1@student"), "main")


def test_a_json_output_alone_is_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_verb(lambda: FAILED, lambda problem: FAILED, [None, Path("-")])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("new against base")


UNDECIDED = changed(verdict="inconclusive", low=-1.2, high=0.4, least=2.36, needed=2224, n=100)
SHORTFALL = "dolly rougeL sees a loss of 2.36 with 100 prompts, allows 0.50, needs 2224 prompts"


def test_an_undecided_gate_says_so_in_every_output() -> None:
    assert UNDECIDED.exit_code == 0
    texts = {
        "terminal": terminal(UNDECIDED),
        "markdown": markdown(UNDECIDED, "g"),
        "junit": junit(UNDECIDED),
        "json": json.dumps(numbers(UNDECIDED)),
    }
    for text in texts.values():
        assert "PASS" not in text
        assert SHORTFALL in text
    last = f"NOT DECIDED (passes): 1 of 1 rows (1 inconclusive): {SHORTFALL}"
    assert texts["terminal"].splitlines()[-2:] == ["note: a note", last]
    assert texts["terminal"].count(SHORTFALL) == 1
    assert f"### kdbench: {last}\n" in texts["markdown"]
    assert f"\n- not decided (passes): {SHORTFALL}\n" in texts["markdown"]
    skipped = ET.fromstring(texts["junit"]).find(".//skipped")
    assert skipped is not None
    assert skipped.get("message") == f"not decided (passes): {SHORTFALL}"
    decision = numbers(UNDECIDED)["decision"]
    assert (decision["word"], decision["exit_code"]) == ("NOT DECIDED", 0)
    assert decision["not_decided"] == [
        {"row": "dolly:rougeL", "allowed": 0.5, "sees": 2.36, "prompts": 100, "needs": 2224}
    ]
    assert {str(span.style) for span in coloured(UNDECIDED).spans} == {"magenta", "bold magenta"}


def test_sentences_end_where_the_terminal_does_but_the_last_line_is_one() -> None:
    *lines, last = terminal(replace(UNDECIDED, notes=("a long note " * 9,)), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert last.endswith(SHORTFALL)
    assert any(len(line) > 80 for line in terminal(UNDECIDED).splitlines()[:-1])


def test_rows_that_the_last_line_leaves_out_have_lines_of_their_own() -> None:
    (row,) = UNDECIDED.rows
    four = replace(UNDECIDED, rows=tuple(replace(row, task=f"task{n}") for n in range(4)))
    lines = terminal(four).splitlines()
    assert [line.split()[3] for line in lines if line.startswith("not decided")] == [
        "task0", "task1", "task2", "task3",
    ]  # fmt: skip
    assert lines[-1].endswith("; and 1 more")


def test_an_undecided_row_fails_with_require_conclusive_and_says_why() -> None:
    strict = replace(UNDECIDED, rules=Rules(require_conclusive=True))
    assert f"not decided (fails): {SHORTFALL}\nFAIL: 1 of 1 rows" in terminal(
        replace(strict, notes=())
    )
    failure = ET.fromstring(junit(strict)).find(".//failure")
    assert failure is not None
    assert failure.get("message") == f"inconclusive; not decided (fails): {SHORTFALL}"


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"needed": None, "tolerance": 0.0}, "allows 0.00, needs a tolerance above 0"),
        (
            {"needed": None, "least": None, "n": 1},
            "sees no loss with 1 prompt, allows 0.50, needs more prompts",
        ),
        ({"needed": 64, "change": -0.3}, "allows 0.50, changed by -0.30: too close to decide"),
    ],
)
def test_what_an_undecided_row_needs(fields: dict[str, object], wanted: str) -> None:
    (row,) = changed(**{"verdict": "inconclusive", "n": 100, **fields}).rows
    assert row.shortfall.endswith(wanted)


def test_a_worse_row_that_may_be_beyond_its_tolerance_is_undecided_too() -> None:
    text = terminal(changed(verdict="worse"))
    assert "NOT DECIDED (passes): 1 of 1 rows (1 worse): dolly rougeL sees" in text
    assert "PASS: 1 row: 1 worse" in terminal(changed(verdict="worse", within=True))


def test_changed_words_are_coloured_or_else_marked() -> None:
    evidence = Evidence(1, "it is [-red-] now", "it is [-blue-] now", 60.0, 10.0)
    comparison = changed(worst=(WorstPrompt("7", 61.2, 20.0, evidence),))
    assert "base, seed 1: it is [-[-red-]-] now\n" in terminal(comparison)
    text = coloured(comparison)
    assert "base, seed 1: it is [-red-] now\n" in text.plain
    painted = {text.plain[s.start : s.end]: str(s.style) for s in text.spans}
    assert painted["red"] == "red strike"
    assert painted["blue"] == "green underline"
    assert "it is \\[-<del>red</del>-\\] now" in markdown(comparison, "g")


def test_without_colours_a_terminal_gets_the_marks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = Evidence(1, "it is red now", "it is blue now", 60.0, 10.0)
    comparison = changed(worst=(WorstPrompt("7", 61.2, 20.0, evidence),))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color, marked in (("", False), ("1", True)):
        monkeypatch.setenv("NO_COLOR", no_color)
        run_verb(lambda: comparison, lambda problem: comparison)
        out = capsys.readouterr().out
        assert ("[-red-]" in out) == marked
        assert ("\x1b[" in out) != marked
