"""`kdbench pack`: which metrics of a table it keeps, and that `fill` finds its work done in it."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from made_runs import put_run

from kdbench.cli.verbs import _pack
from kdbench.config import EvalSettings, TableSettings
from kdbench.config.pack import PackSettings
from kdbench.errors import InputError
from kdbench.filling.nodes import EvaluateNode
from kdbench.filling.packing import pack
from kdbench.filling.table import _packed_otherwise
from kdbench.store.packs import PACK
from kdbench.store.runs import stored_runs
from kdbench.system.files import SCHEMA, sha256_of_file, write_json
from kdbench.tables import build_table

MORE = {"lm_loss": [0.5, 0.25], "acceptance@student": [0.9, 0.8], "response_length": [3.0, 4.0]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for model in ("GKD", "SFT"):
        run = put_run(folder, model, {"dolly": [1.0, 2.0]}, more=MORE, method=model)
        mark = {
            "run": f"{model}/run-1",
            "tasks": {"dolly": sha256_of_file(run / "dolly.json")},
        }
        write_json(folder / f"filled/{model}-1234.json", {"schema": SCHEMA, **mark})
    return folder


def table(tmp_path: Path, **keys: object) -> Path:
    file = tmp_path / "mine.yaml"
    content = {
        "title": "mine",
        "teacher": "t",
        "student": "s",
        "tasks": ["dolly"],
        "rows": [{"label": "SFT", "train": {"method": "sft"}}],
        "columns": ["dolly", "AVG", "acceptance", "relative_cost"],
        "results": str(tmp_path / "results"),
        **keys,
    }
    file.write_text(yaml.safe_dump(content))
    return file


def node(results: Path, model: str) -> EvaluateNode:
    place = results / f"filled/{model}-1234.json"
    settings = EvalSettings(model="m", results=results)
    return EvaluateNode(model, (), "f", place, settings=settings)


def remove_folders(results: Path) -> None:
    for folder in results.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


def test_a_table_keeps_the_metrics_of_its_columns(results: Path, tmp_path: Path) -> None:
    packed = pack(PackSettings(table=str(table(tmp_path))))
    assert packed.file == results / PACK
    assert packed.metrics == ("acceptance@student", "rougeL")
    assert packed.left_out == ("lm_loss", "response_length")
    assert (packed.runs, packed.marks) == (2, 2)


def test_a_table_keeps_the_metrics_of_its_mechanisms(results: Path, tmp_path: Path) -> None:
    mechanism = {"measure": "dolly:lm_loss", "direction": "down", "idea": "x"}
    rows = [
        {"label": "SFT", "train": {"method": "sft"}},
        {"label": "GKD", "train": {"method": "gkd"}, "against": "SFT", "mechanism": mechanism},
    ]
    file = table(tmp_path, rows=rows, columns=["dolly"])
    assert pack(PackSettings(table=str(file))).metrics == ("lm_loss", "rougeL")
    remove_folders(results)
    first, _ = stored_runs(results)
    assert first.results["dolly"].metrics["lm_loss"].value == 0.375
    assert [*first.results["dolly"].documents] == ["id", "rougeL"]  # a mechanism needs the mean


def test_metrics_can_be_named(results: Path, tmp_path: Path) -> None:
    for names, kept in (
        (("response_length",), ("response_length", "rougeL")),
        (("all",), ("acceptance@student", "lm_loss", "response_length", "rougeL")),
        (("acceptance",), ("acceptance@student", "rougeL")),
    ):
        found = pack(PackSettings(table=str(table(tmp_path)), metrics=names, out=tmp_path / "o"))
        assert found.metrics == kept


def test_a_table_keeps_what_its_pack_had(results: Path, tmp_path: Path) -> None:
    file = str(table(tmp_path))
    pack(PackSettings(table=file, metrics=("lm_loss",)))
    assert pack(PackSettings(table=file)).metrics == ("acceptance@student", "lm_loss", "rougeL")
    remove_folders(results)
    before = (results / PACK).read_bytes()
    assert pack(PackSettings(table=file)).left_out == ("response_length",)
    assert (results / PACK).read_bytes() == before


def test_without_a_table_all_metrics_are_kept(results: Path) -> None:
    assert pack(PackSettings(results=results)).left_out == ()


def test_fill_finds_its_evaluations_done_in_a_pack(results: Path, tmp_path: Path) -> None:
    assert node(results, "SFT").is_done()
    pack(PackSettings(table=str(table(tmp_path))))
    remove_folders(results)
    assert node(results, "SFT").is_done()
    assert node(results, "SFT").run_folder() == "SFT/run-1"
    assert not node(results, "KD").is_done()


def test_a_plan_says_that_evaluations_of_other_settings_are_packed(results: Path) -> None:
    pack(PackSettings(results=results))
    same, other = (SimpleNamespace(place=Path(f"{name}-1234.json")) for name in ("GKD", "KD"))
    graph = SimpleNamespace(evaluations={"GKD": same, "KD": other})
    (line,) = _packed_otherwise(graph, results)
    assert f"packed in {results / PACK}: 1 evaluation with other data" in line
    graph.evaluations["SFT"] = SimpleNamespace(place=Path("SFT-1234.json"))
    assert not [*_packed_otherwise(graph, results)]


def test_a_result_that_was_measured_again_is_not_that_of_the_mark(results: Path) -> None:
    pack(PackSettings(results=results))
    remove_folders(results)
    put_run(results, "SFT", {"dolly": [5.0, 6.0]})
    assert not node(results, "SFT").is_done()
    assert node(results, "GKD").is_done()


def test_a_mark_without_its_run_is_not_packed(results: Path) -> None:
    shutil.rmtree(results / "GKD")
    assert pack(PackSettings(results=results)).marks == 1


def test_the_command_says_what_it_packed(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_run(results, "KD", {"dolly": [1.0]}, status="running")
    answer = _pack([str(table(tmp_path)), f"out={tmp_path / 'o'}"])
    answer.show()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 runs and 2 marks of evaluations packed into ")
    assert lines[1:] == [
        "metrics: acceptance@student, rougeL",
        "left out: lm_loss, response_length",
        "not complete, and left out: KD/run-1",
    ]
    assert answer.document()["file"] == str(tmp_path / "o" / PACK)
    assert not (results / PACK).exists()
    assert len(list(stored_runs(tmp_path / "o"))) == 2


def test_a_table_says_what_its_pack_lacks(results: Path, tmp_path: Path) -> None:
    pack(PackSettings(table=str(table(tmp_path))))
    remove_folders(results)
    shown = build_table(TableSettings(results=results, tasks=["dolly"], columns=["dolly", "ece"]))
    assert not any("made without" in line for line in shown.meanings)
    shown = build_table(
        TableSettings(results=results, tasks=["dolly"], columns=["dolly", "lm_loss"])
    )
    assert shown.meanings[-1] == (
        "packed.jsonl.xz was made without lm_loss, which packed rows therefore lack."
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "results= is missing"),
        ({"results": "nowhere"}, "results=nowhere: no such folder"),
        ({"results": "empty"}, "results=empty: has no runs to pack"),
        ({"results": "results", "metrics": ("rougel",)}, "did you mean 'rougeL'"),
        ({"results": "results", "out": "file"}, "out=file: is a file"),
        ({"table": "toy-al"}, "toy-al"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    keys: dict[str, object],
    message: str,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message):
        pack(PackSettings(**keys))
    assert not (results / PACK).exists()


def test_a_metric_that_the_old_pack_lacks_cannot_be_named(results: Path, tmp_path: Path) -> None:
    pack(PackSettings(results=results, metrics=("acceptance",)))
    assert pack(PackSettings(results=results)).left_out == ()  # all is read from folders again
    pack(PackSettings(results=results, metrics=("acceptance",)))
    remove_folders(results)
    with pytest.raises(InputError, match=r"metrics=lm_loss: .*packed.jsonl.xz was made without it"):
        pack(PackSettings(results=results, metrics=("lm_loss",), out=tmp_path / "o"))
    assert not (tmp_path / "o").exists()
    columns = build_table(TableSettings(results=results, tasks=("dolly",), columns=("dolly",)))
    assert not any("made without" in note for note in columns.meanings)
    with pytest.raises(InputError, match="was made without lm_loss, which packed rows"):
        build_table(TableSettings(results=results, tasks=("dolly",), columns=("lm_loss",)))


def test_a_note_on_packed_rows_needs_one(results: Path) -> None:
    pack(PackSettings(results=results, metrics=("acceptance",)))
    settings = TableSettings(results=results, tasks=("dolly",), columns=("dolly", "lm_loss"))
    assert not any("made without" in note for note in build_table(settings).meanings)


def test_what_only_a_pack_has_is_not_overwritten(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    pack(PackSettings(results=results, out=out))
    pack(PackSettings(results=results, metrics=("lm_loss",), out=out))  # folders have the rest
    pack(PackSettings(results=results))
    remove_folders(results)
    before = (results / PACK).read_bytes()
    lost = "acceptance@student, response_length of GKD/run-1 would be lost"
    with pytest.raises(InputError, match=lost):
        pack(PackSettings(results=results, metrics=("lm_loss",)))
    put_run(tmp_path / "more", "KD", {"dolly": [1.0, 2.0]})
    with pytest.raises(InputError, match="the run GKD/run-1 would be lost"):
        pack(PackSettings(results=tmp_path / "more", out=results))
    assert (results / PACK).read_bytes() == before
    assert pack(PackSettings(results=results)).runs == 2
