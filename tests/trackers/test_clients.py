"""The real clients, without network: what they stored is read back by their own means."""

import json
from pathlib import Path

import pytest
from wandb_file import logged as wandb_logged

from kdbench.trackers import track_run

NUMBERS = ("dolly/rougeL", "dolly/rougeL_ci_low", "vicuna/rougeL", "vicuna/rougeL_ci_high")

# Others' deprecations, which appear when their packages are imported or first used.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*``noload``.*"),
    pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes"),
    pytest.mark.filterwarnings("ignore::ResourceWarning:tempfile"),
]


@pytest.fixture
def run(results: Path) -> Path:
    """The only run of the results."""
    (record,) = results.glob("*/*/run.json")
    return record.parent


def stored(run: Path) -> dict[str, float]:
    """The numbers of the run's files, by the names of trackers."""
    numbers = {}
    for task in ("dolly", "vicuna"):
        metric = json.loads((run / f"{task}.json").read_text())["metrics"]["rougeL"]
        numbers[f"{task}/rougeL"] = metric["value"]
        numbers[f"{task}/rougeL_ci_low"] = metric["ci_low"]
        numbers[f"{task}/rougeL_ci_high"] = metric["ci_high"]
    return {name: numbers[name] for name in NUMBERS}


def first_output(run: Path) -> str:
    return json.loads((run / "samples/dolly.jsonl").read_text().splitlines()[0])["output"]


def test_wandb_offline(run, tmp_path, capsys):
    pytest.importorskip("wandb")
    track_run(run, ["wandb"], "my group")
    assert "logged to wandb: wandb sync " in capsys.readouterr().err
    config, history, summary = wandb_logged(tmp_path / "wandb")
    assert config["protocol"]["seeds"] == [10, 20]
    assert config["run_folder"] == str(run.resolve())
    assert {name: summary[name] for name in NUMBERS} == pytest.approx(stored(run))
    assert [line["samples/nrows"] for line in history if "samples/nrows" in line] == [12]
    (table,) = (tmp_path / "wandb").rglob("*.table.json")
    assert first_output(run) in [row[5] for row in json.loads(table.read_text())["data"]]


def test_mlflow_in_sqlite(run, tmp_path):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow import MlflowClient

    client = MlflowClient()
    client.create_experiment("kdbench", artifact_location=str(tmp_path / "artifacts"))
    track_run(run, ["mlflow"], "my group")
    experiment = client.get_experiment_by_name("kdbench")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert {name: found.data.metrics[name] for name in NUMBERS} == pytest.approx(stored(run))
    assert found.data.params["protocol.seeds"] == "[10, 20]"
    assert found.data.tags["kdbench.group"] == "my group"
    (table,) = (tmp_path / "artifacts").rglob("samples.json")
    content = json.loads(table.read_text())
    assert content["data"][0][content["columns"].index("output")] == first_output(run)
    record = json.loads((run / "run.json").read_text())
    changed = record["tracked"]["mlflow"] | {"sha256": "earlier numbers"}
    (run / "run.json").write_text(json.dumps({**record, "tracked": {"mlflow": changed}}))
    track_run(run, ["mlflow"], "my group")
    (again,) = client.search_runs([experiment.experiment_id])
    assert again.info.run_id == found.info.run_id


@pytest.mark.parametrize("given", [True, False])
def test_tensorboard_event_files(given, run, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if given:
        monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    track_run(run, ["tensorboard"])
    place = tmp_path / "events" if given else run.parent.parent / "tensorboard"
    (file,) = place.rglob("events.*")
    events = EventAccumulator(str(file.parent)).Reload()
    numbers = {name: events.Scalars(name)[0].value for name in NUMBERS}
    assert numbers == pytest.approx(stored(run))
    text = {
        tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in events.Tags()["tensors"]
    }
    assert json.dumps(str(run.resolve())) in text["config/text_summary"]
    assert text["samples/text_summary"].startswith("| task | id | seed |")


def test_trackio_in_a_local_database(run, tmp_path):
    pytest.importorskip("trackio")
    track_run(run, ["trackio"], "my group")
    from trackio.sqlite_storage import SQLiteStorage

    (name,) = SQLiteStorage.get_runs("kdbench")
    line, *again = SQLiteStorage.get_logs("kdbench", name)
    for one in (line, *again):  # trackio sends a line again that was not confirmed in time
        assert {key: one[key] for key in NUMBERS} == pytest.approx(stored(run))
    assert line["samples"]["_type"] == "trackio.table"
    config = SQLiteStorage.get_run_config("kdbench", name)
    assert (config["_Group"], config["protocol"]["seeds"]) == ("my group", [10, 20])


def test_wandb_without_a_login_is_one_line(run, monkeypatch, capsys, tmp_path):
    wandb = pytest.importorskip("wandb")
    wandb.teardown()  # it reads its variables once in a process
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    track_run(run, ["wandb"])
    wandb.teardown()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: report_to=wandb: not logged in: run wandb login, or set WANDB")


def test_a_hostile_name_and_text_stay_in_their_fields(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    lines = (run / "samples/dolly.jsonl").read_text().splitlines()
    evil = {**json.loads(lines[0]), "output": "a|b\n<script>alert(1)</script>\x1b[31m"}
    (run / "samples/dolly.jsonl").write_text("\n".join([json.dumps(evil), *lines[1:], ""]))
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "method": "../../evil\n"}))
    track_run(run, ["tensorboard"])
    (file,) = (run.parent.parent / "tensorboard").rglob("events.*")
    events = EventAccumulator(str(file.parent)).Reload()
    text = events.Tensors("samples/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "<script>" not in text
    assert len({line.count(" | ") for line in text.splitlines()}) == 1
