"""`kdbench --help` and `kdbench VERB --help`: whole, in groups, within the width."""

import re

import pytest
from pydantic import Field
from typer.testing import CliRunner

from kdbench.cli.help import VerbHelp, help_lines
from kdbench.cli.verbs import app
from kdbench.comparing.settings import CompareSettings, PlanSettings, RegressSettings
from kdbench.config import (
    CacheSettings,
    DemoSettings,
    EvalSettings,
    FillSettings,
    FrontierSettings,
    MechanismSettings,
    ReportSettings,
    ScoreSettings,
    Settings,
    SpeedSettings,
    TableSettings,
    TrainSettings,
    ViewSettings,
    build,
    fields_by_key,
    given_keys,
    key_groups,
)
from kdbench.config.kld import KldSettings
from kdbench.config.look import LsSettings, ShowSettings
from kdbench.config.pack import PackSettings
from kdbench.doctor.settings import DoctorSettings
from kdbench.exchange.settings import DataSettings
from kdbench.judging.settings import JudgeSettings
from kdbench.methods import Method, methods
from kdbench.version import __version__

SETTINGS = {
    "eval": EvalSettings,
    "score": ScoreSettings,
    "judge": JudgeSettings,
    "train": TrainSettings,
    "table": TableSettings,
    "compare": CompareSettings,
    "regress": RegressSettings,
    "plan": PlanSettings,
    "report": ReportSettings,
    "view": ViewSettings,
    "fill": FillSettings,
    "pack": PackSettings,
    "mechanisms": MechanismSettings,
    "frontier": FrontierSettings,
    "demo": DemoSettings,
    "doctor": DoctorSettings,
    "cache": CacheSettings,
    "speed": SpeedSettings,
    "kld": KldSettings,
    "ls": LsSettings,
    "show": ShowSettings,
    "data": DataSettings,
}


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return str(result.output)


def test_every_summary_is_whole_on_80_columns() -> None:
    text = printed("--help")
    assert max(map(len, text.splitlines())) <= 80
    for command in app.registered_commands:
        assert command.help
        assert len(command.help) <= 62
        assert command.help.endswith(".")
        assert re.search(rf"^  {command.name} +{re.escape(command.help)}$", text, re.M)


@pytest.mark.parametrize("verb", SETTINGS)
def test_every_key_is_listed_once_within_80_columns(verb: str) -> None:
    lines = printed(verb, "--help").splitlines()
    assert max(map(len, lines)) <= 80
    listed = re.findall(r"^  (?:--)?([\w-]+)(?:=| |$)", "\n".join(lines), re.M)
    keys = [name.replace("-", "_") for name in listed if name != "kdbench"]
    assert sorted(keys) == sorted({*fields_by_key(SETTINGS[verb]), "config", "json"})


def test_the_verbs_stand_under_headings() -> None:
    text = printed("--help")
    assert re.findall(r"^(?! )(\w[\w ]*):$", text, re.M) == [
        *("Options", "Measure", "Make", "Conclude", "Pass on", "Look up"),
    ]
    assert text == printed("-h")
    assert text.splitlines()[1:] == printed("help").splitlines()[1:]
    listed = re.findall(r"^  ([a-z]\w+) ", text.partition("Measure:")[2], re.M)
    assert sorted(listed) == sorted(str(command.name) for command in app.registered_commands)


def test_the_version() -> None:
    assert printed("--version") == printed("-V") == f"kdbench {__version__}\n"


@pytest.mark.parametrize("words", [["eval", "-h"], ["help", "eval"], ["eval", "limit=3", "-h"]])
def test_help_is_asked_for_in_several_ways(words: list[str]) -> None:
    assert printed(*words) == printed("eval", "--help")


def test_an_unknown_verb_is_one_line() -> None:
    for words in (["tabel", "model=m"], ["help", "tabel"]):
        result = CliRunner().invoke(app, words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "kdbench: unknown verb 'tabel': did you mean 'table'?\n"


@pytest.mark.parametrize(
    ("verb", "usage"),
    [
        ("eval", "eval MODEL key=value …"),
        ("compare", "compare BASE NEW key=value …"),
        ("table", "table [RESULTS] key=value …"),
        ("judge", "judge RUN [AGAINST] key=value …"),
        ("metrics", "metrics [NAME] [plugins=FILE]"),
    ],
)
def test_the_usage_names_the_words_without_a_key(verb: str, usage: str) -> None:
    assert printed(verb, "-h").splitlines()[0] == f"kdbench {usage}"


def test_required_keys_and_an_example_come_before_the_groups() -> None:
    text = printed("eval", "--help")
    titles = re.findall(r"^(?! )(\w[\w ]*)$", text, re.M)
    assert titles[:3] == ["Required", "Example", "Model"]
    assert titles[3:7] == ["Teacher", "Teacher on a server", "Data", "Protocol"]
    assert titles[7:] == ["Metrics", "Judge", "Output", "Backend", "Processes", "Advanced"]


def test_a_description_has_its_choices_its_default_and_a_hanging_indent() -> None:
    text = printed("train", "--help")
    assert "  learning_rate=            Peak learning rate of AdamW (default 0.0001)\n" in text
    assert "[cosine|linear|constant|wsd] (default cosine)\n" in text
    assert "  --gradient-checkpointing  " in text
    wide = list(help_lines(VerbHelp("train", "Train.", "TrainSettings", None), [], width=200))
    assert any(line.endswith("[rougeL|loss|last] (default rougeL)") for line in wide)


def test_the_keys_of_a_method_are_added() -> None:
    assert "kdbench train method=NAME --help" in printed("train", "--help")
    text = printed("train", "method=taid", "--help")
    assert "method=taid: " in text
    for key in methods.get("taid").model_fields:
        assert f"\n  {key}=" in text
    assert "method=NAME" not in text


def test_keys_without_a_group_are_options() -> None:
    class Plugin(Method):
        share: float = Field(0.5, description="Share of the loss")

    class Given(Settings, group="Data"):
        rows: int = 1
        title: str = ""

    class Both(Given):
        title: str = "a"  # a class without a group leaves the key in its group
        other: int = 2

    assert key_groups(Plugin) == {"Options": ["share"]}
    assert key_groups(Both) == {"Options": ["other"], "Data": ["rows", "title"]}


def test_a_key_may_be_the_alias_of_a_field() -> None:
    class Files(Settings, group="Output"):
        json_file: str = Field("", alias="json", description="File")

    assert key_groups(Files) == {"Output": ["json"]}
    assert given_keys(build(Files, {"json": "x"})) == ["json"]
    assert list(fields_by_key(Files)) == ["json"]


GATES = ("compare", "regress", "plan")


@pytest.mark.parametrize("verb", [verb for verb in SETTINGS if verb not in GATES])
def test_every_description_is_a_phrase_with_a_capital_and_no_stop(verb: str) -> None:
    for key, field in SETTINGS[verb].model_fields.items():
        assert field.description, key
        assert field.description[0].isupper(), key
        assert not field.description.endswith("."), key
