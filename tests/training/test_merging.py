"""Merging a head: the finished head has the logits of the mixture."""

import pytest
import torch

from kdbench.training.merging import merge_head
from tests.methods.hand_values import WithHead


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_a_merged_head_has_the_mixed_logits_also_with_a_bias(weight: float) -> None:
    own = torch.nn.Linear(3, 6, dtype=torch.float64)  # the last row is padding
    other = torch.nn.Linear(3, 5, bias=False, dtype=torch.float64)
    states = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = own(states).detach()
    model = WithHead(own)
    merge_head(weight, 0.5, model, other)
    mixed = weight * before[:, :5] + (1 - weight) * other(states) / 0.5
    torch.testing.assert_close(model.head(states)[:, :5], mixed)
    torch.testing.assert_close(model.head(states)[:, 5], before[:, 5])
