"""The fused draw is the argmax of the scores, bit for bit, and falls back in one line."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.generate.row import drawing
from kdbench.generate.row.choosing import choose, choosing_scores
from kdbench.generate.row.noise import gumbel, gumbel_of, step_keys
from kdbench.protocol import Protocol

CPU = torch.device("cpu")


def keys_of(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(step_keys(seed, "d", rows).copy())


def logits_of(rows: int, vocabulary: int, seed: int = 0) -> torch.Tensor:
    return 4 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 6), st.integers(1, 3000), st.integers(0, 2**31))
def test_noise_of_one_row_at_a_time_is_that_of_all_together(
    rows: int, vocabulary: int, seed: int
) -> None:
    keys = keys_of(rows, seed)
    ids = torch.arange(vocabulary, dtype=torch.int32)
    together, alone = gumbel_of(keys, ids), gumbel(keys, vocabulary)
    for row in range(rows):  # a longer loop may end in other last digits
        assert torch.equal(gumbel_of(keys[row], ids), alone[row])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(
    st.integers(1, 5),
    st.integers(4, 400),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.7, 1.0]),
    st.sampled_from([(0, 1.0), (3, 1.0), (0, 0.8)]),
    st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_the_choice_is_the_argmax_of_the_scores(
    rows: int,
    vocabulary: int,
    seed: int,
    temperature: float,
    limits: tuple[int, float],
    dtype: torch.dtype,
) -> None:
    how = Protocol("test", temperature=temperature, top_k=limits[0], top_p=limits[1])
    keys, logits = keys_of(rows, seed), logits_of(rows, vocabulary, seed).to(dtype)
    banned = [(row, (seed + token) % vocabulary) for row in range(rows) for token in (0, 2)]
    scores = choosing_scores(logits.clone(), how, banned, keys)
    best, tokens = choose(logits.clone(), how, banned, keys)
    assert torch.equal(tokens, scores.argmax(-1))
    assert torch.equal(best.float(), scores.max(-1).values)
    assert not {(row, int(token)) for row, token in enumerate(tokens)} & set(banned)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_broken_logits_have_no_finite_best_score(value: float) -> None:
    logits = logits_of(3, 50)
    logits[1, 7] = value
    best, _ = drawing.draw(logits, 1.0, keys_of(3))
    assert best.isfinite().tolist() == [True, False, True]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Replaces torch's compiler, and lets nothing be remembered."""
    drawing._compiled.cache_clear()
    yield partial(monkeypatch.setattr, torch, "compile")
    drawing._compiled.cache_clear()


def test_the_compiled_draw_is_one_graph_and_the_same(compiler: Any) -> None:
    compile_ = torch.compile
    compiler(partial(compile_, backend="aot_eager", fullgraph=True))
    compiled = drawing._compiled(CPU, torch.float32)
    assert compiled is not None
    with torch.inference_mode():
        for rows in (5, 4, 1):
            logits, keys = logits_of(rows, 1000), keys_of(rows)
            for ours, wanted in zip(
                compiled(logits, 0.7, keys), drawing._together(logits, 0.7, keys), strict=True
            ):
                assert torch.equal(ours, wanted)


def test_a_compiler_that_fails_is_not_used(compiler: Any, capsys: Any) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        def compiled(*_: Any) -> Any:
            raise RuntimeError("no compiler\nfound")

        return compiled

    compiler(fails)
    assert drawing._compiled(CPU, torch.float32) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be compiled: RuntimeError: no compiler found" in line


def test_a_compiler_that_gives_other_draws_is_not_used(compiler: Any, capsys: Any) -> None:
    def other(function: Any, **_: Any) -> Any:
        return lambda logits, temperature, keys: function(logits, temperature, keys + 1)

    compiler(other)
    assert drawing._compiled(CPU, torch.float32) is None
    assert "other draws" in capsys.readouterr().err


def test_a_large_batch_on_a_gpu_is_drawn_by_the_compiled_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OnGPU:
        """Logits that claim to be on a GPU."""

        device = torch.device("cuda")
        dtype = torch.bfloat16

        def __init__(self, size: int):
            self._size = size

        def numel(self) -> int:
            return self._size

    monkeypatch.setattr(drawing, "_compiled", lambda *_: lambda *_: ("best", "compiled"))
    monkeypatch.setattr(drawing, "_together", lambda *_: ("best", "separate"))
    large: Any = OnGPU(drawing._WORTH_COMPILING)
    small: Any = OnGPU(drawing._WORTH_COMPILING - 1)
    assert drawing.draw(large, 1.0, keys_of(1))[1] == "compiled"
    assert drawing.draw(small, 1.0, keys_of(1))[1] == "separate"
    monkeypatch.setattr(drawing, "_compiled", lambda *_: None)
    assert drawing.draw(large, 1.0, keys_of(1))[1] == "separate"
