"""Text for people, or one JSON document: where each goes, and what it holds."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdbench.cli.answer import VerbAnswer, give, json_document, with_json
from kdbench.cli.verbs import app

RESULTS = Path(__file__).parents[2] / "results" / "smollm2-135m-h100"


def document(*words: str) -> dict:
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout, parse_constant=pytest.fail)


def test_the_document_of_a_table_has_its_cells() -> None:
    keys = [f"results={RESULTS}", "tasks=dolly", "columns=rougeL,acceptance"]
    content = document("table", *keys)
    assert (content["schema"], content["verb"], content["exit_code"]) == (1, "table", 0)
    assert {cell["metric"] for cell in content["cells"]} == {"rougeL", "acceptance@student"}
    gkd = [cell for cell in content["cells"] if cell["row"] == "GKD"]
    assert gkd[1]["value"] == pytest.approx(0.613, abs=0.05)
    assert document("table", *keys, "--dry-run")["sections"][0]["title"].startswith("kdbench table")


@pytest.mark.parametrize("verb", ["tasks", "metrics", "methods", "backends", "protocols"])
def test_lists_are_documents_too(verb: str) -> None:
    entries = document(verb)["entries"]
    assert len({entry["name"] for entry in entries}) == len(entries) > 1


def test_a_verb_with_a_json_key_gets_standard_output_as_its_file() -> None:
    runs = [str(next((RESULTS / name).glob("minillm*"))) for name in ("SFT", "GKD")]
    content = document("compare", *runs, "tasks=dolly")
    assert content["decision"]["word"]
    assert document("compare", *runs, "tasks=dolly", "--dry-run")["dry_run"] is True


def test_an_error_is_one_line_on_stderr_and_no_document(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["table", f"results={tmp_path}", "sort=x", "--json"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_what_is_printed_beside_the_document_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def verb(words: list[str]) -> VerbAnswer:
        print("a library's line")  # noqa: T201
        return VerbAnswer(lambda: print("text"), lambda: {"words": words}, 3, ["w"])  # noqa: T201

    assert with_json(verb, "verb", None)(["a=1", "--json", "--", "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "schema": 1,
        "verb": "verb",
        "exit_code": 3,
        "words": ["a=1", "--", "--json"],
        "warnings": ["w"],
    }
    assert captured.err == "a library's line\n"


def test_a_verb_that_only_prints_gets_a_document_of_its_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_json(lambda _: print("one\ntwo"), "verb", None)(["--json"])  # noqa: T201
    assert json.loads(capsys.readouterr().out)["lines"] == ["one", "two"]


def test_no_number_is_written_that_json_has_not() -> None:
    text = json_document({"a": float("nan"), "b": [float("inf"), 1.5], "path": Path("x")})
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "path": "x"}


def test_warnings_go_to_stderr_and_the_next_command_only_to_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = VerbAnswer(lambda: None, dict, 0, ["all empty"], "kdbench table")
    give(answer)
    assert capsys.readouterr() == ("", "warning: all empty\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    give(answer)
    assert capsys.readouterr().out == "next: kdbench table\n"
