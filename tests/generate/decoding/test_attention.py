"""Grouped queries attend to keys and values where they are: no copy for each head exists."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_counts import KernelCounts
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from kdbench.generate.decoding import placed
from kdbench.generate.decoding.attention import grouped, grouped_attention
from kdbench.generate.decoding.placed import PlacedDecoding
from kdbench.generate.decoding.prefill import prefill
from kdbench.generate.decoding.replay import ReplayedDecoding

LAYERS, KV, GROUPS, WIDTH, V, ROWS, ROOM = 2, 2, 4, 16, 30, 3, 4
PROMPTS = [tuple((3 + i * row) % V for i in range(60 - 9 * row)) for row in range(ROWS)]
COLUMNS = 61  # of the first step


class Layer(torch.nn.Module):
    """What the attention reads from its layer."""

    num_key_value_groups = GROUPS
    is_causal = True


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=KV * GROUPS * WIDTH,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=KV * GROUPS,
        num_key_value_heads=KV,
    )
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def step_of(model: Any, kind: Any) -> KernelCounts:
    decoding = kind(model, V, PROMPTS, ROWS, ROOM)
    with KernelCounts() as counts:
        decoding.advance(torch.arange(ROWS))
    return counts


def expanded(counts: KernelCounts) -> list[tuple[int, ...]]:
    """Shapes of what was written that hold each column for each head and not only for keys'."""
    size = ROWS * KV * GROUPS * COLUMNS * WIDTH
    return [shape for shape in counts.shapes if math.prod(shape) >= size]


def copying(
    module: Any, query: Any, key: Any, value: Any, mask: Any, **rest: Any
) -> tuple[torch.Tensor, None]:
    """The attention of older versions of transformers, with a copy of the keys for each head."""
    groups = module.num_key_value_groups
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    states = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, mask, scale=rest["scaling"], is_causal=mask is None
    )
    return states.transpose(1, 2).contiguous(), None


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdbench.generate.decoding.attention.grouped_attention", copying)


@pytest.mark.parametrize("kind", [PlacedDecoding, ReplayedDecoding])
def test_a_step_makes_no_copy_of_keys_or_values_for_each_head(model: Any, kind: Any) -> None:
    counts = step_of(model, kind)
    assert expanded(counts) == []
    attention = [name for name in counts.names if "scaled_dot_product" in name]
    assert len(attention) == LAYERS
    # Launches: a bound for a layer, of 7 products, 2 norms, positions, the cache and the rest.
    assert len(counts.names) <= 38 * LAYERS + 25
    activations = ROWS * 4 * KV * GROUPS * WIDTH
    assert counts.bytes <= LAYERS * 40 * activations


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("kind", [PlacedDecoding, ReplayedDecoding])
def test_the_count_finds_the_copies_of_the_way_before(model: Any, kind: Any) -> None:
    counts = step_of(model, kind)
    assert len(expanded(counts)) == 2 * LAYERS
    assert counts.bytes > 2 * step_bytes_without(model, kind)


def step_bytes_without(model: Any, kind: Any) -> int:
    """Bytes of a step but for the copies."""
    counts = step_of(model, kind)
    return counts.bytes - sum(4 * math.prod(shape) for shape in expanded(counts))


@pytest.mark.parametrize("kind", [PlacedDecoding, ReplayedDecoding])
def test_the_cache_is_not_cast_for_every_token(model: Any, kind: Any) -> None:
    """Under autocast, in which keys are float32 after their positions are applied."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        counts = step_of(model, kind)
    assert any(name.startswith("aten._to_copy") for name in counts.names)  # of activations
    assert max(map(math.prod, counts.shapes)) < ROWS * KV * COLUMNS * WIDTH


@torch.no_grad()
def test_prompts_are_run_without_copies_too(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdbench.generate.decoding.begun._TOKENS", 10_000)  # as on a GPU
    copies = (ROWS, KV, GROUPS, len(PROMPTS[0]), WIDTH)
    with KernelCounts() as ours:
        PlacedDecoding(model, V, PROMPTS, ROWS, ROOM)
    with KernelCounts() as theirs:
        prefill(model, V, PROMPTS)  # padded on the left and masked, as models without places are
    assert copies not in ours.shapes
    assert theirs.shapes.count(copies) == 2 * LAYERS


def reference(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, seen: torch.Tensor, scale: float
) -> torch.Tensor:
    """Attention in float64, head by head; `seen` is (rows, tokens, columns)."""
    groups = query.shape[1] // key.shape[1]
    heads = []
    for head in range(query.shape[1]):
        scores = query[:, head].double() @ key[:, head // groups].double().transpose(1, 2) * scale
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        heads.append(weights @ value[:, head // groups].double())
    return torch.stack(heads, 2)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 4),
    heads=st.integers(1, 3),
    groups=st.integers(1, 4),
    tokens=st.sampled_from([1, 1, 2, 7]),
    before=st.integers(0, 9),
    how=st.sampled_from(["none", "bool", "added"]),
    scale=st.sampled_from([None, 0.3]),
    seed=st.integers(0, 99),
)
def test_it_is_attention(
    rows: int,
    heads: int,
    groups: int,
    tokens: int,
    before: int,
    how: str,
    scale: float | None,
    seed: int,
) -> None:
    chance = torch.Generator().manual_seed(seed)
    columns = tokens + (before if how != "none" or tokens == 1 else 0)
    query = torch.randn(rows, heads * groups, tokens, 8, generator=chance)
    key = torch.randn(rows, heads, columns + 2, 8, generator=chance)[:, :, :columns]
    value = torch.randn(rows, heads, columns + 2, 6, generator=chance)[:, :, :columns]
    seen = torch.ones(rows, tokens, columns, dtype=torch.bool)
    if how == "none" and tokens > 1:
        seen = seen.tril()
    elif how != "none":
        seen = torch.rand(seen.shape, generator=chance) < 0.6
        seen[..., 0] = True
    mask = seen[:, None]
    if how == "added":
        mask = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)
    layer = Layer()
    layer.num_key_value_groups = groups
    given_mask = None if how == "none" else mask
    found, weights = grouped_attention(layer, query, key, value, given_mask, scaling=scale)
    wanted = reference(query, key, value, seen, 8**-0.5 if scale is None else scale)
    assert weights is None
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "special",
    [
        {"dropout": 0.5},
        {"position_bias": torch.zeros(1, 4, 1, 5)},
        {"s_aux": torch.zeros(4)},
        {"attention_mask": torch.zeros(2, 4, 1, 5)},
    ],
)
def test_what_changes_the_scores_is_left_to_transformers(
    special: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    name = "kdbench.generate.decoding.attention.sdpa_attention_forward"
    monkeypatch.setattr(name, lambda *args, **_: asked.append(args))
    query, key = torch.randn(2, 4, 1, 8), torch.randn(2, 2, 5, 8)
    grouped_attention(Layer(), query, key, key, **{"attention_mask": None} | special)
    assert len(asked) == 1


def test_a_prompt_after_others_is_left_to_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With columns before it, and no mask, what is causal depends on the version."""
    asked: list[Any] = []
    name = "kdbench.generate.decoding.attention.sdpa_attention_forward"
    monkeypatch.setattr(name, lambda *args, **_: asked.append(args))
    grouped_attention(
        Layer(), torch.randn(2, 4, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8), None
    )
    assert len(asked) == 1


def test_transformers_attention_comes_back() -> None:
    def inside() -> Callable[..., Any]:
        return ALL_ATTENTION_FUNCTIONS["sdpa"]

    with grouped():
        assert inside() is grouped_attention
        with grouped():
            assert inside() is grouped_attention
        assert inside() is grouped_attention
    assert inside() is sdpa_attention_forward


def test_transformers_attention_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), grouped():
        _ = 1 / 0
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward


def test_threads_may_decode_at_once() -> None:
    """One that ends while another runs leaves it its attention; the last one takes it away."""
    first, second = grouped(), grouped()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is grouped_attention
    second.__exit__(None, None, None)
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward


def test_a_users_own_attention_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(*_: Any) -> None:
        """Attend in another way."""

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._local_mapping, "sdpa", own)
    with grouped():
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is own


def test_the_placed_decoding_uses_it(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[int] = []

    def watched() -> Any:
        entered.append(1)
        return grouped()

    monkeypatch.setattr(placed, "grouped", watched)
    step_of(model, PlacedDecoding)
    assert len(entered) == 2
