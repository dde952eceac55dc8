"""GPUs are found without CUDA, and nodes get them without sharing more than they must."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.filling.gpus import Placement, listed_gpus, visible_gpus

TWO = "GPU 0: NVIDIA H100 (UUID: GPU-aa)\nGPU 1: NVIDIA H100 (UUID: GPU-bb)\n"
DIVIDED = (
    "GPU 0: NVIDIA A100 (UUID: GPU-aa)\n"
    "  MIG 3g.20gb     Device  0: (UUID: MIG-1)\n"
    "  MIG 3g.20gb     Device  1: (UUID: MIG-2)\n"
    "GPU 1: NVIDIA A100 (UUID: GPU-bb)\n"
)


def test_the_listing_of_the_driver() -> None:
    assert listed_gpus(TWO) == ["0", "1"]
    assert listed_gpus(DIVIDED) == ["MIG-1", "MIG-2", "1"]
    assert listed_gpus("No devices were found\n") == []


@pytest.mark.parametrize(
    ("given", "gpus"),
    [("2,0", ["2", "0"]), ("", []), ("-1", []), ("0,-1,1", ["0"]), ("MIG-1", ["MIG-1"])],
)
def test_the_users_own_choice_counts(given: str, gpus: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": given}) == gpus


def test_all_of_the_machine_without_a_choice(tmp_path, monkeypatch) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\nprintf '%s' '{TWO}'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus({}) == ["0", "1"]
    command.write_text("#!/bin/sh\necho 'no driver'; exit 9\n")
    assert visible_gpus({}) == []
    command.unlink()
    assert visible_gpus({}) == []


def test_whole_gpus_go_to_one_node() -> None:
    placement = Placement(["0", "1", "2"], 3)
    placement.take("a", placement.find(2), 2)
    assert placement.find(2) is None
    assert placement.find(1) == ("2",)
    placement.release("a")
    assert placement.find(2) == ("0", "1")


def test_more_workers_than_gpus_spread_evenly() -> None:
    placement = Placement(["0", "1"], 5)
    share = 1 / placement.nodes_per_gpu
    places = []
    for key in "abcde":
        places.append(placement.find(share))
        placement.take(key, places[-1], share)
    assert sorted(places) == [("0",)] * 3 + [("1",)] * 2
    assert placement.find(1) is None


@given(st.integers(1, 8), st.integers(1, 30), st.data())
def test_no_gpu_is_ever_given_twice(gpus: int, workers: int, data: st.DataObject) -> None:
    placement = Placement([str(gpu) for gpu in range(gpus)], workers)
    share = 1 / placement.nodes_per_gpu
    running: dict[str, tuple[tuple[str, ...], float]] = {}
    for number in range(data.draw(st.integers(1, 40))):
        if running and data.draw(st.booleans()):
            key = data.draw(st.sampled_from(sorted(running)))
            placement.release(key)
            del running[key]
            continue
        amount = data.draw(st.sampled_from([share, 1.0, float(gpus)]))
        found = placement.find(amount)
        load = {
            gpu: sum(min(1, given) for having, given in running.values() if gpu in having)
            for gpu in placement.gpus
        }
        fitting = [gpu for gpu in placement.gpus if load[gpu] + min(1, amount) <= 1 + 1e-6]
        if found is None:
            assert len(fitting) < max(1, amount)
            continue
        assert len(set(found)) == len(found) == max(1, amount)
        assert set(found) <= set(fitting)
        placement.take(str(number), found, amount)
        running[str(number)] = found, amount
