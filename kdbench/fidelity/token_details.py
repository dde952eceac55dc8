"""How well the teacher agrees with each token of the student's responses.

The values fall out of the forward pass that measures the student's own responses; no other pass is
made for them.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import Positions

if TYPE_CHECKING:
    import torch

LISTED = 5
"""Most of the teacher's tokens that are listed at each token."""


def detail_values(at: Positions, acceptance: "torch.Tensor") -> "torch.Tensor":
    """What is stored of each position: acceptance, both probabilities, and the likeliest tokens.

    Args:
        at: A chunk of n positions.
        acceptance: 1 - total variation at each, (n,); NaN where the tokenizers do not meet.

    Returns:
        Float64 of shape (n, 3 + 2k): acceptance, the student's and the teacher's probability of the
        token, ids of the teacher's k likeliest tokens, and their probabilities; NaN is unknown.
    """
    import torch

    log_p, ids = at.teacher_top(LISTED)
    rates = torch.stack([acceptance, at.target_log_q.exp(), at.target_log_p.exp()], -1).double()
    likely = log_p.exp().double()
    if at.meets is not None:
        rates[:, 2].masked_fill_(~at.meets, torch.nan)
        likely = likely.masked_fill(~at.meets[:, None], torch.nan)
    return torch.cat([rates, ids.double(), likely], -1)
