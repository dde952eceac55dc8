"""Filling a table: missing nodes are done once, and a failure blocks only its dependents."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from inline import worked

from kdbench.config import FillSettings, MechanismSettings
from kdbench.errors import InputError
from kdbench.filling.dry_run import dry_run_lines, planned_nodes
from kdbench.filling.executors.local import LocalExecutor
from kdbench.filling.graph import Graph, Places
from kdbench.filling.logs import last_line, log_of
from kdbench.filling.nodes import TrainNode
from kdbench.filling.spec import Entry, read_spec
from kdbench.filling.state import State, state_of
from kdbench.filling.stored_mechanisms import mechanisms
from kdbench.filling.table import fill
from kdbench.filling.times import recorded_times
from kdbench.filling.work import NodeResult, do
from kdbench.toy.models import World


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    values = {
        "title": "a table",
        "teacher": {"label": "Teacher", "checkpoint": str(world.teacher)},
        "student": {"label": "Student", "checkpoint": str(world.student)},
        "undistilled": "SFT",
        "rows": [
            {"train": {"recipe": "toy/sft"}},
            {"train": {"recipe": "toy/kd"}},
        ],
        "train": {"limit": 16, "steps": 2, "validation_limit": 2, "max_new_tokens": 4},
        "evaluate": {
            "limit": 2,
            "seeds": [10, 20],
            "max_new_tokens": 4,
            "metrics": ["rougeL", "acceptance@student"],
        },
        "tasks": ["dolly"],
        "columns": ["dolly", "acceptance"],
        "data": str(world.data),
    }
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def graph(file: Path, tmp_path: Path) -> Graph:
    spec = read_spec(file)
    return Graph(spec, Places(tmp_path / "models", tmp_path / "results", spec.data))


def contents(folder: Path) -> dict[str, bytes]:
    """Task results and weights; run.json, cards and logs hold times."""
    files = [*folder.rglob("dolly.json"), *folder.rglob("*.safetensors")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_everything_is_done_once(graph: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    begun, failed = worked(graph)
    assert failed == {}
    assert begun == [key for key, node in graph.nodes.items() if not node.is_given]
    assert state_of(graph) == State(frozenset(), set(graph.nodes))
    said = capsys.readouterr().err
    assert "running: train SFT\ndone: train SFT, " in said.replace("\r", "\n")
    assert worked(graph) == ([], {})


def test_only_lost_results_are_made_again(graph: Graph) -> None:
    worked(graph)
    before = contents(graph.places.results)
    (file,) = graph.places.results.glob("KD/*/dolly.json")
    file.unlink()
    assert worked(graph) == (["evaluate KD"], {})
    assert contents(graph.places.results) == before


def test_a_checkpoint_is_made_only_for_measurements(graph: Graph) -> None:
    """Committed results need no checkpoints until a row has to be measured again."""
    worked(graph)
    shutil.rmtree(graph.places.models)
    assert worked(graph) == ([], {})
    assert "  unneeded  train KD" in "\n".join(dry_run_lines("t", planned_nodes(graph)))
    graph.nodes["evaluate KD"].place.unlink()
    assert "  missing   train KD" in "\n".join(dry_run_lines("t", planned_nodes(graph)))
    assert worked(graph) == (["train SFT", "train KD", "evaluate KD"], {})


def test_checkpoints_can_be_asked_for_where_measurements_exist(graph: Graph) -> None:
    worked(graph)
    shutil.rmtree(graph.places.models)
    again = Graph(graph.spec, graph.places, rows=["KD"], checkpoints=True)
    assert "  missing   train KD" in "\n".join(dry_run_lines("t", planned_nodes(again)))
    assert worked(again) == (["train KD"], {})
    assert worked(again) == ([], {})


def test_only_rows_that_are_asked_for_are_filled(file: Path, tmp_path: Path) -> None:
    spec = read_spec(file)
    places = Places(tmp_path / "models", tmp_path / "results", spec.data)
    begun, failed = worked(Graph(spec, places, rows=["SFT"]))
    assert failed == {}
    assert "evaluate SFT" in begun
    assert not any("KD" in key for key in begun)
    graph = Graph(spec, places, rows=["SFT"])
    head, *lines = dry_run_lines("t", planned_nodes(graph))
    assert head == "t: 5 of 7 done, 0 missing, 2 in rows that are not asked for"
    assert {line[:10] for line in lines if " KD" in line} == {"  left out"}
    assert lines[-1] == "nothing to do"
    shutil.move(places.models, tmp_path / "kept")
    head, *lines = dry_run_lines("t", planned_nodes(graph))
    assert head.endswith(" 0 missing, 3 in rows that are not asked for")
    assert {line[:12] for line in lines if "  train " in line} == {"  left out  "}  # KD needs SFT
    shutil.move(tmp_path / "kept", places.models)
    rest, _ = worked(Graph(spec, places))
    assert "evaluate KD" in rest
    assert not set(begun) & set(rest)
    with pytest.raises(InputError, match="rows=SFTT: the table has no such row: did you mean"):
        Graph(spec, places, rows=["SFTT"])


def test_rows_are_checked_before_a_world_is_made(file: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(file.read_text())
    values["world"] = {"kind": "toy", "folder": str(tmp_path / "world")}
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match="rows=SFTT: the table has no such row: did you mean"):
        fill(FillSettings(table=str(file), rows=("SFTT",)))
    assert not (tmp_path / "world").exists()
    lines = fill(FillSettings(table=str(file), rows=("KD",), plan=True)).text
    assert "an evaluation of each row: KD\n" in lines


def test_results_can_be_moved_to_a_different_folder(graph: Graph, tmp_path: Path) -> None:
    worked(graph)
    graph.places.results.rename(tmp_path / "elsewhere")
    places = replace(graph.places, results=tmp_path / "elsewhere")
    assert worked(Graph(graph.spec, places)) == ([], {})


def test_a_failure_blocks_only_what_needs_it(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = TrainNode.run

    def broken(node: TrainNode) -> bool:
        if node.key == "train KD":
            raise ZeroDivisionError("of all things")
        return run(node)

    monkeypatch.setattr(TrainNode, "run", broken)
    begun, failed = worked(graph)
    assert failed == {"train KD": "ZeroDivisionError: of all things"}
    assert "evaluate SFT" in begun
    assert "evaluate KD" not in begun
    log = log_of(graph.nodes["train KD"], graph.places.models)
    assert "Traceback" in log.read_text()
    assert (
        f"failed: train KD: ZeroDivisionError: of all things (log: {log})"
        in capsys.readouterr().err
    )
    monkeypatch.undo()
    assert worked(graph) == (["train KD", "evaluate KD"], {})


def test_a_node_done_by_a_different_process_is_not_repeated(graph: Graph) -> None:
    node = graph.nodes["train SFT"]
    for _ in range(2):
        assert do(node, graph.places.models) == NodeResult("train SFT")
    assert len(recorded_times(graph.places.models)) == 1


def test_bad_input_fails_a_node_without_a_traceback(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(node: TrainNode) -> bool:
        raise InputError(f"{node.label}: bad input")

    monkeypatch.setattr(TrainNode, "run", refuse)
    node = graph.nodes["train SFT"]
    assert do(node, graph.places.models) == NodeResult("train SFT", "SFT: bad input")
    assert log_of(node, graph.places.models).read_text() == ""
    assert recorded_times(graph.places.models) == []


def test_the_table_has_one_row_per_label(file: Path, tmp_path: Path) -> None:
    settings = FillSettings(
        table=str(file), models=tmp_path / "m", results=tmp_path / "r", device="cpu", workers=2
    )
    planned = fill(settings.model_copy(update={"plan": True}))
    assert "a table: 2 of 7 done, 5 missing" in planned.text
    assert not (tmp_path / "m").exists()
    filled = fill(settings)
    assert filled.failed == {}
    assert filled.table is not None
    table = filled.table.read_text("utf-8")
    assert [table.count(f"| {label} |") for label in ("Teacher", "SFT", "KD")] == [1, 1, 1]
    assert set(filled.to_pandas().row) == {"Teacher", "SFT", "KD"}
    assert "<table>" in filled._repr_html_()
    assert "<pre>" in planned._repr_html_()
    assert fill(settings).text == filled.text


def test_more_seeds_join_the_rows_that_are_done(file: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(file.read_text("utf-8"))
    values["rows"] = values["rows"][:1]
    values["columns"] = ["dolly", "sd_training"]
    values["train"]["learning_rate"] = 0.01
    file.write_text(yaml.safe_dump(values))
    settings = FillSettings(
        table=str(file), models=tmp_path / "m", results=tmp_path / "r", device="cpu"
    )
    assert fill(settings).drawn is not None
    # As an earlier version wrote it.
    (record,) = (tmp_path / "r" / "SFT").glob("*/run.json")
    content = json.loads(record.read_text("utf-8"))
    for key in ("seed", "recipe"):
        del content["training"][key]
    record.write_text(json.dumps(content))
    seeded = settings.model_copy(update={"changes": {"train_seeds": "2"}})
    filled = fill(seeded)
    assert filled.failed == {}
    assert filled.drawn is not None
    sft = filled.drawn.rows[-1]
    assert (sft.label, sft.training_seeds) == ("SFT", (10, 11))
    results = [
        json.loads(path.read_text("utf-8"))["metrics"]["rougeL"]["value"]
        for path in (tmp_path / "r").glob("SFT*/*/dolly.json")
    ]
    assert len(results) == 2
    cells = [cell for cell in sft.cells if cell is not None]
    assert cells[0].value == pytest.approx(sum(results) / 2)
    assert len(cells) == 2
    assert fill(seeded).text == filled.text


def start(file: Path, folder: Path) -> "subprocess.Popen[bytes]":
    arguments = [f"models={folder / 'm'}", f"results={folder / 'r'}", "device=cpu"]
    return subprocess.Popen(
        [sys.executable, "-m", "kdbench", "fill", str(file), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for_the_workers_of(process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:  # none is left in the group of the killed process
            return
        time.sleep(0.1)  # in a container without an init, ended workers stay in the group


def tables_in(results: Path) -> str:
    """Both tables of the file, without the time at which each run began."""
    text = (results / "TABLE.md").read_text("utf-8")
    return re.sub(r"; measured [^;]*;", ";", text)


def test_repeated_kills_do_not_change_the_bytes(file: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(file.read_text("utf-8"))
    values["rows"][1] = {"train": {"recipe": "toy/todi"}, "against": "SFT"}
    values["train_seeds"] = 2
    values["evaluate"]["metrics"].append("entropy_ratio@ref")
    file.write_text(yaml.safe_dump(values))
    folder, whole = tmp_path / "filled", tmp_path / "whole"
    assert start(file, folder).wait() == 0
    folder.rename(whole)  # so that both have the same paths in their tables
    chance = random.Random(3)
    for _ in range(2):
        process = start(file, folder)
        time.sleep(chance.uniform(4, 14))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)  # its workers end by themselves
            process.wait()
            wait_for_the_workers_of(process)
    assert start(file, folder).wait() == 0
    assert contents(folder / "r") == contents(whole / "r")
    assert contents(folder / "m") == contents(whole / "m")
    text = tables_in(folder / "r")
    assert text == tables_in(whole / "r")
    assert "| ToDi | Losses on logits | entropy\\_ratio@ref ↓ |" in text
    again = mechanisms(MechanismSettings(table=str(file), results=folder / "r"))
    assert again.render("md") in text


def test_the_last_line_of_a_log_is_the_last_that_is_not_blank(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert last_line(log) == ""
    log.write_text("x" * 9000 + "\nsft: 7/200 steps\n\n")
    assert last_line(log) == "sft: 7/200 steps"


def test_a_mark_without_its_results_is_ignored(graph: Graph) -> None:
    worked(graph)
    node = graph.nodes["evaluate SFT"]
    mark = json.loads(node.place.read_text())
    assert node.is_done()
    (graph.places.results / mark["run"] / "dolly.json").unlink()
    assert not node.is_done()


def test_two_processes_fill_one_table_without_repeating_a_node(file: Path, tmp_path: Path) -> None:
    processes = [start(file, tmp_path) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    done = [(timing.kind, timing.what) for timing in recorded_times(tmp_path / "m")]
    trainings = [("train", "kd"), ("train", "sft")]
    assert sorted(done) == [*[("evaluate", "evaluate")] * 3, *trainings]


def test_switching_the_teacher_back_restores_the_numbers(graph: Graph, world: World) -> None:
    """The metrics of both teachers are in the same files, whose content a mark identifies."""
    worked(graph)
    before = contents(graph.places.results)
    other = Entry(label="Teacher", checkpoint=str(world.student))
    changed = Graph(graph.spec.model_copy(update={"teacher": other}), graph.places)
    assert worked(changed)[1] == {}
    assert "evaluate SFT" in worked(graph)[0]
    after = contents(graph.places.results)
    assert {key: after[key] for key in before} == before


def test_a_changed_row_replaces_the_old_one_with_current_titles(file: Path, tmp_path: Path) -> None:
    places = {"models": tmp_path / "m", "results": tmp_path / "r", "device": "cpu"}
    first = fill(FillSettings(table=str(file), **places))
    assert "a table, protocol" in first.text
    changes = {"title": "another", "train.steps": "1"}
    text = fill(FillSettings(table=str(file), changes=changes, **places)).text
    assert "another, protocol" in text
    assert "a table, protocol" not in text
    assert [text.count(f"  {label} ") for label in ("Teacher", "SFT", "KD")] == [1, 1, 1]


def test_a_table_of_a_task_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "capitals.jsonl").write_text('{"q": "France?", "a": "Paris"}\n')
    task = tmp_path / "capitals.yaml"
    task.write_text(
        "task: capitals\ndataset_path: json\noutput_type: generate_until\ntest_split: test\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path / 'capitals.jsonl'}}}}}\n"
        "doc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\ngeneration_kwargs: {until: []}\n"
        "metadata: {version: 1.0}\n"
    )
    values = yaml.safe_load(file.read_text())
    values |= {"tasks": [str(task)], "rows": values["rows"][:1]}
    values |= {"columns": ["capitals", "acceptance"]}
    file.write_text(yaml.safe_dump(values))
    settings = FillSettings(table=str(file), models=tmp_path / "m", results=tmp_path / "r")
    filled = fill(settings)
    assert filled.failed == {}
    assert "capitals" in filled.text
    before = Graph(read_spec(file), Places(tmp_path / "m", tmp_path / "r", None))
    task.write_text(task.read_text().replace("{{q}}", "Q: {{q}}"))
    after = Graph(read_spec(file), Places(tmp_path / "m", tmp_path / "r", None))
    key = "evaluate SFT"
    assert before.nodes[key].fingerprint != after.nodes[key].fingerprint


def test_labels_with_dots_have_separate_logs(graph: Graph) -> None:
    node = graph.nodes["train KD"]
    places = [graph.places.models / name for name in ("KD-w0.5-1a", "KD-w0.9-1a")]
    logs = [log_of(replace(node, place=place), graph.places.models).name for place in places]
    assert logs == ["train-KD-w0.5-1a.log", "train-KD-w0.9-1a.log"]


def test_a_killed_worker_fails_only_its_node(graph: Graph) -> None:
    executor = LocalExecutor(2, graph.places.models)
    nodes = [graph.nodes["train SFT"], graph.nodes["train KD"]]
    try:
        for node in nodes:
            executor.submit(node)
        (_, worker), _ = executor._running.values()
        (process,) = worker.pool._processes.values()
        os.kill(process.pid, signal.SIGKILL)
        ended: list[NodeResult] = []
        while len(ended) < 2:
            ended += executor.finished(1.0)
    finally:
        executor.close()
    errors = {result.key: result.error for result in ended}
    assert errors["train KD"] is None
    assert "its process died" in str(errors["train SFT"])


def test_the_data_folder_of_the_environment_is_used(
    file: Path, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = yaml.safe_load(file.read_text())
    del values["data"]
    file.write_text(yaml.safe_dump(values))
    settings = FillSettings(table=str(file), models=tmp_path / "m", plan=True)
    monkeypatch.setenv("KDBENCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"^data=.*nowhere: no such folder$"):
        fill(settings)
    monkeypatch.setenv("KDBENCH_DATA", str(world.data))
    with pytest.raises(InputError, match=r"^models=.*: is a file, not a folder$"):
        fill(settings.model_copy(update={"models": file}))
    given = settings.model_copy(update={"data": world.data})
    assert fill(settings).text == fill(given).text
