"""Settings: every key of every verb, with its type, default and description.

`key=value` words, files and keyword arguments become these types (`words`); a wrong key or value is
a one-line error that names it.
"""

from kdbench.config.building import build, parse, read_yaml, with_files
from kdbench.config.cache import CacheSettings
from kdbench.config.draw import ReportSettings, ServingKeys, TableSettings, ViewSettings
from kdbench.config.fill import DemoSettings, FillSettings, MechanismSettings
from kdbench.config.frontier import FrontierSettings
from kdbench.config.kinds import (
    CACHE,
    FIVE,
    AtLeastOne,
    DryRunKeys,
    Names,
    OptionMap,
    Seeds,
    Settings,
    fields_by_key,
    given_facts,
    given_keys,
    key_groups,
)
from kdbench.config.measure import EvalSettings, TeacherKeys
from kdbench.config.score import ScoreSettings
from kdbench.config.served_teacher import ServedTeacherKeys, addresses_of, is_on_server
from kdbench.config.speed import SpeedSettings
from kdbench.config.train import TrainSettings, is_file_of_rows
from kdbench.config.train_prompts import TrainFormat, TrainTurns
from kdbench.config.words import as_words, read_words

__all__ = [
    "CACHE",
    "FIVE",
    "AtLeastOne",
    "CacheSettings",
    "DemoSettings",
    "DryRunKeys",
    "EvalSettings",
    "FillSettings",
    "FrontierSettings",
    "MechanismSettings",
    "Names",
    "OptionMap",
    "ReportSettings",
    "ScoreSettings",
    "Seeds",
    "ServedTeacherKeys",
    "ServingKeys",
    "Settings",
    "SpeedSettings",
    "TableSettings",
    "TeacherKeys",
    "TrainFormat",
    "TrainSettings",
    "TrainTurns",
    "ViewSettings",
    "addresses_of",
    "as_words",
    "build",
    "fields_by_key",
    "given_facts",
    "given_keys",
    "is_file_of_rows",
    "is_on_server",
    "key_groups",
    "parse",
    "read_words",
    "read_yaml",
    "with_files",
]
