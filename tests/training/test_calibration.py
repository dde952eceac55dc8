"""The temperature that calibrates a model."""

import pytest
import torch

from kdbench.errors import InputError
from kdbench.training.calibration import LEAST, MOST, calibrating_temperature


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_tokens_drawn_at_a_temperature_give_it_back(temperature):
    draw = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(20_000, 5, generator=draw, dtype=torch.float64)
    drawn = (scores / temperature).softmax(-1).multinomial(1, generator=draw)[:, 0]
    assert calibrating_temperature(scores, drawn) == pytest.approx(temperature, rel=0.05)
    assert calibrating_temperature(scores + 7, drawn) == pytest.approx(temperature, rel=0.05)


def test_its_ends():
    scores = torch.tensor([[3.0, 0.0], [2.0, 0.0]])
    assert calibrating_temperature(scores, torch.tensor([0, 0])) == pytest.approx(LEAST)
    assert calibrating_temperature(scores, torch.tensor([1, 1])) == pytest.approx(MOST)
    with pytest.raises(InputError, match="target_temperature=auto: no token"):
        calibrating_temperature(scores[:0], torch.tensor([], dtype=torch.long))
