"""`kdbench published`: the settings, and how far papers disagree on a method."""

import json

import pytest

from kdbench.cli.verbs import app


def run(capsys, *words):
    with pytest.raises(SystemExit) as end:
        app(["published", *words])
    return end.value.code, capsys.readouterr()


def test_the_settings_are_listed_with_their_rows_and_sources(capsys):
    code, printed = run(capsys)
    assert code == 0
    line = next(
        line for line in printed.out.splitlines() if "LLaMA-2 7B → Sheared-LLaMA 2.7B" in line
    )
    assert line.split()[:5] == ["llama2-7b-to-sheared-llama-2.7b", "8", "rows", "1", "source"]


def test_a_method_is_shown_with_its_ranges(capsys):
    code, printed = run(capsys, "gkd", "--json")
    entries = json.loads(printed.out)["entries"]
    (found,) = (
        entry
        for entry in entries
        if (entry["setting"], entry["task"]) == ("gpt2-xl-to-gpt2-base", "unnatural")
    )
    assert (code, min(found["scores"]), max(found["scores"]), found["range"]) == (
        0, 22.28, 27.70, 5.42,
    )  # fmt: skip
    assert len(found["sources"]) == 4


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("GKDD",), "'GKDD': no such published method"),
        (("GKD", "SFT"), "'SFT': give one method"),
    ],
)
def test_a_wrong_word_is_refused(capsys, words, text):
    code, printed = run(capsys, *words)
    assert code == 2
    assert text in printed.err
    assert printed.err.count("\n") == 1
