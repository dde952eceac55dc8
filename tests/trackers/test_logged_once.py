"""What is logged of a run, that it is logged once, and that no tracker can lose a result."""

import json
from pathlib import Path

import pytest
import yaml

import kdbench
from kdbench.errors import InputError
from kdbench.filling.executor import Executor
from kdbench.toy.models import World

FAST = {
    "tasks": ["dolly", "vicuna"],
    "limit": 3,
    "seeds": (10, 20),
    "max_new_tokens": 6,
    "metrics": ("rougeL",),
    "device": "cpu",
}


def evaluate(world: World, results: Path, **settings):
    keys = {"model": str(world.student), "data": world.data, "report_to": "memory", **FAST}
    return kdbench.evaluate(results=results, **{**keys, **settings})


def kinds(memory) -> list[str]:
    return [call[0] for call in memory.calls]


def test_numbers_with_intervals_samples_and_settings_are_logged(world, results, memory):
    evaluation = evaluate(world, results, report_group="mine")
    assert kinds(memory) == ["open", "summarise", "close"]
    (_, run, known), (_, metrics, samples), (_, failed) = memory.calls
    assert (known, failed) == (None, False)
    assert (run.kind, run.group, run.folder) == ("eval", "mine", evaluation.run.resolve())
    record = json.loads((evaluation.run / "run.json").read_text())
    assert run.config["protocol"]["seeds"] == [10, 20]
    assert run.config["model"]["sha256"] == record["model"]["sha256"]
    assert run.config["tasks"]["dolly"]["data_sha256"]
    for task in ("dolly", "vicuna"):
        stored = json.loads((evaluation.run / f"{task}.json").read_text())["metrics"]["rougeL"]
        assert metrics[f"{task}/rougeL"] == stored["value"]
        assert metrics[f"{task}/rougeL_ci_low"] == stored["ci_low"]
        assert metrics[f"{task}/rougeL_ci_high"] == stored["ci_high"]
    assert samples.columns[:3] == ("task", "id", "seed")
    assert len(samples.rows) == 2 * 3 * 2
    row = dict(zip(samples.columns, samples.rows[0], strict=True))
    first = json.loads((evaluation.run / "samples" / "dolly.jsonl").read_text().splitlines()[0])
    asked = json.loads(
        (evaluation.run / "samples" / "dolly.prompts.jsonl").read_text().splitlines()[0]
    )
    assert (row["output"], row["rougeL"]) == (first["output"], first["scores"]["rougeL"])
    assert (row["prompt"], row["references"]) == (asked["prompt"], "\n".join(asked["references"]))


def test_a_rerun_that_does_nothing_logs_nothing(world, results, memory):
    evaluation = evaluate(world, results)
    before = (evaluation.run / "run.json").read_bytes()
    memory.calls = []
    evaluate(world, results)
    assert memory.calls == []
    assert (evaluation.run / "run.json").read_bytes() == before


def test_a_further_metric_continues_the_run_of_the_tracker(world, results, memory):
    evaluate(world, results)
    memory.calls = []
    evaluate(world, results, metrics=("rougeL", "response_length"))
    assert kinds(memory) == ["open", "summarise", "close"]
    assert memory.calls[0][2] == f"id-{world.student.name}"
    assert "dolly/response_length" in memory.calls[1][1]


@pytest.mark.parametrize("call", ["open", "summarise", "close"])
def test_a_tracker_that_fails_is_one_line_and_tried_again(call, world, results, memory, capsys):
    memory.fails = call
    evaluation = evaluate(world, results)
    assert set(evaluation.results) == {"dolly", "vicuna"}
    error = capsys.readouterr().err
    (line,) = [line for line in error.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: report_to=memory: no network at all, ")
    assert line.endswith(
        f"the results are in {evaluation.run}; run the same command again to log them"
    )
    assert "hf_" not in line
    assert "logged to" not in error
    memory.fails, memory.calls = "", []
    evaluate(world, results)
    assert kinds(memory) == ["open", "summarise", "close"]


def test_shards_are_logged_once_by_the_last(world, tmp_path, memory):
    evaluate(world, tmp_path / "r", shard="0/2")
    assert memory.calls == []
    evaluate(world, tmp_path / "r", shard="1/2")
    assert kinds(memory) == ["open", "summarise", "close"]


@pytest.mark.parametrize("verb", ["evaluate", "train", "fill"])
def test_an_unknown_tracker_is_refused_before_any_work(verb, world, tmp_path):
    table = tmp_path / "table.yaml"
    content = {"title": "t", "teacher": {"checkpoint": str(world.teacher)}, "tasks": ["dolly"]}
    table.write_text(yaml.safe_dump({**content, "data": str(world.data)}))
    keys = {
        "evaluate": {"model": str(world.student), "data": world.data, "results": tmp_path / "r"},
        "train": {
            "method": "sft",
            "student": str(world.student),
            "data": world.data,
            "out": tmp_path / "r",
        },
        "fill": {"table": str(table), "results": tmp_path / "r", "models": tmp_path / "m"},
    }
    with pytest.raises(InputError, match=r"^report_to=wanbd: unknown tracker; .*'wandb'\?$"):
        getattr(kdbench, verb)(report_to="wanbd", **keys[verb])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.yaml"]


def test_a_missing_package_names_the_extra(world, tmp_path, memory, monkeypatch):
    (tmp_path / "surely_missing").mkdir()  # W&B leaves such folders, which Python could import
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(memory, "package", "surely_missing")
    monkeypatch.setattr(memory, "extra", "memory")
    wanted = r"^report_to=memory needs surely_missing: pip install 'kdbench\[memory\]'$"
    with pytest.raises(InputError, match=wanted):
        evaluate(world, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_fill_groups_each_run_by_its_title_and_logs_it_once(world, tmp_path, memory, monkeypatch):
    from kdbench.filling import table as filling

    monkeypatch.setattr(filling, "choose_executor", lambda _: lambda models, _: _Inline(1, models))
    file = tmp_path / "table.yaml"
    row = {"label": "SFT", "train": {"method": "sft", "steps": 2, "limit": 8, "log_every": 1}}
    few = {"validation_limit": 2, "max_new_tokens": 4}
    content = {
        "title": "my table",
        "teacher": {"label": "Teacher", "checkpoint": str(world.teacher)},
        "student": {"checkpoint": str(world.student)},
        "rows": [row],
        "train": few,
        "evaluate": {"limit": 2, "seeds": [1], "max_new_tokens": 4, "metrics": ["rougeL"]},
        "tasks": ["dolly"],
        "columns": ["dolly"],
        "data": str(world.data),
    }
    file.write_text(yaml.safe_dump(content))
    keys = {"table": str(file), "results": tmp_path / "r", "models": tmp_path / "m"}
    kdbench.fill(**keys, report_to="memory")
    opened = [call[1] for call in memory.calls if call[0] == "open"]
    assert sorted((run.kind, run.name, run.group) for run in opened) == [
        ("eval", "SFT", "my table"),
        ("eval", "Teacher", "my table"),
        ("train", "SFT", "my table"),
    ]
    memory.calls = []
    kdbench.fill(**keys, report_to="memory")
    assert memory.calls == []
    for run in (tmp_path / "r").glob("*/*/run.json"):
        run.write_text(json.dumps({**json.loads(run.read_text()), "tracked": {}}))
    kdbench.fill(**keys, report_to="memory")  # evaluations that are done, but not in the tracker
    assert kinds(memory) == ["open", "summarise", "close"] * 2


class _Inline(Executor):
    """An executor that runs each node in this process, where the test's tracker is known."""

    def __init__(self, workers: int, models: Path) -> None:
        super().__init__(workers, models)
        self.slots, self._models, self._ended = workers, models, []

    def submit(self, node) -> None:
        from kdbench.filling.work import do

        self._ended.append(do(node, self._models))

    def finished(self, timeout: float):
        del timeout
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        pass
