"""Tables fit a width: less and less is shown, and a cell always stays on one line."""

from rich.cells import cell_len

from kdbench.system.layout import NumberCell, fit, left_out_note, output_width, wrapped


def number(value, mark=""):
    errors = (("interval", "[1.00, 2.00]"), ("deviation", "± 0.10"))
    return NumberCell(value, errors, mark)


ROWS = [
    ["", "kind", "one", "two", "three"],
    "a title",
    ["first", "measured", number("1.50", "*"), number("2.50"), "7"],
    ["second", "measured", number("10.50"), "", "8"],
]


def lines(width, **keys):
    return [line.plain for line in fit(ROWS, (0, 1), width, fixed=2, **keys).lines]


def test_a_table_that_fits_is_whole():
    whole = [
        "        kind                              one                       two  three",
        "a title",
        "first   measured  1.50 [1.00, 2.00] ± 0.10*  2.50 [1.00, 2.00] ± 0.10      7",
        "second  measured  10.50 [1.00, 2.00] ± 0.10                                8",
    ]
    widest = max(map(len, lines(None)))
    assert [line.split() for line in lines(None)] == [line.split() for line in whole]
    assert lines(None) == lines(widest)
    assert fit(ROWS, (0, 1), widest - 1).dropped == ("interval",)


def test_intervals_go_before_deviations_and_then_columns_move_into_blocks():
    assert fit(ROWS, (0, 1), 60, fixed=2).dropped == ("interval",)
    assert "1.50 ± 0.10*" in lines(60)[2]
    assert fit(ROWS, (0, 1), 42, fixed=2).dropped == ("interval", "deviation")
    assert lines(42)[2] == "first   measured  1.50*  2.50      7"
    fitted = fit(ROWS, (0, 1), 26, fixed=2)
    assert (fitted.dropped, fitted.blocks) == (("interval", "deviation"), 3)
    assert [line.plain for line in fitted.lines] == [
        *("        kind        one", "a title"),
        *("first   measured  1.50*", "second  measured  10.50", ""),
        *("        kind       two", "a title"),
        *("first   measured  2.50", "second  measured", ""),
        *("        kind      three", "a title"),
        *("first   measured      7", "second  measured      8"),
    ]


def test_a_spare_column_goes_first_and_wanted_errors_stay():
    whole = max(map(len, lines(None)))
    assert "measured" not in "".join(lines(whole - 1, spare=(1,)))
    assert fit(ROWS, (0, 1), whole - 1, fixed=2, spare=(1,)).dropped == ()
    kept = fit(ROWS, (0, 1), 50, fixed=2, spare=(1,), keep_errors=True)
    assert (kept.dropped, kept.blocks) == ((), 2)
    assert "[1.00, 2.00] ± 0.10" in kept.lines[2].plain


def test_no_line_is_wider_than_the_terminal():
    rows = [
        ["", "", "b" * 12, "c"],
        ["模型" * 40, "kind", "1", "2"],
        ["e\u0301" * 90, "k", "3", "4"],
    ]
    for fixed in (1, 2):
        for width in range(30, 130):
            fitted = fit(rows, (0, 1), width, fixed=fixed)
            assert all(cell_len(line.plain) <= width for line in fitted.lines), (fixed, width)


def test_wide_and_combining_characters_align():
    rows = [["", "n"], ["学生", "1"], ["e\u0301t", "22"]]
    assert [line.plain for line in fit(rows, (0,), None).lines] == [
        "       n",
        "学生   1",
        "e\u0301t    22",
    ]


def test_a_label_that_is_too_long_loses_its_middle():
    rows = [["", "n"], [f"model-{'x' * 80}-end", "1"]]
    shown = fit(rows, (0,), 40).lines[1].plain
    assert shown.startswith("model-xx")
    assert "…" in shown
    assert "-end" in shown


def test_the_width_is_set_or_of_a_terminal(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert output_width() is None  # a pipe or a file gets the whole table
    monkeypatch.setenv("COLUMNS", "72")
    assert output_width() == 72
    monkeypatch.setenv("LINES", "24")  # both are what readline exports
    assert output_width() is None
    monkeypatch.delenv("LINES")
    for nonsense in ("0", "-4", "wide", ""):
        monkeypatch.setenv("COLUMNS", nonsense)
        assert output_width() is None


def test_what_was_left_out_is_one_line():
    assert left_out_note((), "a pipe") is None
    assert (
        left_out_note(("interval",), "a pipe") == "no room for 95 % intervals: see them with a pipe"
    )


def test_words_stay_whole_where_a_path_is_to_be_copied():
    text = f"see /{'long/' * 20}end there"
    assert max(map(len, wrapped(text, 40))) == 40
    assert f"/{'long/' * 20}end" in wrapped(text, 40, whole_words=True)
