"""Methods of one file on pairs, groups and domains: each moves what it should."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import kdbench
from kdbench.distillation.recipe import make_recipe
from kdbench.errors import InputError
from kdbench.toy.models import World
from kdbench.training import Responses, Rollout
from kdbench.training.sources.domains import FromDomains
from kdbench.training.trainer import DistillationTrainer
from kdbench.views.rollout import Batch

EXAMPLES = Path(__file__).parent / "examples"
FEW = {
    "steps": 6,
    "batch_size": 8,
    "limit": 48,
    "learning_rate": 3e-3,
    "max_new_tokens": 10,
    "validation_limit": 4,
    "validate_every": 100,
    "log_every": 1,
    "select": "last",
    "device": "cpu",
    "precision": "float32",
}


def words(world: World, name: str, **settings: object) -> dict[str, Any]:
    models = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return {**FEW, **models, "method": name, "plugins": str(EXAMPLES / f"{name}.py"), **settings}


def log_of(folder: Path, name: str) -> list[float]:
    lines = (folder / "training.jsonl").read_text().splitlines()
    return [line[name] for line in map(json.loads, lines) if name in line]


def train(world: World, out: Path, name: str, **settings: object) -> Path:
    return kdbench.train(out=out, **words(world, name, **settings)).checkpoint


@pytest.fixture(scope="session")
def pairs(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's rows with a pair each: the reference once is better than twice."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = map(json.loads, (world.data / "dolly" / "train.jsonl").read_text().splitlines())
    lines = []
    for row in rows:
        text = row["output"][0]
        pair = {"chosen": text, "rejected": f"{text} {text}"}
        lines.append(json.dumps({**row, **pair}))
    file.write_text("\n".join(lines))
    return file


@pytest.fixture(scope="session")
def of_each(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's data with two validation rows of each category."""
    folder = tmp_path_factory.mktemp("each")
    shutil.copytree(world.data / "dolly", folder / "dolly")
    rows = [*map(json.loads, (world.data / "dolly" / "valid.jsonl").read_text().splitlines())]
    rows += map(json.loads, (world.data / "dolly" / "train.jsonl").read_text().splitlines())
    kept: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        kept.setdefault(row["category"], []).append({**row, "id": f"{len(kept)}-{row['id']}"})
    chosen = [row for rows in kept.values() for row in rows[:2]]
    (folder / "dolly" / "valid.jsonl").write_text("\n".join(map(json.dumps, chosen)))
    return folder


def swapped(file: Path, folder: Path) -> Path:
    other = folder / "swapped.jsonl"
    text = file.read_text().replace('"chosen"', '"x"').replace('"rejected"', '"chosen"')
    other.write_text(text.replace('"x"', '"rejected"'))
    return other


def test_dpo_moves_the_margin_and_a_swapped_file_swaps_the_loss(
    world: World, pairs: Path, tmp_path: Path
) -> None:
    steps = {"steps": 4, "micro_batch_size": 3, "train_set": str(pairs), "valid_set": "dolly"}
    folder = train(world, tmp_path / "pairs", "pairs", **steps)
    losses = log_of(folder, "loss/pairs(beta=0.1) per group")
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)  # the student is the reference
    assert losses[-1] < 0.6
    again = train(world, tmp_path / "two", "pairs", **{**steps, "steps": 1, "micro_batch_size": 16})
    assert log_of(again, "grad_norm")[0] == pytest.approx(log_of(folder, "grad_norm")[0], rel=1e-4)
    steps["train_set"] = str(swapped(pairs, tmp_path))
    other = train(world, tmp_path / "swapped", "pairs", **{**steps, "steps": 1})
    gradients = [log_of(place, "grad_norm")[0] for place in (folder, other)]
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-4)  # of the opposite direction


def test_the_loss_of_a_pair_and_its_gradient_are_those_worked_out_by_hand() -> None:
    """log q is -2 and -3, that of the reference -2.5 and -2.8: the margin is 0.7 (DPKD's check)."""
    dpo = make_recipe(
        {"method": "pairs", "student": "s", "plugins": str(EXAMPLES / "pairs.py")}
    ).method.triple()
    objective = dpo.terms[0].objective
    rollouts = [
        Rollout("a", (1,), (5, 6), "chosen", group="pair"),
        Rollout("a", (1,), (7,), "rejected", group="pair"),
    ]

    def loss(order: list[int]) -> tuple[float, list[list[float]]]:
        by_row = {0: ([-1.5, -0.5], [-1.0, -1.5]), 1: ([-3.0], [-2.8])}
        log_q = [value for row in order for value in by_row[row][0]]
        reference = [value for row in order for value in by_row[row][1]]
        flat = torch.tensor(log_q, dtype=torch.float64, requires_grad=True)
        fixed = torch.tensor(reference, dtype=torch.float64)
        batch = Batch([rollouts[row] for row in order])
        rows = Responses(batch, flat, lambda kind, view: fixed, {}, {})
        total = objective.sequence(rows).sum()
        (gradient,) = torch.autograd.grad(total, flat)
        split = gradient.split(batch.lengths)
        return float(total.detach()), [split[order.index(row)].tolist() for row in (0, 1)]

    for order in ([0, 1], [1, 0]):
        value, (better, worse) = loss(order)
        assert value == pytest.approx(-math.log(1 / (1 + math.exp(-0.07))), abs=1e-12)
        assert value == pytest.approx(0.658760, abs=1e-6)
        slope = 0.1 / (1 + math.exp(0.07))
        assert better == pytest.approx([-slope, -slope], abs=1e-12)
        assert worse == pytest.approx([slope], abs=1e-12)
    names = ("rejected", "chosen")
    rollouts = [
        Rollout("a", (1,), row.response_ids, name, group="pair")
        for row, name in zip(rollouts, names, strict=True)
    ]
    value, (better, _) = loss([0, 1])
    assert value == pytest.approx(math.log(1 + math.exp(0.07)), abs=1e-12)
    assert better == pytest.approx([0.1 / (1 + math.exp(-0.07))] * 2, abs=1e-12)


def test_grpo_raises_the_reward_of_its_verifier(world: World, tmp_path: Path) -> None:
    folder = train(world, tmp_path / "groups", "groups", steps=12, passes=2, micro_batch_size=16)
    rewards = log_of(folder, "reward")
    assert len(rewards) == 6  # responses are sampled in every other step
    assert sum(rewards[-2:]) / 2 > rewards[0] + 0.2
    assert all(0 <= share <= 1 for share in log_of(folder, "groups/with_signal"))
    assert log_of(folder, "groups/solved")[-1] >= rewards[-1]


def test_domains_are_drawn_more_where_the_student_is_behind(
    world: World, of_each: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[FromDomains] = []
    begin = FromDomains.begin

    def remember(self: FromDomains, context: Any) -> None:
        sources.append(self)
        begin(self, context)

    monkeypatch.setattr(FromDomains, "begin", remember)
    settings = {"limit": 600, "validation_limit": None, "batch_size": 16, "steps": 6}
    settings |= {"data": of_each, "validation_samples": 2}
    folder = train(world, tmp_path / "mix", "domains", **settings)
    lines = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    (first, *_) = [line for line in lines if "schedule/domain/sum" in line]
    weights = {
        name.removeprefix("schedule/domain/"): value
        for name, value in first.items()
        if name.startswith("schedule/domain/")
    }
    assert sum(weights.values()) == pytest.approx(1)
    (source,) = sources
    drawn = Counter(source.drawn)
    assert drawn.total() == 6 * 16
    ranked = sorted(weights, key=lambda name: -weights[name])
    high, low = ranked[: len(ranked) // 2], ranked[len(ranked) // 2 :]
    assert sum(drawn[name] for name in high) > sum(drawn[name] for name in low)


@pytest.mark.parametrize("name", ["groups", "domains"])
def test_a_resume_between_passes_and_domains_gives_the_same_bits(
    world: World, of_each: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    few = {"steps": 3, "save_every": 1, "data": of_each, "validation_samples": 1}
    few |= {"passes": 2, "validation_limit": 1} if name == "groups" else {"validation_limit": None}
    whole = train(world, tmp_path / "whole", name, **few)
    learn = DistillationTrainer.training_step

    def stop(self: DistillationTrainer, *arguments: Any) -> torch.Tensor:
        if self.state.global_step == 1:
            raise KeyboardInterrupt
        return learn(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(DistillationTrainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(world, tmp_path / "resumed", name, **few)
    resumed = train(world, tmp_path / "resumed", name, **few)
    weights = [(place / "model.safetensors").read_bytes() for place in (whole, resumed)]
    assert weights[0] == weights[1]


def test_two_processes_learn_from_pairs_and_groups_like_one(
    world: World, pairs: Path, tmp_path: Path
) -> None:
    few = {"steps": 2, "micro_batch_size": 4, "validation_limit": 1, "validation_samples": 1}
    runs = {
        "pairs": words(world, "pairs", **few, train_set=str(pairs), valid_set="dolly"),
        "groups": words(world, "groups", **few, samples=3),
    }
    for name, settings in runs.items():
        kdbench.train(out=tmp_path / "one" / name, **settings)
    script = tmp_path / "train.py"
    script.write_text(
        "import json, sys, kdbench\n"
        "for name, settings in json.loads(sys.argv[2]).items():\n"
        "    kdbench.train(out=f'{sys.argv[1]}/{name}', **settings)\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    done = subprocess.run(
        [*launch, str(script), str(tmp_path / "two"), json.dumps(runs, default=str)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in runs:
        for value in ("loss", "grad_norm"):
            ours, theirs = (log_of(tmp_path / count / name, value) for count in ("one", "two"))
            assert len(ours) == 2
            assert ours[0] == pytest.approx(theirs[0], rel=1e-4, abs=1e-6)
            assert ours == pytest.approx(theirs, rel=5e-3, abs=2e-3)
    rewards = [log_of(tmp_path / count / "groups", "reward") for count in ("one", "two")]
    assert rewards[0] == pytest.approx(rewards[1])


def test_a_missing_field_is_named_before_a_model_is_loaded(
    world: World, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.distillation.students.StudentSource.load", None)
    with pytest.raises(InputError, match=r"train\.jsonl:1: the method needs the field 'chosen'"):
        train(world, tmp_path / "out", "pairs")
    with pytest.raises(InputError, match=r"train\.jsonl:1: the method needs the field 'nothing'"):
        train(world, tmp_path / "out", "domains", field="nothing")
    assert not (tmp_path / "out").exists()
