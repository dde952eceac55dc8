"""Shared fixtures: comparisons on the toy world, and tiny models."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import kdbench
from kdbench.measuring.measurement import Evaluation
from kdbench.metrics import metrics
from kdbench.toy.models import World

ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WIDTH = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, **ENDS}


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Any]:
    """Make a model with random weights from its family, the width of its head and a seed."""

    def make(family: str, width: int, seed: int) -> Any:
        torch.manual_seed(seed)
        keys = {"vocab_size": width, "initializer_range": 0.4, **WIDTH}
        if family == "gpt2":
            return GPT2LMHeadModel(GPT2Config(**keys)).eval()
        return LlamaForCausalLM(
            LlamaConfig(**keys, num_key_value_heads=2, intermediate_size=32)
        ).eval()

    return make


@pytest.fixture(scope="session")
def compare(world: World) -> Callable[..., Evaluation]:
    """Compare the toy student with the toy teacher on a few documents."""

    def run(results: Path, **settings: object) -> Evaluation:
        chosen = {
            "model": str(world.student),
            "teacher": str(world.teacher),
            "data": world.data,
            "tasks": ("dolly",),
            "limit": 3,
            "max_new_tokens": 18,
            "seeds": (10, 20),
            "device": "cpu",
            "metrics": ("all",),
        }
        return kdbench.evaluate(results=results, **{**chosen, **settings})

    return run


@pytest.fixture(scope="session")
def whole(
    compare: Callable[..., Evaluation], tmp_path_factory: pytest.TempPathFactory
) -> Evaluation:
    """Every metric, on three documents."""
    return compare(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def results(whole: Evaluation, tmp_path: Path) -> Path:
    """A copy of the results of `whole`, as a starting point."""
    return shutil.copytree(whole.run.parents[1], tmp_path / "results")


@pytest.fixture
def generated(results: Path) -> Path:
    """The samples of `whole`, not yet compared with the teacher."""
    for file in results.rglob("*.fidelity-*.jsonl"):
        file.unlink()
    for file in results.glob("student/*/dolly.json"):
        file.unlink()
    return results


@pytest.fixture
def changed_teacher(world: World, tmp_path: Path) -> Callable[..., str]:
    """A copy of the teacher with another `tokenizer.json` and perhaps other weights."""

    def make(
        name: str,
        change: Callable[[dict[str, Any]], None] = lambda content: None,
        weights: Callable[[Any], None] | None = None,
    ) -> str:
        folder = shutil.copytree(world.teacher, tmp_path / name)
        file = folder / "tokenizer.json"
        content = json.loads(file.read_text("utf-8"))
        change(content)
        file.write_text(json.dumps(content), "utf-8")
        if weights is not None:
            model = LlamaForCausalLM.from_pretrained(folder)
            weights(model)
            model.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture
def with_metric(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Register a third-party metric, as an entry point would."""
    metrics.names()

    def add(kind: Any) -> None:
        monkeypatch.setitem(metrics._parts, kind.name, kind)

    return add
