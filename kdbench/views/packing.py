"""Several texts in one row of a forward pass, none of which sees another.

The positions of each text begin at 0 again. transformers makes the attention mask from that.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kdbench.views.probe import accepts, distance, plainly, probe_tokens, tolerance
from kdbench.views.rollout import Batch, Rollout

if TYPE_CHECKING:
    import torch

_LENGTHS = (9, 4, 6)


class PackedInputs(NamedTuple):
    """The inputs of a forward pass, as `Batch.inputs` has them, with positions.

    Attributes:
        ids: Input ids, (rows, T), padded on the right.
        positions: The position of each in its text, (rows, T).
        rows: The row in which each of the N tokens is predicted, (N,).
        columns: The column.
    """

    ids: "torch.Tensor"
    positions: "torch.Tensor"
    rows: "torch.Tensor"
    columns: "torch.Tensor"


def packed_inputs(
    batch: Batch, prompt: Callable[[Rollout], Sequence[int]] | None = None
) -> PackedInputs | None:
    """The inputs where packed responses of a group are in one row; None if none is packed.

    Args:
        batch: The responses.
        prompt: Returns the prompt to show instead of the rollout's.
    """
    import torch

    if not any(rollout.packed for rollout in batch.rollouts):
        return None
    ids: list[list[int]] = []
    positions: list[list[int]] = []
    rows, columns, row_of = list[int](), list[int](), dict[object, int]()
    for number, rollout in enumerate(batch.rollouts):
        key = rollout.group if rollout.packed and rollout.group is not None else number
        row = row_of.setdefault(key, len(ids))
        if row == len(ids):
            ids.append([])
            positions.append([])
        asked = tuple(prompt(rollout)) if prompt else rollout.prompt_ids
        first = len(ids[row]) + len(asked) - 1
        length = len(asked) + len(rollout.response_ids) - 1
        ids[row] += (*asked, *rollout.response_ids[:-1])
        positions[row] += range(length)
        rows += [row] * len(rollout.response_ids)
        columns += range(first, first + len(rollout.response_ids))
    longest = max(map(len, ids))
    empty = [longest - len(of_row) for of_row in ids]  # the padding is a text of its own
    ids = [[*of_row, *[0] * more] for of_row, more in zip(ids, empty, strict=True)]
    positions = [[*of_row, *range(more)] for of_row, more in zip(positions, empty, strict=True)]
    made = (torch.tensor(given, device=batch.device) for given in (ids, positions, rows, columns))
    return PackedInputs(*made)


def can_pack(model: Any, vocabulary: int) -> bool:
    """Whether texts have the same logits in one row as alone, which is tried on a few tokens.

    Args:
        model: A transformers model.
        vocabulary: Number of tokens V.
    """
    if not accepts(model, "position_ids"):
        return False
    with plainly(model):
        texts = probe_tokens(model, vocabulary, _LENGTHS)
        rollouts = [
            Rollout(str(n), text[:1], text[1:], "probe", group=str(n // 2), packed=True)
            for n, text in enumerate(texts)
        ]
        inputs = packed_inputs(Batch(rollouts, model.device))
        assert inputs is not None  # noqa: S101 - they are packed
        logits = model(input_ids=inputs.ids, position_ids=inputs.positions, use_cache=False).logits
        together = logits[inputs.rows, inputs.columns, :vocabulary].float()
        alone = []
        for rollout in rollouts:
            ids, rows, columns = Batch([rollout], model.device).inputs()
            logits = model(input_ids=ids, use_cache=False).logits
            alone.append(logits[rows, columns, :vocabulary].float())
        apart = [
            distance(some, one)
            for some, one in zip(together.split([len(x) for x in alone]), alone, strict=True)
        ]
    return max(apart) <= tolerance(model.dtype)
