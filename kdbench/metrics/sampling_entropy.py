"""Entropy of the distributions that the responses were sampled from.

Metric: mean over a response's tokens, the end token included, of H(q_T(· | prompt, previous
        tokens)); then the mean over sampling seeds and documents; nats per token. q_T is what the
        token was drawn from: the model's distribution at the protocol's temperature, after top-k,
        top-p and the rule against repeated n-grams. Under greedy decoding it is 0.
"""

from typing import TYPE_CHECKING

from kdbench.divergence import entropy
from kdbench.metrics import SamplingMetric, metrics

if TYPE_CHECKING:
    import torch


@metrics.register("sampling_entropy")
class SamplingEntropy(SamplingMetric):
    """Entropy per token of the distributions that the responses were sampled from."""

    name = "sampling_entropy"
    unit = "nats"
    direction = "none"

    def values(self, log_p: "torch.Tensor") -> "torch.Tensor":
        """Return the entropy at each token."""
        return entropy(log_p)
