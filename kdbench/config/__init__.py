"""Settings: every key of every verb, its default and its unit.

`key=value` words, files and keyword arguments become these types (`words`); a wrong key or value is
one line that names it.
"""

from kdbench.config.draw import ReportSettings, TableSettings
from kdbench.config.fill import DemoSettings, FillSettings
from kdbench.config.kinds import (
    CACHE,
    FIVE,
    AtLeastOne,
    Names,
    Options,
    Seeds,
    Settings,
    fields_by_key,
)
from kdbench.config.measure import EvalSettings, MeasureSettings, ProtocolSettings, ScoreSettings
from kdbench.config.train import TrainSettings
from kdbench.config.words import build, parse, read_words, read_yaml, with_files

__all__ = [
    "CACHE",
    "FIVE",
    "AtLeastOne",
    "DemoSettings",
    "EvalSettings",
    "FillSettings",
    "MeasureSettings",
    "Names",
    "Options",
    "ProtocolSettings",
    "ReportSettings",
    "ScoreSettings",
    "Seeds",
    "Settings",
    "TableSettings",
    "TrainSettings",
    "build",
    "fields_by_key",
    "parse",
    "read_words",
    "read_yaml",
    "with_files",
]
