"""Parts: modules that train with the student, in every state, and left out of the checkpoint."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from pydantic import Field
from transformers import AutoModelForCausalLM

import kdbench
from kdbench.methods import Method, methods
from kdbench.toy.models import World
from kdbench.training import Chunk, Objective, Part, Sizes, Triple
from kdbench.training.parts import Parts

FEW: dict[str, Any] = {
    "method": "corrected",
    "steps": 4,
    "batch_size": 4,
    "limit": 16,
    "learning_rate": 1e-2,
    "max_new_tokens": 4,
    "validation_limit": 2,
    "validate_every": 2,
    "select": "loss",
    "save_every": 1,
    "device": "cpu",
    "precision": "float32",
}


class LowRank(torch.nn.Module):
    """Logits are corrected by B A h, which the head takes over at the end."""

    def __init__(self, width: int, vocabulary: int):
        super().__init__()
        self.a = torch.nn.Linear(width, 2, bias=False)
        self.b = torch.nn.Linear(2, vocabulary, bias=False)
        torch.nn.init.normal_(self.b.weight, std=0.1)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        corrected: torch.Tensor = self.b(self.a(states))
        return corrected


def merge(model: Any, part: LowRank) -> None:
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.clone())  # the embeddings stay as they are
    model.config.tie_word_embeddings = False
    head.weight[: len(part.b.weight)] += part.b.weight @ part.a.weight


class Corrected(Objective):
    views = ()
    hidden: ClassVar[Mapping[str, tuple[int, ...]]] = {"student": (-1,)}
    floor = None

    def token(self, chunk: Chunk) -> torch.Tensor:
        logits = chunk.logits + chunk.parts["low_rank"](chunk.hidden("student", -1))
        return -chunk.of_target(logits.log_softmax(-1))

    def __str__(self) -> str:
        return "corrected"


class WithPart(Method):
    """Cross-entropy with a correction of the head."""

    title: ClassVar[str] = "Corrected"
    paper: ClassVar[str] = "none"
    cost: ClassVar[str] = "none"
    needs_teacher: ClassVar[bool] = False
    rate: float = Field(1.0, ge=0, description="rate of the part")
    merged: bool = Field(False, description="merge the part")

    def triple(self) -> Triple:
        part = Part(self.build, self.rate, merge if self.merged else None)
        return Triple(Corrected(), parts={"low_rank": part})

    @staticmethod
    def build(sizes: Sizes) -> LowRank:
        return LowRank(sizes.widths["student"], sizes.vocabulary)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    methods.register("corrected")(WithPart)
    yield
    methods._parts.pop("corrected", None)


def train(world: World, out: Path, **settings: Any) -> Any:
    both = {"student": str(world.student), "data": world.data}
    return kdbench.train(**{**FEW, **both, "out": out, **settings})


def kept(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The weights of the part that each restored state or student has."""
    found: list[dict[str, torch.Tensor]] = []
    restore = Parts.restore

    def listening(self: Parts, folder: Path) -> None:
        restore(self, folder)
        state = self.modules["low_rank"].state_dict()
        found.append({name: value.clone() for name, value in state.items()})

    monkeypatch.setattr(Parts, "restore", listening)
    return found


@pytest.mark.parametrize("lora", [0, 2])
def test_the_part_learns_and_the_checkpoint_is_without_it(
    lora: int, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = kept(monkeypatch)
    trained = train(world, tmp_path / "out", lora_rank=lora, select="last")
    fixed = train(world, tmp_path / "fixed", lora_rank=lora, select="last", rate=0)
    moved, unmoved = found
    start = unmoved["a.weight"]
    assert not torch.equal(moved["a.weight"], start)
    assert not torch.equal(moved["b.weight"], unmoved["b.weight"])
    width = AutoModelForCausalLM.from_pretrained(world.student).config.hidden_size
    assert start.std() == pytest.approx(width**-0.5 / 3**0.5, rel=0.3)  # torch's own start
    count = sum(value.numel() for value in moved.values())
    assert trained.card["parts"] == {"low_rank": count} == fixed.card["parts"]
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert "parts.pt" not in {file.name for file in (tmp_path / "out").iterdir()}
    assert model.num_parameters() > 0


def test_a_merged_part_gives_the_corrected_logits(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained equally with and without merging; the difference is B A h."""
    found = kept(monkeypatch)
    train(world, tmp_path / "plain", select="last")
    train(world, tmp_path / "merged", select="last", merged=True)
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    plain, merged = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name).eval() for name in ("plain", "merged")
    )
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        out = plain(ids, output_hidden_states=True)
        correction = out.hidden_states[-1] @ found[0]["a.weight"].T @ found[0]["b.weight"].T
        difference = merged(ids).logits - out.logits
    assert correction.abs().max() > 1e-3
    torch.testing.assert_close(
        difference[..., : correction.shape[-1]], correction, atol=1e-5, rtol=1e-4
    )


def test_an_interrupted_run_ends_with_the_same_part(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdbench.training.trainer import DistillationTrainer

    found = kept(monkeypatch)
    train(world, tmp_path / "one", select="last")
    step = DistillationTrainer.training_step

    def stop(self: Any, *arguments: Any) -> Any:
        if self.state.global_step >= 2:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as interrupting:
        interrupting.setattr(DistillationTrainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(world, tmp_path / "two", select="last")
    state = json.loads(
        (tmp_path / "two.unfinished" / "checkpoint-2" / "kdbench_state.json").read_text()
    )
    assert {"checkpoint-2/parts.pt", "best-2/parts.pt"} <= set(state["files"])  # by their hashes
    train(world, tmp_path / "two", select="last")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    assert all(torch.equal(found[0][name], found[-1][name]) for name in found[0])


def sizes() -> Sizes:
    return Sizes({"student": 4}, {"student": 2}, 6)


def test_first_weights_hang_on_seed_and_name_and_draw_nothing_from_the_run() -> None:
    def built(seed: int, name: str = "p") -> torch.Tensor:
        part = Part(lambda sizes: torch.nn.Linear(sizes.widths["student"], 3))
        parts = Parts({name: part}, sizes(), "cpu", lambda module: None, 1.0, seed)
        weight: torch.Tensor = parts.modules[name].weight
        return weight

    before = torch.random.get_rng_state()
    first = built(1)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(first, built(1))
    assert not torch.equal(first, built(2))
    assert not torch.equal(first, built(1, "q"))
    with pytest.raises(kdbench.InputError, match="'p' is int: build must return a torch module"):
        Parts({"p": Part(lambda _: 3)}, sizes(), "cpu", lambda module: None, 1.0, 1)


def test_a_step_clips_and_takes_the_mean_over_processes() -> None:
    """SGD by hand: the mean of two processes' gradients, clipped to norm 1, at twice the rate."""
    part = Part(lambda _: torch.nn.Linear(2, 1, bias=False), rate=2.0)
    kind = torch.optim.SGD
    parts = Parts({"p": part}, sizes(), "cpu", lambda m: kind(m.parameters(), 1.0), 1.0, 1)
    weight = parts.modules["p"].weight
    before = weight.detach().clone()
    weight.grad = torch.tensor([[6.0, 0.0]])
    other = torch.tensor([[0.0, 8.0]])
    parts.step(0.1, lambda own: (own + other) / 2)
    expected = before - 0.2 * torch.tensor([[3.0, 4.0]]) / 5
    torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=1e-5)
