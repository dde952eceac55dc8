"""Timings on disk."""

import json

import pytest
from made_timings import row, step, training

from kdbench.errors import InputError
from kdbench.store.timings import TIMINGS, read_timings, write_timings


def test_timings_are_read_as_they_were_written(tmp_path):
    assert read_timings(tmp_path) == {}
    rows = {"B": row("k", training([step(1.5)])), "A": row("k", training([step(0.25)], [step(1)]))}
    write_timings(tmp_path, rows)
    assert read_timings(tmp_path) == rows
    first = (tmp_path / TIMINGS).read_bytes()
    write_timings(tmp_path, dict(reversed(rows.items())))
    assert (tmp_path / TIMINGS).read_bytes() == first
    assert rows["A"].training.timed_steps == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [({"schema": 2}, "'schema': "), ({"rows": {"A": {}}}, "'rows.A"), ({"x": 1}, "'x': ")],
)
def test_a_damaged_file_is_a_line_with_its_place(change, message, tmp_path):
    write_timings(tmp_path, {"A": row("k", training([step(1)]))})
    file = tmp_path / TIMINGS
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(InputError, match=message) as fault:
        read_timings(tmp_path)
    assert str(fault.value).startswith(f"{file}: damaged: ")
    assert str(fault.value).endswith("; restore it, or delete it to time all rows again")


def test_what_cannot_be_read_has_a_way_out(tmp_path):
    (tmp_path / TIMINGS).mkdir()
    with pytest.raises(InputError, match=r"cannot be read: Is a directory; restore it, or delete"):
        read_timings(tmp_path)
