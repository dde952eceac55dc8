"""Worker processes of this machine: which GPUs they see, and which nodes must wait."""

from concurrent.futures import Future

import pytest
from small_nodes import run_all, small

from kdbench.errors import InputError
from kdbench.filling.executors.local import LocalExecutor
from kdbench.filling.lease import held
from kdbench.filling.logs import log_of
from kdbench.filling.resources import Resources


@pytest.fixture
def gpus(monkeypatch):
    """This machine has as many GPUs as the variable says."""

    def have(names: str) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)

    return have


def test_a_worker_sees_the_gpus_of_its_node(gpus, tmp_path, capsys):
    gpus("5,MIG-7,2")
    needs = {
        "small A": Resources(gpus=1),
        "small B": Resources(gpus=2, is_stated=True),
        "small C": Resources(gpus=0, is_stated=True),
        "small D": Resources(device="cuda:1"),
    }
    executor = LocalExecutor(None, tmp_path, lambda node: needs[node.key])
    assert (executor.slots, executor.describe()) == (3, "this machine: 3 workers on 3 GPUs")
    nodes = [small(tmp_path, key[-1]) for key in needs]
    places = [executor._find(node) if executor._amount(node) else None for node in nodes]
    assert places == [("5",), ("5", "MIG-7"), None, None]
    assert [executor._amount(node) for node in nodes[2:]] == [0, None]
    results = run_all(executor, nodes[1:3])  # in two processes, which import torch
    assert {result.error for result in results.values()} == {None}
    assert [node.place.read_text() for node in nodes[1:3]] == ["5,MIG-7", ""]
    assert capsys.readouterr().err == ""


def test_a_node_waits_for_the_gpus_that_it_needs(gpus, tmp_path, monkeypatch):
    gpus("0,1")
    needs = {"small A": Resources(gpus=1), "small B": Resources(gpus=2, is_stated=True)}
    executor = LocalExecutor(2, tmp_path, lambda node: needs[node.key])
    one, two = small(tmp_path, "A"), small(tmp_path, "B")
    monkeypatch.setattr(executor, "_new_worker", lambda gpus, cpus: _Instant(gpus))
    assert executor.has_room(two)
    executor.submit(one)
    assert executor.has_room(one)
    assert not executor.has_room(two)
    assert [result.key for result in executor.finished(1.0)] == ["small A"]
    assert executor.has_room(two)
    (idle,) = executor._idle
    executor.submit(two)
    assert idle.ended  # it would hold memory of a GPU that is another node's now
    executor.close()


def test_nodes_of_another_call_are_for_when_nothing_else_can_be_done(tmp_path):
    executor = LocalExecutor(1, tmp_path)
    nodes = [small(tmp_path, name) for name in "ABC"]
    assert list(executor.in_order(nodes)) == nodes
    (tmp_path / "logs").mkdir()
    with held(log_of(nodes[0], tmp_path)):
        assert list(executor.in_order(nodes)) == nodes[1:]
        assert list(executor.in_order(nodes[:1])) == nodes[:1]
        executor._running = {Future(): (nodes[1], None)}
        assert list(executor.in_order(nodes[:1])) == []
        executor._running = {}
    executor.close()


class _Instant:
    """A worker that does its node at once, in no process."""

    def __init__(self, gpus):
        self.gpus, self.pool, self.ended, self._processes = gpus, self, False, {}

    def lives(self):
        return True

    def submit(self, do, node, models):
        from concurrent.futures import Future

        future = Future()
        future.set_result(do(node, models))
        return future

    def shutdown(self, **_):
        self.ended = True


def test_shares_of_a_gpu(gpus, tmp_path, capsys):
    gpus("0")
    executor = LocalExecutor(3, tmp_path, lambda _: Resources(gpus=1))
    executor.begin([])
    assert capsys.readouterr().err.startswith(
        "note: this machine: 3 workers on 1 GPU, up to 3 on each; "
    )
    amounts = [executor._amount(small(tmp_path))]
    halves = LocalExecutor(3, tmp_path, lambda _: Resources(gpus=0.5, is_stated=True))
    assert [*amounts, halves._amount(small(tmp_path))] == [1 / 3, 0.5]


@pytest.mark.parametrize(
    ("names", "needs", "fault"),
    [
        ("0,1", Resources(gpus=4), "small A needs 4 GPUs, and 2 GPUs can be used here"),
        ("", Resources(1, needs_gpu=True, is_stated=True), "needs 1 GPU, and 0 GPUs can"),
        ("", Resources(gpus=4), None),
        ("", Resources(gpus=1, needs_gpu=True), None),  # the device says it: torch will find it
        ("0", Resources(gpus=8, device="cuda:0"), None),
    ],
)
def test_a_node_that_can_never_run_is_refused_at_the_start(gpus, tmp_path, names, needs, fault):
    gpus(names)
    executor = LocalExecutor(None, tmp_path, lambda _: needs)
    if fault is None:
        executor.begin([small(tmp_path)])
        return
    with pytest.raises(InputError, match=fault):
        executor.begin([small(tmp_path)])
