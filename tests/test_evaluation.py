"""The pipeline on the toy world is complete, resumable and deterministic."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kdbench
from kdbench.errors import InputError
from kdbench.measuring.measurement import Evaluation
from kdbench.toy.models import World

FAST = {"seeds": (10, 20), "max_new_tokens": 24, "device": "cpu"}


def run(world: World, results: Path, **settings: object) -> Evaluation:
    chosen = {"model": str(world.student), "data": world.data, **FAST, **settings}
    return kdbench.evaluate(results=results, **chosen)


def task_files(run_folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(run_folder)): file.read_bytes()
        for file in sorted(run_folder.rglob("*.json*"))
        if file.name != "run.json"
    }


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """An undisturbed run of all five tasks."""
    return run(world, tmp_path_factory.mktemp("whole"))


def test_every_task_and_metric_is_measured(whole: Evaluation) -> None:
    assert list(whole.results) == [
        "dolly",
        "self_instruct",
        "vicuna",
        "super_natural",
        "unnatural",
    ]
    assert whole.generated == 5 * 12 * 2
    for result in whole.results.values():
        assert len(result.documents["id"]) == 12
        assert (result.data["rows"], result.data["used"]) == (12, 12)
        for name in ("rougeL", "exact_match", "lm_loss", "response_length", "cut_off", "empty"):
            metric = result.metrics[name]
            assert metric.value is not None
            assert metric.ci_low <= metric.value <= metric.ci_high
        assert set(result.metrics["rougeL"].per_seed) == {"10", "20"}
        assert result.metrics["distinct_1"].ci_low is None
    assert whole.results["dolly"].data["published"] is False


def test_the_stored_value_is_the_mean_of_the_stored_samples(whole: Evaluation) -> None:
    lines = (whole.run / "samples" / "dolly.jsonl").read_text().splitlines()
    samples = [json.loads(line) for line in lines]
    result = whole.results["dolly"]
    mean = sum(sample["scores"]["rougeL"] for sample in samples) / len(samples)
    assert result.metrics["rougeL"].value == pytest.approx(mean, abs=1e-5)
    assert [sample["id"] for sample in samples[::2]] == result.documents["id"]


def test_the_run_record_describes_model_protocol_and_environment(whole: Evaluation) -> None:
    record = json.loads((whole.run / "run.json").read_text())
    assert record["status"] == "complete"
    assert record["protocol"]["name"] == "minillm+max_new_tokens=24+seeds=10,20"
    assert record["model"]["parameters"] > 100_000
    assert len(record["model"]["sha256"]) == 64
    assert record["tasks"]["dolly"]["generated_samples"] == 24
    assert record["environment"]["packages"]["torch"]


def test_repeating_a_command_does_nothing(
    world: World, whole: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file: file.stat().st_mtime_ns for file in whole.run.rglob("*.json*")}
    monkeypatch.setattr("kdbench.generate.hf.load_checkpoint", _must_not_be_called)
    again = run(world, whole.run.parents[1])
    assert again == whole
    assert again.generated == 0
    assert {file: file.stat().st_mtime_ns for file in whole.run.rglob("*.json*")} == before


@pytest.mark.parametrize("size", [1, 7, 64])
def test_batch_size_changes_no_byte(
    world: World, whole: Evaluation, tmp_path: Path, size: int
) -> None:
    other = run(world, tmp_path, batch_size=size, tasks=("dolly", "vicuna"), metrics=("rougeL",))
    for task in ("dolly", "vicuna"):
        assert _texts(other.run, task) == _texts(whole.run, task)


def test_shards_make_the_samples_of_one_process(
    world: World, whole: Evaluation, tmp_path: Path
) -> None:
    shards = [run(world, tmp_path, tasks=("dolly",), shard=f"{i}/3") for i in (2, 0)]
    assert all(not shard.results for shard in shards)
    assert json.loads((shards[0].run / "run.json").read_text())["status"] == "running"
    last = run(world, tmp_path, tasks=("dolly",), shard="1/3")
    assert last.results["dolly"].metrics["rougeL"] == whole.results["dolly"].metrics["rougeL"]
    assert _texts(last.run, "dolly") == _texts(whole.run, "dolly")
    assert not list((last.run / "samples").glob("*shard*.jsonl"))


def test_repeated_kills_do_not_change_the_bytes(
    world: World, whole: Evaluation, tmp_path: Path
) -> None:
    """Send SIGKILL as soon as new samples are on disk, until the run is complete."""
    command = [sys.executable, "-m", "kdbench", "eval", f"model={world.student}"]
    command += [f"data={world.data}", f"results={tmp_path}", "seeds=10,20", "max_new_tokens=24"]
    command += ["device=cpu", "batch_size=4"]
    expected = run(world, tmp_path / "undisturbed", batch_size=4)
    kills = 0
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        start = _bytes_on_disk(tmp_path)
        while process.poll() is None and _bytes_on_disk(tmp_path) < start + 2500:
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert kills >= 2, done.stdout
    folder = next(path for path in tmp_path.glob("student/*") if path.is_dir())
    assert task_files(folder) == task_files(expected.run)


def test_a_truncated_line_is_generated_again(world: World, tmp_path: Path) -> None:
    first = run(world, tmp_path, tasks=("dolly",))
    expected = task_files(first.run)
    samples = first.run / "samples" / "dolly.jsonl"
    text = samples.read_bytes()
    samples.write_bytes(text[: len(text) // 2])
    (first.run / "dolly.json").unlink()
    again = run(world, tmp_path, tasks=("dolly",))
    assert 0 < again.generated < first.generated
    assert task_files(again.run) == expected


def test_a_new_metric_is_measured_without_generating(world: World, tmp_path: Path) -> None:
    first = run(world, tmp_path, tasks=("dolly",), metrics=("rougeL",))
    assert set(first.results["dolly"].metrics) == {"rougeL"}
    more = run(world, tmp_path, tasks=("dolly",), metrics=("empty", "lm_loss"))
    assert more.generated == 0
    assert set(more.results["dolly"].metrics) == {"rougeL", "empty", "lm_loss"}


def test_samples_without_their_record_are_refused(world: World, tmp_path: Path) -> None:
    first = run(world, tmp_path, tasks=("dolly",), limit=2)
    (first.run / "run.json").unlink()
    (first.run / "dolly.json").unlink()
    with pytest.raises(InputError, match=r"run\.json does not record their prompts"):
        run(world, tmp_path, tasks=("dolly",), limit=2)


def test_bad_input_does_not_spoil_a_complete_run(world: World, tmp_path: Path) -> None:
    first = run(world, tmp_path, tasks=("dolly",), limit=2)
    before = (first.run / "run.json").read_bytes()
    (first.run / "samples" / "dolly.jsonl").write_text("oops\n")
    (first.run / "dolly.json").unlink()
    with pytest.raises(InputError, match="not a line of JSON"):
        run(world, tmp_path, tasks=("dolly",), limit=2)
    assert (first.run / "run.json").read_bytes() == before


def test_labels_given_later_are_stored(world: World, tmp_path: Path) -> None:
    first = run(world, tmp_path, tasks=("dolly",), limit=2)
    again = run(world, tmp_path, tasks=("dolly",), limit=2, method="GKD", setting="toy")
    assert (again.run, again.generated) == (first.run, 0)
    record = json.loads((first.run / "run.json").read_text())
    assert (record["method"], record["setting"]) == ("GKD", "toy")
    run(world, tmp_path, tasks=("dolly",), limit=2)
    assert json.loads((first.run / "run.json").read_text()) == record


def test_a_run_is_complete_when_all_its_tasks_are(world: World, tmp_path: Path) -> None:
    first = run(world, tmp_path, tasks=("dolly", "vicuna"), limit=2)
    (first.run / "vicuna.json").unlink()
    run(world, tmp_path, tasks=("dolly",), limit=2)
    assert json.loads((first.run / "run.json").read_text())["status"] == "running"


def test_different_data_under_the_same_run_is_refused(world: World, tmp_path: Path) -> None:
    import shutil

    data = tmp_path / "data"
    shutil.copytree(world.data, data)
    run(world, tmp_path / "results", data=data, tasks=("dolly",))
    file = data / "dolly" / "test.jsonl"
    file.write_text(file.read_text().replace("the", "teh"))
    with pytest.raises(InputError, match="generated from different prompts"):
        run(world, tmp_path / "results", data=data, tasks=("dolly",))


def test_limit_and_protocol_make_separate_runs(
    world: World, whole: Evaluation, tmp_path: Path
) -> None:
    few = run(world, tmp_path, tasks=("dolly",), limit=3)
    greedy = run(world, tmp_path, tasks=("dolly",), limit=3, protocol="greedy", seeds=None)
    assert few.run != greedy.run
    assert few.results["dolly"].documents["id"] == whole.results["dolly"].documents["id"][:3]
    assert _texts(few.run, "dolly") == _texts(whole.run, "dolly")[:6]


def test_language_model_loss_equals_that_of_transformers(world: World, whole: Evaluation) -> None:
    """The mean token loss that `model(labels=…)` gives, document by document."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from kdbench.task import load_tasks

    model = AutoModelForCausalLM.from_pretrained(world.student)
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    (task,) = load_tasks(["super_natural"], world.data)
    for document, stored in zip(
        task.documents, whole.results["super_natural"].documents["lm_loss"], strict=True
    ):
        prompt = tokenizer(document.prompt)["input_ids"]
        target = [*tokenizer(document.references[0])["input_ids"], tokenizer.eos_token_id]
        labels = [-100] * len(prompt) + target[: FAST["max_new_tokens"]]
        ids = torch.tensor([(prompt + target)[: len(labels)]])
        loss = model(ids, labels=torch.tensor([labels])).loss
        assert stored == pytest.approx(loss.item(), abs=2e-5)


def test_a_second_process_on_the_same_task_is_refused(world: World, tmp_path: Path) -> None:
    first = run(world, tmp_path, tasks=("dolly",), limit=2)
    (first.run / "dolly.json").unlink()
    code = (
        "import sys, time; from pathlib import Path; from kdbench.store.folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock('dolly'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(first.run)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(InputError, match="another kdbench process"):
            run(world, tmp_path, tasks=("dolly",), limit=2)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    assert run(world, tmp_path, tasks=("dolly",), limit=2) == first


def _must_not_be_called(*_: object, **__: object) -> None:
    raise AssertionError("the checkpoint was loaded")


def _texts(run_folder: Path, task: str) -> list[tuple[str, int, str]]:
    lines = (run_folder / "samples" / f"{task}.jsonl").read_text().splitlines()
    return [(line["id"], line["seed"], line["output"]) for line in map(json.loads, lines)]


def _bytes_on_disk(results: Path) -> int:
    return sum(file.stat().st_size for file in results.glob("student/*/samples/*.jsonl"))
