"""What nodes need: as the file states it, or as it follows from devices, engines and models."""

import re
from pathlib import Path

import pytest
import yaml

from kdbench.config import FillSettings
from kdbench.errors import InputError
from kdbench.filling.graph import Graph, Places
from kdbench.filling.resources import Needs, Resources
from kdbench.filling.spec import read_spec
from kdbench.filling.table import fill
from kdbench.toy.models import World

GIB = 1024**3


@pytest.fixture
def needs_of(world: World, tmp_path: Path):
    """What the nodes of a table need, whose file has some keys more."""

    def of(execution=None, **keys):
        values = {
            "title": "t",
            "teacher": {"label": "Teacher", "checkpoint": str(world.teacher)},
            "student": {"label": "Student", "checkpoint": str(world.student)},
            "rows": [
                {"train": {"recipe": "toy/sft"}},
                {
                    "train": {"recipe": "toy/kd"},
                    "resources": {"train": {"gpus": 0.5}, "evaluate": {"cpus": 3}},
                },
            ],
            "tasks": ["dolly"],
            "data": str(world.data),
            **keys,
        }
        file = tmp_path / "table.yaml"
        file.write_text(yaml.safe_dump(values))
        spec = read_spec(file)
        graph = Graph(spec, Places(tmp_path / "m", tmp_path / "r", spec.data), execution)
        return {key: Needs(graph).of(node) for key, node in graph.nodes.items()}

    return of


def gpus(needs: dict[str, Resources], has_gpus: bool) -> list[float]:
    return [need.gpus_of(has_gpus) for need in needs.values()]


KEYS = [
    *("checkpoint Teacher", "checkpoint Student", "train SFT", "train KD"),
    *("evaluate Teacher", "evaluate SFT", "evaluate KD"),
]


def test_a_gpu_where_there_is_one(needs_of):
    needs = needs_of()
    assert list(needs) == KEYS
    assert gpus(needs, False) == [0, 0, 0, 0.5, 0, 0, 0]
    assert gpus(needs, True) == [0, 0, 1, 0.5, 1, 1, 1]
    assert gpus(needs_of({"device": "cpu"}), True) == [0, 0, 0, 0.5, 0, 0, 0]
    assert gpus(needs_of({"device": "cuda"}), False) == [0, 0, 1, 0.5, 1, 1, 1]


def test_a_row_overrides_the_table_key_by_key(needs_of):
    needs = needs_of(
        resources={
            "train": {"gpus": 1, "memory": "24GiB", "cpus": 4},
            "evaluate": {"gpus": 2, "memory": "500MB"},
        }
    )
    sft, kd, evaluate = (needs[key] for key in ("train SFT", "train KD", "evaluate KD"))
    assert (sft.gpus, sft.cpus, sft.memory) == (1, 4, 24 * GIB)
    assert (kd.gpus, kd.cpus, kd.memory) == (0.5, 4, 24 * GIB)
    assert (evaluate.gpus, evaluate.cpus, evaluate.memory) == (2, 3, 500_000_000)
    assert sft.text() == "1 GPU, 4 CPUs, 24.0 GiB"
    assert needs["evaluate SFT"].text() == "2 GPUs, 0.5 GiB"


def test_a_row_of_several_training_seeds_has_the_needs_of_each(needs_of):
    needs = needs_of(train_seeds=2)
    assert [needs[f"train {label}"].gpus for label in ("KD", "KD seed 11")] == [0.5, 0.5]
    assert needs["train SFT seed 11"].gpus == 1


def test_an_engine_that_spreads_a_model_needs_its_gpus(needs_of, monkeypatch):
    engine = {"tensor_parallel_size": 2, "data_parallel_size": 2}
    options = {"backend": "lm_eval:hf", "backend_options": engine, "metrics": ["rougeL"]}
    needs = needs_of(evaluate=options)
    assert needs["evaluate SFT"].text() == "4 GPUs if there are any"
    assert gpus(needs, True)[2:] == [1, 0.5, 4, 4, 4]
    assert gpus(needs, False)[4:] == [0, 0, 0]
    stated = needs_of(evaluate=options, resources={"evaluate": {"gpus": 2}})
    assert stated["evaluate SFT"].gpus == 2


def test_memory_is_estimated_from_the_weights(needs_of, world):
    weights = {
        name: (folder / "model.safetensors").stat().st_size
        for name, folder in (("teacher", world.teacher), ("student", world.student))
    }
    needs = needs_of()
    wanted = 2 * GIB + 2 * weights["teacher"] + 6 * weights["student"]
    assert needs["train KD"].likely_memory == wanted
    assert needs["evaluate KD"].likely_memory == 2 * GIB + 2 * max(weights.values())
    assert needs["train KD"].memory is None


@pytest.mark.parametrize(
    ("resources", "fault"),
    [
        ({"train": {"gpuz": 1}}, r"resources\.train: unknown key 'gpuz': did you mean 'gpus'"),
        ({"traim": {}}, r"resources: unknown key 'traim': did you mean 'train'"),
        ({"train": {"gpus": 1.5}}, r"resources\.train\.gpus: must be a whole number, or a share"),
        ({"train": {"gpus": -1}}, r"resources\.train\.gpus"),
        ({"train": {"gpus": 2}}, "fill trains on one GPU; train SFT with torchrun"),
        ({"evaluate": {"memory": 24}}, r"memory: must be a size with its unit, such as 24GiB"),
        ({"evaluate": {"memory": "24 apples"}}, "such as 24GiB or 500MB"),
        ({"evaluate": {"cpus": 0}}, r"resources\.evaluate\.cpus"),
    ],
)
def test_bad_resources_are_one_line(needs_of, resources, fault):
    with pytest.raises(InputError, match=fault):
        needs_of(resources=resources)


def test_resources_change_no_fingerprint_and_are_in_the_plan(needs_of, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    needs_of(resources={"train": {"gpus": 1, "cpus": 4}})
    settings = {"models": tmp_path / "m", "results": tmp_path / "r", "plan": True}
    table = str(tmp_path / "table.yaml")
    planned = fill(FillSettings(table=table, **settings))
    assert "needs checkpoint Student; 1 GPU, 4 CPUs\n" in planned.text
    assert "runs on this machine: 2 workers on 2 GPUs\n" in planned.text
    on_ray = fill(FillSettings(table=table, executor="ray", workers=3, device="cpu", **settings))
    assert "runs on a Ray cluster on this machine: 3 workers on 2 GPUs\n" in on_ray.text
    on_slurm = fill(
        FillSettings(
            table=table, executor="slurm", executor_options={"partition": "gpu"}, **settings
        )
    )
    assert re.search(r"; 1 GPU, 4 CPUs, \d\.\d GiB\n", on_slurm.text)
    assert re.search(r"; 1 GPU if there are any, \d\.\d GiB\n", on_slurm.text)
    assert "runs on Slurm, partition gpu: up to 64 jobs of 240 min\n" in on_slurm.text
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"executor": "rai"}, "^unknown executor 'rai': "),
        ({"executor_options": {"address": "x"}}, "^executor_options=address=x: executor=local has"),
        (
            {"executor": "slurm", "executor_options": {"partitoin": "x"}},
            "executor=slurm has no such option; did you mean 'partition'",
        ),
        (
            {"executor": "slurm", "executor_options": {"time": "soon"}},
            "^executor_options=time=soon: input should be a valid integer",
        ),
    ],
)
def test_a_wrong_executor_is_refused_before_any_work(tmp_path, needs_of, keys, fault):
    needs_of()
    table = str(tmp_path / "table.yaml")
    with pytest.raises(InputError, match=fault):
        fill(FillSettings(table=table, models=tmp_path / "m", results=tmp_path / "r", **keys))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_package_names_the_extra(tmp_path, needs_of, monkeypatch, name, package):
    needs_of()
    from kdbench.filling import choice

    monkeypatch.setattr(choice, "find_spec", lambda asked: None)
    wanted = rf"^executor={name} needs {package}: pip install 'kdbench\[{name}\]'$"
    with pytest.raises(InputError, match=wanted):
        fill(FillSettings(table=str(tmp_path / "table.yaml"), executor=name))
