"""The forms of a conclusion, with numbers whose texts are worked by hand."""

from made_conclusions import conclusion

from kdbench.reports.conclusion_figure import draw_conclusion
from kdbench.reports.conclusions import markdown, quantity_texts, terminal_lines
from kdbench.store.conclusions import ConclusionColumn, Quantity


def test_the_terminal_shows_question_table_answer_and_notes():
    text = "\n".join(terminal_lines(conclusion(), None))
    assert text.startswith("Example: Is it <b>so</b>?\n\nNumbers\n")
    assert "0.250 [0.125, 0.375]" in text
    assert text.index("Numbers") < text.index("It is not.") < text.index("Read it well.")


def test_a_narrow_terminal_says_that_it_leaves_intervals_out():
    lines = list(terminal_lines(conclusion(), 40))
    assert all(len(line) <= 40 for line in lines)
    assert "[0.125" not in "\n".join(lines)
    assert "no room for the 95 % intervals" in " ".join(lines)


def test_markdown_escapes_names_and_shows_both_pictures():
    text = markdown(conclusion(), ["a.svg", "a-dark.svg"])
    assert "Is it &lt;b&gt;so&lt;/b&gt;?" in text
    assert 'srcset="a-dark.svg"><img alt="Example" src="a.svg">' in text
    assert "| row | KL (nats) | difference (nats) |\n| :-- | --: | --: |\n" in text
    assert "| first | 0.250 [0.125, 0.375] |  |\n" in text
    assert "Asked by: Nobody 2026 (written from: paper). Settings: `train_seeds=3`\n" in text


def test_a_difference_has_the_decimals_that_show_its_side_of_zero():
    column = ConclusionColumn(title="d", decimals=2, signed=True)
    cell = Quantity(value=-0.004, low=-0.007, high=-0.001, p=0.0123)
    assert quantity_texts(cell, column) == ("-0.004", "[-0.007, -0.001]", "p 0.012")
    assert quantity_texts(Quantity(value=0.3), column) == ("+0.30", "", "")
    assert quantity_texts(Quantity(value=0.3, p=1e-9), column)[2] == "p < 0.0001"
    assert quantity_texts(Quantity(value=0.3, p=0.0), column)[2] == "p < 0.0001"
    assert quantity_texts(Quantity(value=0.3, p=1.0), column)[2] == "p 1.00"


def test_equal_conclusions_have_equal_pictures_and_themes_differ():
    light = draw_conclusion(conclusion(), "light").svg
    assert draw_conclusion(conclusion(), "light").svg == light
    assert draw_conclusion(conclusion(), "dark").svg != light
    assert b"KL (nats)" in light
