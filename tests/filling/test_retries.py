"""What starts again after its process has died, and what does not."""

from pathlib import Path

import pytest
from small_nodes import small

from kdbench.errors import InputError
from kdbench.filling.executor import Executor
from kdbench.filling.fill import do_missing
from kdbench.filling.work import NodeResult


class Scripted(Executor):
    """An executor that ends each node as a script says, without doing it."""

    def __init__(self, script: dict[str, list[NodeResult]], slots: int = 4, room: int = 4):
        super().__init__(slots, Path())
        self.slots, self.script, self.room = slots, script, room
        self.submitted: list[str] = []
        self.most, self.is_closed, self._running = 0, False, []

    def begin(self, nodes) -> None:
        self.begun = [node.key for node in nodes]

    def has_room(self, node) -> bool:  # noqa: ARG002
        return len(self._running) < self.room

    def submit(self, node) -> None:
        self.submitted.append(node.key)
        self._running.append(node.key)
        self.most = max(self.most, len(self._running))

    def finished(self, timeout: float) -> list[NodeResult]:  # noqa: ARG002
        key = self._running.pop(0)
        script = self.script.get(key, [])
        return [script.pop(0) if script else NodeResult(key)]

    def close(self) -> None:
        self.is_closed = True


class Shown:
    def show(self, state) -> None:
        """Nothing."""


class Nodes:
    """A graph of nodes that need each other in turn."""

    def __init__(self, *nodes):
        self.nodes = {node.key: node for node in nodes}
        self.evaluations = {node.label: node for node in nodes}
        self.goals = frozenset(self.nodes)


@pytest.fixture
def graph(tmp_path):
    return Nodes(small(tmp_path, "A"), small(tmp_path, "B"))


def died(error: str = "its worker died", **values) -> NodeResult:
    return NodeResult("small A", error, **{"died": True, **values})


def test_a_node_whose_process_died_starts_again(graph, capsys):
    executor = Scripted({"small A": [died(), died()]})
    state = do_missing(graph, executor, Shown(), retries=2)
    assert state.failed == {}
    assert executor.submitted.count("small A") == 3
    assert capsys.readouterr().err.splitlines() == [
        "again: small A: its worker died (retry 1 of 2)",
        "again: small A: its worker died (retry 2 of 2)",
    ]
    assert executor.begun == ["small A", "small B"]
    assert executor.is_closed


def test_too_many_deaths_fail_the_node_alone(graph):
    executor = Scripted({"small A": [died()] * 9})
    state = do_missing(graph, executor, Shown(), retries=2)
    assert state.failed == {"small A": "its worker died, 3 times"}
    assert state.done == {"small B"}
    assert executor.submitted.count("small A") == 3


def test_bad_input_is_not_tried_again(graph):
    executor = Scripted({"small A": [NodeResult("small A", "data: no such file")]})
    state = do_missing(graph, executor, Shown(), retries=5)
    assert state.failed == {"small A": "data: no such file"}
    assert executor.submitted.count("small A") == 1


def test_preemption_does_not_count(graph):
    preempted = died("job 7 ended as PREEMPTED", died=False, preempted=True)
    executor = Scripted({"small A": [preempted] * 20})
    state = do_missing(graph, executor, Shown(), retries=0)
    assert state.failed == {}
    assert executor.submitted.count("small A") == 21


@pytest.mark.parametrize(("slots", "room", "most"), [(1, 4, 1), (4, 1, 1), (4, 4, 2)])
def test_no_more_nodes_run_than_there_is_room_for(graph, slots, room, most):
    executor = Scripted({}, slots, room)
    do_missing(graph, executor, Shown())
    assert executor.most == most


def test_a_refusal_at_the_start_closes_the_executor(graph, monkeypatch):
    executor = Scripted({})

    def refuse(nodes):
        raise InputError("no GPU")

    monkeypatch.setattr(executor, "begin", refuse)
    with pytest.raises(InputError):
        do_missing(graph, executor, Shown())
    assert executor.is_closed
    assert executor.submitted == []


def test_nothing_starts_where_nothing_is_missing(graph, tmp_path):
    for node in graph.nodes.values():
        node.place.write_text("")
    executor = Scripted({})
    do_missing(graph, executor, Shown())
    assert not hasattr(executor, "begun")
