"""Packed runs read as their folders do, and merge with them."""

import shutil

import pytest
from made_runs import put_run

from kdbench.comparing.scores import read_run
from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.packed_folder import PackedFolder, open_run, run_with_samples
from kdbench.store.packing import check_keeps, gather_pack, kept_in
from kdbench.store.packs import PACK, is_run, pack_in, read_pack, write_pack
from kdbench.store.places import run_folders_in
from kdbench.store.runs import one_run, run_folders, stored_runs
from kdbench.store.summaries import summaries

SCORES = {"dolly": [10.0, 20.5, None], "vicuna": [1.25, 2.0]}
MORE = {"lm_loss": [0.5, 0.25]}


def put(results, model, **keys):
    return put_run(results, model, {"vicuna": SCORES["vicuna"]}, more=MORE, **keys)


def whole(task, name):
    return "whole"


def main_alone(task, name):
    return "none"


def packed(results, choice=whole):
    """Pack a folder of results, and remove its runs."""
    size = write_pack(results / PACK, gather_pack(results, choice).pack)
    for folder in results.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    return size


def test_readers_see_packed_runs_as_their_folders(tmp_path):
    results = tmp_path / "results"
    put_run(results, "student", SCORES, method="GKD")
    put(results, "other", teacher={"sha256": "t"})
    folder = results / "student/run-1"
    before = [*stored_runs(results)], summaries(results), read_run(folder).tasks["dolly"]
    size = packed(results)
    assert size == (results / PACK).stat().st_size
    assert not folder.exists()
    assert [*stored_runs(results)] == before[0]
    assert summaries(results) == before[1]
    after = read_run(folder).tasks["dolly"]
    assert after.ids == before[2].ids
    assert [*after.metrics] == ["rougeL"]
    assert is_run(folder)
    assert run_folders("GKD", results) == run_folders("student", results) == [folder]
    assert run_folders("student/run-1", results) == [folder]
    assert one_run(results / "student", "run", results) == folder


def test_a_pack_does_not_say_where_files_lay(tmp_path):
    put(tmp_path, "kd", commands=[["kdbench", "eval", "model=runs/kd", "data=/home/me/data"]])
    packed(tmp_path)
    (run,) = pack_in(tmp_path).runs.values()
    assert run.record["commands"] == [["kdbench", "eval", "model=runs/kd", "data=path/to/data"]]


def test_packs_are_found_at_any_depth(tmp_path):
    put(tmp_path / "all/toy", "a")
    packed(tmp_path / "all/toy")
    put(tmp_path / "all", "b")
    assert [run.folder for run in stored_runs(tmp_path / "all")] == ["b/run-1", "toy/a/run-1"]


def test_equal_results_make_equal_bytes(tmp_path):
    for name, models in (("one", "ab"), ("two", "ba")):
        for model in models:
            put(tmp_path / name, model)
        packed(tmp_path / name)
    assert (tmp_path / "one" / PACK).read_bytes() == (tmp_path / "two" / PACK).read_bytes()


def test_other_metrics_and_their_columns_are_left_out(tmp_path):
    put(tmp_path, "a")
    put_run(tmp_path, "b", {"vicuna": [1.0, 2.0]}, more={"response_length": [3.0, 4.0]})
    kept = {"rougeL": "whole", "response_length": "number", "lm_loss": "none"}
    gathered = gather_pack(tmp_path, lambda task, name: kept[name])
    assert gathered.kept == ("response_length", "rougeL")
    assert gathered.pack.left_out == ("lm_loss",)
    packed(tmp_path, lambda task, name: kept[name])
    one, other = (run.results["vicuna"] for run in stored_runs(tmp_path))
    assert [*one.metrics] == ["rougeL"]
    assert [*one.documents] == ["id", "rougeL"]
    assert other.metrics["response_length"].value == 3.5
    assert [*other.documents] == ["id", "rougeL"]


def test_the_number_of_the_main_metric_is_kept(tmp_path):
    put(tmp_path, "a")
    packed(tmp_path, main_alone)
    (run,) = stored_runs(tmp_path)
    assert run.results["vicuna"].metrics["rougeL"].value == 1.625
    assert [*run.results["vicuna"].documents] == ["id"]


def test_curves_and_judges_of_other_metrics_are_left_out(tmp_path):
    folder = RunFolder(put(tmp_path, "a"))
    result = folder.read_task("vicuna")
    curve = {"first": [0], "last": [1], "value": [0.5], "n": [2]}
    vars(result)["curves"] = {"lm_loss": curve, "rougeL": curve}
    vars(result)["judge"] = {"score": {"metrics": ["lm_loss"]}, "pair@b": {"metrics": ["rougeL"]}}
    folder.write_task(result)
    choice = {"rougeL": "whole", "lm_loss": "number"}
    gathered = gather_pack(tmp_path, lambda task, name: choice[name])
    content = gathered.pack.runs["a/run-1"].tasks["vicuna"].content
    assert [*content["curves"]] == ["rougeL"]
    assert [*content["judge"]] == ["pair@b"]


def test_a_metric_with_a_curve_or_a_judge_and_no_documents_is_whole(tmp_path):
    folder = RunFolder(put(tmp_path, "a"))
    result = folder.read_task("vicuna")
    del result.documents["lm_loss"]
    curve = {"first": [0], "last": [1], "value": [0.5], "n": [2]}
    for part in ({"curves": {"lm_loss": curve}}, {"judge": {"score": {"metrics": ["lm_loss"]}}}):
        vars(result).update({"curves": {}, "judge": {}} | part)
        folder.write_task(result)
        gathered = gather_pack(tmp_path, lambda task, name: "whole")
        assert kept_in(gathered.pack)["vicuna", "lm_loss"] == "whole"


def test_a_curve_that_only_a_pack_has_is_not_lost(tmp_path):
    folder = RunFolder(put(tmp_path, "a"))
    result = folder.read_task("vicuna")
    vars(result)["curves"] = {"lm_loss": {"first": [0], "last": [1], "value": [0.5], "n": [2]}}
    del result.documents["lm_loss"]
    folder.write_task(result)
    write_pack(tmp_path / PACK, gather_pack(tmp_path, lambda task, name: "whole").pack)
    shutil.rmtree(folder.path)
    less = gather_pack(tmp_path, lambda task, name: "number").pack
    with pytest.raises(InputError, match=r"lm_loss.* would be lost"):
        check_keeps(tmp_path, less, tmp_path)


def test_a_folder_goes_before_a_packed_run_and_both_are_packed_again(tmp_path):
    put(tmp_path, "a")
    put(tmp_path, "b")
    packed(tmp_path)
    put_run(tmp_path, "b", {"vicuna": [7.0, 9.0]})
    put(tmp_path, "c")
    runs = {run.folder: run for run in stored_runs(tmp_path)}
    assert [*runs] == ["a/run-1", "b/run-1", "c/run-1"]
    assert runs["b/run-1"].results["vicuna"].metrics["rougeL"].value == 8.0
    packed(tmp_path)
    again = {run.folder: run for run in stored_runs(tmp_path)}
    assert again == runs


def test_what_was_left_out_before_stays_named(tmp_path):
    put(tmp_path, "a")
    packed(tmp_path, main_alone)
    put_run(tmp_path, "b", {"vicuna": [7.0, 9.0]})
    packed(tmp_path)
    assert pack_in(tmp_path).left_out == ("lm_loss",)


def test_runs_that_are_not_complete_are_not_packed(tmp_path):
    put(tmp_path, "a")
    put(tmp_path, "b", status="running")
    gathered = gather_pack(tmp_path, whole)
    assert [*gathered.pack.runs] == ["a/run-1"]
    assert gathered.unfinished == ("b/run-1",)


def test_writers_neither_see_packed_runs_nor_change_them(tmp_path):
    path = put(tmp_path, "a")
    packed(tmp_path)
    assert RunFolder(path).read_task("vicuna") is None
    run = open_run(path)
    assert isinstance(run, PackedFolder)
    run.update_run(lambda record: record)  # nothing changes
    for change in (
        lambda: run.update_run(lambda record: {**record, "method": "other"}),
        lambda: run.write_run({}),
        lambda: run.write_task(run.read_task("vicuna")),
    ):
        with pytest.raises(InputError, match="is packed, and packed runs do not change"):
            change()
    assert not path.exists()
    with pytest.raises(InputError, match=r"run=.*: is packed, which keeps no samples"):
        run_with_samples(path, "run")
    put(tmp_path, "b")
    assert run_with_samples(tmp_path / "b/run-1", "run").read_task("vicuna") is not None


def test_a_result_that_cannot_be_read_is_not_packed(tmp_path):
    path = put(tmp_path, "a") / "vicuna.json"
    path.write_text(path.read_text().replace('"direction": "higher"', '"direction": 3'))
    with pytest.raises(InputError, match=r"vicuna\.json: not a result of kdbench"):
        gather_pack(tmp_path, whole)


def test_a_pack_is_read_again_when_it_is_replaced(tmp_path):
    put(tmp_path, "a")
    packed(tmp_path)
    assert len(run_folders_in(tmp_path)) == 1
    put(tmp_path, "b")
    packed(tmp_path)
    assert len(run_folders_in(tmp_path)) == 2
    assert read_pack(tmp_path / PACK) == pack_in(tmp_path)
