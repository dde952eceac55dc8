"""The numbers of a report as data frames."""

from typing import TYPE_CHECKING

from kdbench.errors import InputError, nearest
from kdbench.reports import rows
from kdbench.reports.model import Findings
from kdbench.system.frames import frame_of_values

if TYPE_CHECKING:
    import pandas as pd

_TABLES = {
    "gain": rows.gain_rows,
    "band": rows.band_rows,
    "cells": rows.cell_rows,
    "by_token": rows.curve_rows,
    "exposure": rows.exposure_rows,
}


def report_frame(findings: Findings | None, name: str = "gain") -> "pd.DataFrame":
    """Return the numbers of a picture, as its CSV file has them, but not rounded.

    Args:
        findings: Numbers of the report; None if no student was compared with a teacher.
        name: `gain`, `band`, `cells`, `by_token` or `exposure`.

    Raises:
        InputError: There is no such picture, or it has no rows in this report.
    """
    if name not in _TABLES:
        raise InputError(f"name={name}: {nearest(name, _TABLES)}")
    found = _TABLES[name](findings) if findings is not None else []
    if not found:
        raise InputError(f"name={name}: this report has no such numbers")
    return frame_of_values(found)
