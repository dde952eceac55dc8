"""The progress of a table: a line for each change, with the time that is left."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdbench.filling import progress as module
from kdbench.filling.progress import ProgressView
from kdbench.filling.state import State


def node(key: str, amount: int) -> Any:
    return SimpleNamespace(
        key=key,
        needs=(),
        kind="train",
        pace="gkd",
        amount=lambda: amount,
        is_half_done=lambda: False,
        place=Path(key),
    )


def test_a_line_tells_the_time_of_a_node_and_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    timing = {"kind": "train", "what": "gkd", "amount": 5, "seconds": 10.0}
    (tmp_path / "times.jsonl").write_text(json.dumps(timing) + "\n")
    nodes = {"a": node("a", 5), "b": node("b", 10), "c": node("c", 20)}
    graph: Any = SimpleNamespace(nodes=nodes, places=SimpleNamespace(models=tmp_path))
    state = State(frozenset(nodes), running={"a"})
    with ProgressView(graph, workers=2) as view:
        view.show(state)
        clock.now += 12
        state.running, state.done = {"b"}, {"a"}
        view.show(state)
        clock.now += 4
        state.running, state.done = {"c"}, {"a", "b"}
        view.show(state)
    assert capsys.readouterr().err.splitlines() == [
        "running: a",
        "done: a, 12 s; 2 of 3 left, about 30 s",  # (20 + 40) / 2 workers
        "running: b",
        "done: b, 4 s; 1 of 3 left, about 40 s",  # one node has one worker
        "running: c",
    ]
    assert view._seconds("a") == "12 s"  # it stands still


def test_a_table_that_is_longer_than_the_terminal_shows_what_runs(tmp_path: Path) -> None:
    nodes = {key: node(key, 1) for key in "abcdef"}
    for one in nodes.values():
        one.is_given = False
    graph: Any = SimpleNamespace(nodes=nodes, places=SimpleNamespace(models=tmp_path))
    view = ProgressView(graph)
    statuses: Any = {**dict.fromkeys("abcdef", "done"), "b": "failed", "e": "running"}
    for height, shown in ((8, list("abcdef")), (7, ["e", "b"]), (3, ["e"])):
        view._live = SimpleNamespace(console=SimpleNamespace(height=height))
        assert view._shown(statuses) == shown
