"""Speeds as a data frame."""

from made_speeds import record

from kdbench.store.speed_frame import speeds_frame, speeds_html


def test_a_speed_is_a_row_with_the_numbers_of_its_file():
    frame = speeds_frame([record("a", 100.0, 1), record("<b>", 250.0, 8)])
    assert frame.model.tolist() == ["a", "<b>"]
    assert frame.concurrency.tolist() == [1, 8]
    assert frame.tokens_per_second.tolist() == [100.0, 250.0]
    assert frame.tokens_per_second_high.tolist() == [1.1 * 100.0, 1.1 * 250.0]
    assert frame.latency_p95_low.tolist() == [2.0, 2.0]
    assert frame.new_tokens.tolist() == [128, 128]
    assert frame.measured_new_tokens.tolist() == [128.0, 128.0]
    assert [str(day.date()) for day in frame.day] == ["2026-01-01"] * 2


def test_a_notebook_shows_speeds_as_a_table():
    html = speeds_html([record("<b>", 250.0, 8)])
    assert '<td class="left">&lt;b&gt;</td>' in html
    assert "<td>250.0</td>" in html
