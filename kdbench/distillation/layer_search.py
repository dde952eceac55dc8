"""Which layers of a model a pruned student keeps, ranked without training (DisWOT, adapted).

Paper: DisWOT (CVPR 2023); the authors' code was read. It ranks random networks of images by their
distances to a random teacher. Here the candidates are sets of layers of a trained model, with its
weights, and they are ranked on one batch of 256 response tokens:
    kl: the mean KL(p‖q) of next-token distributions, p the whole model's;
    relation: the squared distance of the two models' row-normalised Gram matrices of the last
        hidden states, over the square of the number of tokens, which sees no scale and rotation.
Every set is tried up to 12 layers; in deeper models the layer that is missed least is taken out,
one at a time. The paper's speed is not claimed.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from kdbench.distillation.pruning import prune
from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.system.progress import progress
from kdbench.text import counted
from kdbench.views.rollout import Batch, Example, of_dataset
from kdbench.views.view import ModelView

if TYPE_CHECKING:
    import torch

SearchMetric = Literal["kl", "relation"]
TOKENS, EXHAUSTIVE = 256, 12
_LISTED = 10  # in the run card


@dataclass(frozen=True)
class LayerSet:
    """A set of layers.

    Attributes:
        layers: The numbers of the layers that are kept, from 0.
        kl: The distance of next-token distributions, nats.
        relation: The distance of relations.
    """

    layers: tuple[int, ...]
    kl: float
    relation: float

    def by(self, metric: SearchMetric) -> float:
        """The distance that ranks it."""
        return self.kl if metric == "kl" else self.relation


@dataclass(frozen=True)
class LayerSearch:
    """What a search found.

    Attributes:
        metric: What ranks.
        ranking: The sets that were tried, the nearest first.
        baselines: Simple rules, and the nearest by KL.
        tried: How many sets were compared.
    """

    metric: SearchMetric
    ranking: Sequence[LayerSet]
    baselines: dict[str, LayerSet]
    tried: int

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are kept."""
        return self.ranking[0].layers

    def __str__(self) -> str:
        best, ends = self.ranking[0], self.baselines["first+last"]
        layers = ", ".join(map(str, best.layers))
        return (
            f"layers {layers} are kept, of {counted(self.tried, 'set')} that were tried: KL to the "
            f"whole model {best.kl:.3f} nats per token (first and last layers: {ends.kl:.3f})"
        )

    def in_card(self) -> dict[str, Any]:
        """The search ready for JSON."""
        return {
            "metric": self.metric,
            "layers": list(self.layers),
            "tried": self.tried,
            "ranking": [_written(one) for one in self.ranking[:_LISTED]],
            "baselines": {name: _written(one) for name, one in self.baselines.items()},
        }


def _written(candidate: LayerSet) -> dict[str, Any]:
    numbers = {"kl": round(candidate.kl, 6), "relation": round(candidate.relation, 6)}
    return {"layers": list(candidate.layers), **numbers}


def relation_distance(own: "torch.Tensor", other: "torch.Tensor") -> "torch.Tensor":
    """The squared distance of row-normalised Gram matrices over n², (n, H) and (n, H') each."""
    from torch.nn.functional import normalize

    first, second = (normalize(states @ states.T, dim=-1) for states in (own, other))
    return (first - second).square().sum() / len(own) ** 2


def simple_rules(total: int, count: int) -> dict[str, tuple[int, ...]]:
    """The layers that rules without a search keep: both ends, and evenly spaced ones."""
    first = (count + 1) // 2
    ends = (*range(first), *range(total - (count - first), total))
    return {"first+last": ends, "every second": tuple(n * total // count for n in range(count))}


def search_layers(
    model: Any, count: int, metric: SearchMetric, examples: Sequence[Example], seed: int
) -> LayerSearch:
    """Rank sets of layers; equal for equal model, examples and seed.

    Args:
        model: The whole model.
        count: Number of layers to keep.
        metric: What ranks.
        examples: The training examples, of which the seed chooses the batch.
        seed: The seed.

    Raises:
        InputError: There is nothing to drop, or the model cannot be pruned.
    """
    import torch

    total = model.config.get_text_config().num_hidden_layers
    if not 1 <= count < total:
        raise InputError(f"layers={count}: the model has {total}; give 1 to {total - 1}")
    batch = _batch(examples, seed, model.device)
    rules = simple_rules(total, count)
    exhaustive = total <= EXHAUSTIVE
    sets = math.comb(total, count) if exhaustive else sum(range(count + 1, total + 1))
    with torch.no_grad(), progress("layer search", sets, 0, "sets", "ranking layers") as advance:
        whole = _read(model, batch)

        def measured(layers: tuple[int, ...]) -> LayerSet:
            log_q, states = _read(prune(model, layers, shared=True), batch)
            kl = float(forward_kl(whole[0], log_q).mean())
            return LayerSet(layers, kl, float(relation_distance(whole[1], states)))

        def one_of(layers: tuple[int, ...]) -> LayerSet:
            advance()
            return measured(layers)

        tried = (
            [one_of(layers) for layers in combinations(range(total), count)]
            if exhaustive
            else _greedy(total, count, metric, one_of)
        )
        ranking = sorted(tried, key=lambda one: (one.by(metric), one.layers))
        known = {one.layers: one for one in ranking}
        baselines = {name: known.get(kept) or measured(kept) for name, kept in rules.items()}
    baselines["lowest KL"] = min(ranking, key=lambda one: (one.kl, one.layers))
    return LayerSearch(metric, ranking, baselines, sets)


def _greedy(total: int, count: int, metric: SearchMetric, measured: Any) -> list[LayerSet]:
    """The sets that the last removal chose from."""
    kept, tried = tuple(range(total)), []
    while len(kept) > count:
        smaller = [tuple(n for n in kept if n != out) for out in kept]
        tried = [measured(layers) for layers in smaller]
        kept = min(tried, key=lambda one: (one.by(metric), one.layers)).layers
    return tried


def _batch(examples: Sequence[Example], seed: int, device: Any) -> Batch:
    """Responses with 256 tokens together, or all that there are."""
    order = list(examples)
    random.Random(f"{seed} layer search").shuffle(order)
    chosen, tokens = [], 0
    for example in order:
        if tokens >= TOKENS:
            break
        chosen.append(of_dataset(example))
        tokens += len(example.response_ids)
    return Batch(chosen, device)


def _read(model: Any, batch: Batch) -> "tuple[torch.Tensor, torch.Tensor]":
    """Log-probabilities and last states at the first 256 response tokens, float32."""
    view = ModelView(model, model.config.get_text_config().vocab_size)
    states = view.states(batch)[:TOKENS]
    return view.logits(states).log_softmax(-1), states.float()
