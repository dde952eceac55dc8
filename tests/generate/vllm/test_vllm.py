"""Generation on vLLM draws as backend=hf does, whatever the engine does with its batch.

The logits processor is tested on tensors. The other tests need the engine.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from answering import samples

from kdbench import evaluate
from kdbench.checkpoint import find_checkpoint
from kdbench.errors import InputError
from kdbench.generate import Options, Row
from kdbench.generate.choice import choose_backend
from kdbench.generate.hf import HFBackend
from kdbench.generate.row.choosing import choosing_scores
from kdbench.generate.row.noise import step_keys
from kdbench.generate.row.response import Response
from kdbench.generate.vllm import VLLMBackend
from kdbench.generate.vllm.rows import KEY, EngineRows
from kdbench.protocol import Protocol, get_protocol
from kdbench.toy.models import World

PROMPTS = ["a b c", "Reverse the list: 1 2 3 4 5 6 7 8", "x", "the the the", "Who is it? " * 4]
V, PADDED = 50, 56


class Direction(Enum):
    UNIDIRECTIONAL = 0
    SWAP = 1


@dataclass
class Update:
    removed: list[int] = field(default_factory=list)
    added: list[tuple[int, Any, list[int] | None, list[int]]] = field(default_factory=list)
    moved: list[tuple[int, int, Direction]] = field(default_factory=list)


class Tokens:
    """A tokenizer whose tokens are numbers."""

    def decode(self, ids: list[int], **_: object) -> str:
        return " ".join(map(str, ids))


def asked(document: str, seed: int = 1) -> SimpleNamespace:
    return SimpleNamespace(extra_args={KEY: {"seed": seed, "document": document}})


def logits(*names: str, step: int) -> torch.Tensor:
    """Logits of documents at a step, the same in every batch."""
    rows = []
    for name in names:
        generator = torch.Generator().manual_seed(sum(map(ord, name)) * 100 + step)
        rows.append(torch.randn(PADDED, generator=generator))
    return torch.stack(rows)


def alone(document: str, protocol: Protocol, steps: int, seed: int = 1) -> list[int]:
    """The token that the loop of hf chooses for a row."""
    row = Response(Row(document, seed, (1, 2, 3)), protocol, Tokens(), frozenset(), ())
    keys = torch.tensor(step_keys(seed, document, steps).copy())
    tokens: list[int] = []
    for step in range(steps):
        banned = [(0, token) for token in row.banned()]
        mine = logits(document, step=step)[:, :V]
        tokens.append(int(choosing_scores(mine, protocol, banned, keys[None, step]).argmax()))
        row.take(tokens[-1])
    return tokens


PROTOCOLS = [
    get_protocol("minillm", {"no_repeat_ngram_size": 2, "max_new_tokens": 40}),
    get_protocol("minillm", {"temperature": 0.5, "top_k": 9, "top_p": 0.8, "max_new_tokens": 40}),
    get_protocol("greedy", {"no_repeat_ngram_size": 1, "max_new_tokens": 40}),
]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_rows_choose_as_in_hf_wherever_the_engine_puts_them(protocol: Protocol) -> None:
    rows = EngineRows(protocol, V)
    made: dict[str, list[int]] = {name: [] for name in "abcd"}
    places: dict[int, str] = {}
    changes = {
        0: (Update(added=[(0, asked("a"), [1, 2, 3], made["a"])]), {0: "a"}),
        2: (
            Update(
                added=[
                    (1, asked("b"), [1, 2, 3], made["b"]),
                    (2, asked("c"), [1, 2, 3], made["c"]),
                ]
            ),
            {0: "a", 1: "b", 2: "c"},
        ),
        4: (Update(moved=[(0, 2, Direction.SWAP)]), {0: "c", 1: "b", 2: "a"}),
        6: (
            Update(removed=[0], moved=[(2, 0, Direction.UNIDIRECTIONAL)]),
            {0: "a", 1: "b"},
        ),
        # A slot is filled again; a preempted row returns with its tokens.
        8: (
            Update(
                removed=[1],
                added=[
                    (1, asked("d"), [1, 2, 3], made["d"]),
                    (2, asked("c"), [1, 2, 3], made["c"]),
                ],
            ),
            {0: "a", 1: "d", 2: "c"},
        ),
    }
    for step in range(12):
        change, places = changes.get(step, (None, places))
        rows.update(change)
        names = [places[place] for place in sorted(places)]
        batch = torch.stack([logits(name, step=len(made[name]))[0] for name in names])
        chosen = rows.choose(batch).argmax(-1).tolist()
        for name, token in zip(names, chosen, strict=True):
            made[name].append(token)
    assert {name: len(tokens) for name, tokens in made.items()} == {"a": 12, "b": 6, "c": 8, "d": 4}
    for name, tokens in made.items():
        assert tokens == alone(name, protocol, len(tokens))


def test_an_unfilled_slot_is_ignored() -> None:
    rows = EngineRows(PROTOCOLS[0], V)
    rows.update(Update(added=[(0, asked("a"), [1], []), (1, asked("b"), [1], [])]))
    rows.update(Update(removed=[1]))
    assert (rows.choose(logits("a", "b", step=0))[1] == logits("a", "b", step=0)[1]).all()


def test_requests_from_elsewhere_are_unchanged() -> None:
    rows = EngineRows(PROTOCOLS[0], V)
    other = SimpleNamespace(extra_args=None)
    rows.update(Update(added=[(0, other, [1], []), (1, asked("b"), None, [])]))
    before = logits("a", "b", step=0)
    after = rows.choose(before.clone())
    assert (after[0] == before[0]).all()
    assert (after[1, :V] != before[1, :V]).all()
    rows.update(Update(removed=[1]))
    assert rows.choose(before) is before


def test_the_padding_of_the_head_cannot_be_chosen() -> None:
    rows = EngineRows(PROTOCOLS[2], V)
    rows.update(Update(added=[(0, asked("a"), [1], [])]))
    peaked = torch.zeros(1, PADDED)
    peaked[0, V] = 9.0
    assert rows.choose(peaked)[0, V:].tolist() == [-torch.inf] * (PADDED - V)


def test_non_finite_logits_name_the_document() -> None:
    rows = EngineRows(PROTOCOLS[0], V)
    rows.update(Update(added=[(0, asked("a"), [1], []), (1, asked("b"), [1], [])]))
    broken = logits("a", "b", step=0)
    broken[1] = torch.nan
    with pytest.raises(InputError, match="document 'b' are not finite"):
        rows.choose(broken)


def test_a_placeholder_token_is_an_error() -> None:
    rows = EngineRows(PROTOCOLS[0], V)
    rows.update(Update(added=[(0, asked("a"), [1], [7, -1])]))
    with pytest.raises(RuntimeError, match="before it knows"):
        rows.choose(logits("a", step=0))


def test_without_vllm_the_error_explains_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(InputError, match=r'not installed: pip install "kdbench\[vllm\]"'):
        choose_backend("vllm", {})


def test_listing_the_backends_imports_no_engine() -> None:
    code = (
        "import sys; from kdbench.generate import backends; assert 'vllm' in backends.names();"
        "print([name for name in ('vllm', 'lm_eval') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The engine itself


@pytest.fixture
def vllm() -> Any:
    for name, value in {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
    }.items():
        os.environ.setdefault(name, value)
    return pytest.importorskip("vllm", reason="vLLM is not installed (docs/backends.md)")


engine = pytest.mark.filterwarnings("ignore")  # vLLM's


def both(world: World, protocol: Protocol, **settings: Any) -> tuple[VLLMBackend, HFBackend]:
    checkpoint = find_checkpoint(str(world.teacher))
    engine_options = {"enforce_eager": True, **settings}
    options = Options(dtype="float32", batch_size=8, engine=engine_options)
    plain = Options(dtype="float32", device="cpu", batch_size=8)
    return VLLMBackend(checkpoint, protocol, options), HFBackend(checkpoint, protocol, plain)


@pytest.fixture
def stopping() -> Iterator[list[VLLMBackend]]:
    started: list[VLLMBackend] = []
    yield started
    for backend in started:
        backend.stop()


@engine
def test_samples_equal_those_of_hf_in_any_batch(vllm: Any, world: World, stopping: list) -> None:
    protocol = get_protocol("minillm", {"max_new_tokens": 24, "seeds": (10, 20, 30)})
    ours, hf = both(world, protocol)
    stopping.append(ours)
    expected = samples(hf, PROMPTS)
    generated = samples(ours, PROMPTS)
    assert generated == expected
    assert {key: sample.tokens for key, sample in generated.items()} == {
        key: sample.tokens for key, sample in expected.items()
    }
    assert samples(ours, PROMPTS[3:1:-1]) == {
        k: v for k, v in generated.items() if k[0] in PROMPTS[2:4]
    }
    until = ("e", "zzz")
    assert samples(ours, PROMPTS, until) == samples(hf, PROMPTS, until)
    assert ours.facts().parameters == sum(weight.numel() for weight in hf.model.parameters())
    assert ours.facts().dtype == "float32"
    # The model for a forward pass replaces the engine.
    assert sum(weight.numel() for weight in ours.model.parameters()) == ours.facts().parameters
    assert "_engine" not in vars(ours)


@engine
def test_preemption_does_not_change_the_texts(vllm: Any, world: World, stopping: list) -> None:
    """Few blocks, so that rows are preempted; chunked prompts; every sampling rule."""
    fields = {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "no_repeat_ngram_size": 2}
    protocol = get_protocol("minillm", {**fields, "max_new_tokens": 60, "seeds": (1, 2, 3, 4)})
    tight = {"max_model_len": 128, "block_size": 32, "num_gpu_blocks_override": 7}
    ours, hf = both(world, protocol, max_num_batched_tokens=16, **tight)
    stopping.append(ours)
    assert samples(ours, PROMPTS) == samples(hf, PROMPTS)


@engine
def test_unknown_and_taken_engine_settings_are_errors(vllm: Any) -> None:
    with pytest.raises(InputError, match="did you mean 'tensor_parallel_size'"):
        choose_backend("vllm", {"tensor_parallel": 2})
    with pytest.raises(InputError, match="kdbench sets it; use batch_size="):
        choose_backend("vllm", {"max_num_seqs": 2})
    with pytest.raises(InputError, match="takes no argument after a colon"):
        choose_backend("vllm:fast", {})
    silent = choose_backend("vllm", {"tensor_parallel_size": 2, "enforce_eager": True})
    assert silent.identity == "vllm"
    assert choose_backend("vllm", {"quantization": "fp8"}).identity != "vllm"


def eval_arguments(world: World, results: Any, **settings: Any) -> list[str]:
    given = {
        "model": world.teacher,
        "data": world.data,
        "results": results,
        "tasks": "dolly,vicuna",
        "limit": 8,
        "seeds": "10,20",
        "max_new_tokens": 24,
        "dtype": "float32",
        "backend": "vllm",
        "backend_options": "enforce_eager=true",
        **settings,
    }
    return [f"{key}={value}" for key, value in given.items()]


def kdbench(arguments: list[str], **more: Any) -> subprocess.Popen:
    command = [sys.executable, "-m", "kdbench", "eval", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def engines_of(session: int) -> list[str]:
    """The engine's processes that are still running."""
    command = ["ps", "-s", str(session), "-o", "stat=,args="]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "VLLM::" in line and line[0] != "Z"]


@engine
def test_a_killed_run_resumes_without_loss(vllm: Any, world: World, tmp_path: Any) -> None:
    whole = kdbench(
        eval_arguments(world, tmp_path / "whole", backend="hf", backend_options="", device="cpu")
    )
    assert whole.wait(900) == 0, whole.communicate()[1]
    # One row at a time leaves time to kill the process between two samples.
    process = kdbench(eval_arguments(world, tmp_path / "cut", batch_size=1), start_new_session=True)
    deadline = time.monotonic() + 900
    lines: list[str] = []
    while len(lines) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
        for file in tmp_path.glob("cut/teacher/*/samples/dolly.jsonl"):
            lines = file.read_text("utf-8").splitlines()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(900)
    while engines_of(process.pid) and time.monotonic() < deadline:  # they end after it
        time.sleep(0.5)
    assert not engines_of(process.pid)
    (file,) = tmp_path.glob("cut/teacher/*/samples/dolly.jsonl")
    there = [line for line in file.read_text("utf-8").splitlines() if line.endswith("}")]
    again = kdbench(eval_arguments(world, tmp_path / "cut", batch_size=1))
    printed, said = again.communicate(timeout=900)
    assert again.returncode == 0, said.decode()
    assert f"{32 - len(there)} samples generated" in printed.decode()
    (record,) = tmp_path.glob("cut/teacher/*/run.json")
    backend = json.loads(record.read_text("utf-8"))["backend"]
    assert backend["engine"].startswith("vllm ")
    assert (backend["batch_size"], backend["options"]) == (1, {"enforce_eager": True})
    for task in ("dolly", "vicuna"):
        (ours,) = tmp_path.glob(f"cut/teacher/*/{task}.json")
        (theirs,) = tmp_path.glob(f"whole/teacher/*/{task}.json")
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.fixture
def noisy(world: World, tmp_path: Any) -> Any:
    """The teacher with perturbed weights; vLLM on a CPU cannot run the toy student's heads."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(world.teacher)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2 * weight.std(correction=0))
    model.save_pretrained(tmp_path / "noisy")
    AutoTokenizer.from_pretrained(world.teacher).save_pretrained(tmp_path / "noisy")
    return tmp_path / "noisy"


@engine
def test_an_engines_top_k_bounds_the_exact_values(
    vllm: Any, world: World, noisy: Any, tmp_path: Any
) -> None:
    given = {
        "model": str(noisy),
        "teacher": str(world.teacher),
        "data": world.data,
        "results": tmp_path / "results",
        "tasks": ["dolly"],
        "limit": 4,
        "seeds": [10, 20],
        "max_new_tokens": 16,
        "dtype": "float32",
        "device": "cpu",
        "metrics": ["all"],
    }
    engine = {"backend": "vllm", "backend_options": {"enforce_eager": True}}
    caches = {name: tmp_path / name for name in ("hf", "vllm")}

    def measured(**more: Any) -> dict[str, Any]:
        return dict(evaluate(**{**given, **more}).results["dolly"].metrics)

    exact = measured(teacher_cache=caches["hf"], cache_top_k=50)
    theirs = measured(teacher=f"cache:{caches['hf']}")
    engine_scores = {"teacher_scores": "engine", "teacher_cache": caches["vllm"], "cache_top_k": 50}
    ours = measured(**engine, **engine_scores)
    again = measured(**engine, teacher=f"cache:{caches['vllm']}")
    compared = [name for name, metric in theirs.items() if metric.value is not None]
    assert {"fkl@ref", "rkl@student", "acceptance@teacher", "top1@ref"} <= set(compared)
    for name in compared:
        if name.partition("@")[0] in ("entropy_ratio", "top1_decision"):
            assert ours[name].reason == "the teacher's entropy is not known from its top 50"
        else:
            assert ours[name].value == pytest.approx(theirs[name].value, rel=2e-3, abs=1e-3), name
            assert ours[name].bound == theirs[name].bound
        assert again[name].value == ours[name].value
    assert 0 < ours["fkl@ref"].value <= exact["fkl@ref"].value
    assert ours["acceptance@student"].value >= exact["acceptance@student"].value
