"""Copies of weights for decoding: the same products, for every batch, of the present weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from kdbench.generate import Row
from kdbench.generate.decoding import linears
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.guard import SoundDecodings
from kdbench.generate.decoding.linears import linears_of
from kdbench.generate.decoding.placed import PlacedDecoding
from kdbench.protocol import get_protocol
from kdbench.toy.models import World

V = 300
PROMPTS = [tuple(range(3, 20)), (5, 6), (9, 8, 7, 6)]

packs = pytest.mark.skipif(not linears._can_pack(), reason="no blocked layout on this machine")


class Model(nn.Sequential):
    """Layers on a device."""

    device = torch.device("cpu")


def llama(**more: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 256, "intermediate_size": 320, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=V, **sizes, **heads, **more)).eval()


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=V, n_embd=32, n_layer=2, n_head=4)).eval()


@packs
@pytest.mark.parametrize(("width", "out"), [(256, 300), (1536, 64), (64, 1536), (300, 301)])
@torch.inference_mode()
def test_a_row_has_the_same_product_in_a_batch_of_any_size(width: int, out: int) -> None:
    torch.manual_seed(width)
    model = Model(nn.Linear(width, out))
    rows = torch.randn(200, width)
    plain = model(rows)
    copies = linears_of(model)
    assert set(copies.forwards) == {model[0]}
    with copies.running():
        whole = model(rows)
        torch.testing.assert_close(whole, plain, rtol=1e-4, atol=1e-5)
        for size in (1, 2, 3, 4, 5, 7, 12, 16, 31, 60, 64, 65, 128, 199):
            for start in (0, 1, 200 - size):
                part = model(rows[start : start + size])
                assert torch.equal(part, whole[start : start + size])
        one = model(rows[None, :1])
        assert one.shape == (1, 1, out)
        assert torch.equal(one[0], whole[:1])
    assert torch.equal(model(rows), plain)


@packs
@pytest.mark.skipif(not linears._has_bfloat16(), reason="no bfloat16 kernels on this machine")
@pytest.mark.parametrize("autocast", [True, False])
@torch.inference_mode()
def test_products_in_bfloat16_are_blocked_too_and_differ_by_rounding(autocast: bool) -> None:
    torch.manual_seed(0)
    model = Model(nn.Linear(256, 300))
    rows = torch.randn(12, 1, 256)
    exact = model.double()(rows.double()).float()
    model.to(torch.float32 if autocast else torch.bfloat16)
    given = rows if autocast else rows.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        copies = linears_of(model)
        with copies.running():
            product = model(given)
        plain = model(given)
    assert product.dtype == plain.dtype == torch.bfloat16
    assert product.shape == plain.shape
    ours, theirs = ((states.float() - exact).abs().max() for states in (product, plain))
    assert ours <= 1.5 * theirs


@packs
def test_only_plain_layers_of_some_size_are_copied() -> None:
    class Own(nn.Linear):
        """A layer with a product of its own."""

    hooked = nn.Linear(256, 256)
    hooked.forward = hooked.forward  # type: ignore[method-assign] # as accelerate does
    half = nn.Linear(256, 256).half()
    model = Model(nn.Linear(256, 256), Own(256, 256), nn.Linear(8, 8), hooked, half)
    assert set(linears_of(model).forwards) == {model[0]}


@packs
def test_no_copies_where_they_would_take_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(nn.Linear(256, 256))
    monkeypatch.setattr(linears, "_memory", lambda: 4 * 4 * 256 * 256)
    assert linears_of(model).forwards
    monkeypatch.setattr(linears, "_memory", lambda: 4 * 4 * 256 * 256 - 1)
    assert not linears_of(model).forwards


@packs
def test_layers_are_as_they_were_after_an_error() -> None:
    model = Model(nn.Linear(256, 256))
    with linears_of(model).running():
        assert "forward" in vars(model[0])
    with pytest.raises(ZeroDivisionError), linears_of(model).running():
        _ = 1 / 0
    assert "forward" not in vars(model[0])


@packs
@torch.inference_mode()
def test_each_decoding_has_the_present_weights() -> None:
    """In training, weights change in between: by an optimiser, or through `.data`."""
    model = llama()
    first = PlacedDecoding(model, V, PROMPTS, 3, 4).logits.clone()
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    found = PlacedDecoding(model, V, PROMPTS, 3, 4).logits
    wanted = torch.stack([model(torch.tensor([row])).logits[0, -1] for row in PROMPTS])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, first, rtol=1e-2, atol=1e-2)


def by_optimiser(model: Any) -> None:
    optimiser = torch.optim.SGD(model.parameters(), 1.0)
    model(torch.tensor([PROMPTS[0]]), labels=torch.tensor([PROMPTS[0]])).loss.backward()
    optimiser.step()


def by_averaging(model: Any) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.lerp_(torch.randn_like(parameter), 0.1)


def by_loading(model: Any) -> None:
    model.load_state_dict({name: 2 * value for name, value in model.state_dict().items()})


def by_new_tensors(model: Any) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight = nn.Parameter(layer.weight.detach() * 2)


@pytest.mark.parametrize("change", [by_optimiser, by_averaging, by_loading, by_new_tensors])
@pytest.mark.parametrize("low", [True, False])
def test_no_decoding_of_a_training_has_old_weights(change: Any, low: bool) -> None:
    """The decoding is found once, before the weights change; on copies by autocast, too."""
    model = llama()
    begin = SoundDecodings(V).of(model)

    def first() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            return begin(PROMPTS, 3, 4).logits.float().clone()

    before = first()
    change(model)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=low):
        plain = [model(torch.tensor([row])).logits[0, -1].float() for row in PROMPTS]
    error = (first() - torch.stack(plain)).abs().max()
    assert error < (0.1 if low else 1e-3) * (before - torch.stack(plain)).abs().max()
    assert model(torch.tensor([PROMPTS[0]])).logits.requires_grad  # by its own layers again


@packs
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
def test_an_adapter_that_is_trained_or_turned_off_counts() -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    model = peft.get_peft_model(llama(), config).eval()
    bare = model.get_base_model()
    begin = SoundDecodings(V).of(bare)

    @torch.inference_mode()
    def compared() -> torch.Tensor:
        found = begin(PROMPTS, 3, 4).logits
        plain = [bare(torch.tensor([row])).logits[0, -1] for row in PROMPTS]
        torch.testing.assert_close(found, torch.stack(plain), rtol=1e-4, atol=1e-4)
        return found.clone()

    seen = [compared()]
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.mul_(3)
    seen.append(compared())
    with model.disable_adapter():
        seen.append(compared())
    model.merge_adapter()
    torch.testing.assert_close(compared(), seen[1], rtol=1e-3, atol=1e-3)
    assert all((seen[i] - seen[j]).abs().max() > 1e-3 for i, j in [(0, 1), (1, 2), (0, 2)])


@packs
def test_a_generator_that_is_left_half_way_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linears, "_SMALLEST", 1)
    model = AutoModelForCausalLM.from_pretrained(world.student).eval()
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    protocol = get_protocol("greedy", {"max_new_tokens": 8})
    generator = Generator(model, tokenizer, protocol, 2)
    rows = [Row(str(seed), seed, (5, 6, 7 + seed)) for seed in range(6)]
    samples = generator.generate(rows, ())
    next(samples)
    assert not any("forward" in vars(module) for module in model.modules())
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward
    assert not torch.is_inference_mode_enabled()
    assert model(torch.tensor([[5]])).logits.requires_grad
    samples.close()
    assert not any("forward" in vars(module) for module in model.modules())


@packs
def test_layers_are_as_they_were_after_an_interrupt_between_them() -> None:
    class Interrupted(dict[Any, Any]):
        """Copies of which only the first is reached."""

        def items(self) -> Any:
            """Yield the first."""
            yield next(iter(super().items()))
            raise KeyboardInterrupt

    model = Model(nn.Linear(256, 256), nn.Linear(256, 256))
    copies = linears_of(model)
    stopped = linears.Linears(Interrupted(copies.forwards), "cpu", None)
    with pytest.raises(KeyboardInterrupt), stopped.running():
        pass
    assert not any("forward" in vars(module) for module in model.modules())


@packs
def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = linears._memory()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(linears, "_LIMIT", limit)
    for text, expected in (("4096\n", 4096), ("max\n", None), (f"{2**62}\n", None)):
        limit.write_text(text)
        assert linears._memory() == (expected or linears._memory_of_machine())
    assert whole <= linears._memory_of_machine()


class Casts(TorchDispatchMode):
    """Counts casts of a model's matrices."""

    def __init__(self, model: Any):
        super().__init__()
        self._matrices = {p.data_ptr() for p in model.parameters() if p.dim() == 2}
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and count it if it casts a matrix."""
        if function.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.to):
            self.count += args[0].data_ptr() in self._matrices
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("trained", [True, False])
def test_autocast_casts_each_weight_once(make: Any, trained: bool) -> None:
    """Trained or frozen, and in inference mode, which is left while a sample is read."""
    model = make().requires_grad_(trained)
    weights = sum(linears._is_plain(module, "cpu") for module in model.modules())
    assert weights >= 9
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.inference_mode(), Casts(model) as begin:
            decoding = PlacedDecoding(model, V, PROMPTS, 3, 8)
        assert begin.count == weights
        for _ in range(4):
            with torch.inference_mode(), Casts(model) as step:
                decoding.advance(decoding.logits.argmax(-1))
            assert step.count == 0


@pytest.mark.parametrize("make", [llama, gpt2])
def test_the_casts_are_those_of_autocast(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linears, "_can_pack", lambda: False)
    model = make()

    @torch.inference_mode()
    def logits() -> list[torch.Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            decoding = PlacedDecoding(model, V, PROMPTS, 3, 4)
            first = decoding.logits
            decoding.advance(torch.tensor([4, 5, 6]))
        return [first.clone(), decoding.logits]

    found = logits()
    monkeypatch.setattr(linears, "_is_plain", lambda *_: False)
    for ours, theirs in zip(found, logits(), strict=True):
        assert torch.equal(ours, theirs)


@torch.inference_mode()
def test_copies_for_another_precision_are_not_used() -> None:
    model = llama()
    copies = linears_of(model)
    with torch.autocast("cpu", dtype=torch.bfloat16), copies.running():
        assert not any("forward" in vars(module) for module in model.modules())
        low = linears_of(model)
    with low.running():
        assert not any("forward" in vars(module) for module in model.modules())
