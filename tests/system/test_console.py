"""Colour and bold: where they are, and where they switch off by themselves."""

import io

import pytest
from rich.text import Text

from kdbench.system.console import styled, takes_styles

NAMES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM")


class Stream(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "environment", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),  # an empty value is none, says no-color.org
        (True, {"TERM": "dumb"}, False),
        (True, {"CLICOLOR": "0"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"CLICOLOR_FORCE": "1"}, True),
        (False, {"CLICOLOR_FORCE": "0"}, False),
        (True, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": "1", "TERM": "dumb"}, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_styles_switch_off_by_themselves(is_terminal, environment, expected, monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    stream = Stream(is_terminal)
    assert takes_styles(stream) is expected
    assert ("\x1b[1m" in styled("word", "bold", stream)) is expected
    line = Text("a best b")
    line.stylize("bold", 2, 6)
    assert styled(line, "", stream).replace("\x1b[1m", "").replace("\x1b[0m", "") == "a best b"


def test_a_styled_line_has_no_other_escapes(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = styled("\x1b[31mevil\u202e [red]x[/red] :smile: 1.5", "bold", Stream(False))
    assert shown == "\x1b[1m[31mevil [red]x[/red] :smile: 1.5\x1b[0m"
