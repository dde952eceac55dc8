"""The draw of the next token: temperature, the row's noise and the choice, in one pass.

On a GPU each step of this arithmetic would be a kernel that reads and writes (rows, V) numbers, so
they are compiled into one. On a CPU one row at a time stays in the processor's cache. The integers
of the noise are the same in all of these.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from kdbench.system.console import note_once

if TYPE_CHECKING:
    import torch

# Rows x V of a batch on a GPU from which compiling, which takes seconds, is worth it.
_WORTH_COMPILING = 1 << 22
_PROBED_ROWS, _PROBED_TOKENS = 4, 4096


def draw(
    logits: "torch.Tensor", temperature: float, keys: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Draw each row's next token.

    Args:
        logits: Logits or scores of the next token, (rows, V), -inf where it is banned.
        temperature: Temperature, above 0.
        keys: Noise keys of this step, int32 of shape (rows, 2) (`noise.step_keys`).

    Returns:
        The best scores, float32 of shape (rows,), and the tokens that have them, int64.
    """
    if logits.device.type == "cpu":
        return _by_row(logits, temperature, keys)
    if logits.numel() >= _WORTH_COMPILING and (compiled := _compiled(logits.device, logits.dtype)):
        best, tokens = compiled(logits, temperature, keys)
        return best, tokens
    return _together(logits, temperature, keys)


def _together(
    logits: "torch.Tensor", temperature: float, keys: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    import torch

    from kdbench.generate.row.noise import gumbel_of

    ids = torch.arange(logits.shape[1], dtype=torch.int32, device=logits.device)
    best, tokens = (logits.float() / temperature + gumbel_of(keys, ids)).max(dim=-1)
    return best, tokens


def _by_row(
    logits: "torch.Tensor", temperature: float, keys: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    import torch

    from kdbench.generate.row.noise import Scratch

    scratch = Scratch(logits.shape[1])
    best = torch.empty(len(logits))
    tokens = torch.empty(len(logits), dtype=torch.long)
    for row, (first, second) in enumerate(keys.tolist()):
        scores = logits[row].float()
        if temperature != 1:  # a division by 1 changes nothing
            scores = scores / temperature
        noisy = scratch.gumbel(first, second).add_(scores)
        torch.max(noisy, 0, out=(best[row], tokens[row]))
    return best, tokens


@cache
def _compiled(device: "torch.device", dtype: "torch.dtype") -> Callable[..., Any] | None:
    """Compile `_together`; None, with one line, where that fails or gives other draws."""
    import torch

    from kdbench.generate.row.noise import step_keys

    compiled: Callable[..., Any] = torch.compile(_together, dynamic=True)
    keys = torch.tensor(step_keys(0, "", _PROBED_ROWS).copy(), device=device)
    logits = torch.linspace(-9, 9, _PROBED_ROWS * _PROBED_TOKENS, device=device)
    logits = logits.reshape(_PROBED_TOKENS, _PROBED_ROWS).T.to(dtype).contiguous()
    try:
        best, tokens = compiled(logits, 1.0, keys)
    except Exception as error:  # noqa: BLE001 - compilers fail in ways of their own
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        note_once(f"tokens are drawn by separate kernels, as they cannot be compiled: {reason}")
        return None
    expected, wanted = _together(logits, 1.0, keys)
    if not torch.equal(tokens, wanted) or not torch.allclose(best, expected, rtol=1e-5, atol=1e-5):
        note_once("tokens are drawn by separate kernels, as compiled ones give other draws")
        return None
    return compiled
