"""Tables in cells of a notebook."""

from xml.etree import ElementTree as ET

import pytest

from kdbench.system.notebook import html_table

HOSTILE = "<b onclick='x'>&\u202e\x1b[31m\x00"


def test_texts_are_escaped_everywhere():
    html = html_table([HOSTILE], [[HOSTILE]], caption=HOSTILE, notes=[HOSTILE])
    assert "<b" not in html
    assert not {"\u202e", "\x1b", "\x00"} & set(html)
    assert html.count("&lt;b onclick=&#x27;x&#x27;&gt;&amp;[31m") == 4


@pytest.mark.parametrize(("rows", "hidden"), [(0, 0), (1, 0), (15, 0), (16, 4), (40, 28)])
def test_a_long_table_is_folded(rows, hidden):
    html = html_table(["a", "b"], [[str(n), "x"] for n in range(rows)])
    assert html.count("<td") == 2 * rows
    assert (f"<summary>{hidden} more rows</summary>" in html) == (hidden > 0)
    root = ET.fromstring(html)  # every element is closed
    tables = root.findall(".//table")
    assert len(tables) == 1 + (hidden > 0)
    assert all(head.get("scope") == "col" for head in root.findall(".//th"))
    assert len(root.findall("./details//tbody/tr")) == hidden
