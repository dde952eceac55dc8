"""KnFu; `seeds.md` 5.10."""

import torch

from kdbench.methods.knfu import Agreeing
from kdbench.training.chunk import TopK
from kdbench.training.federated import ClientAnswers, fuse
from kdbench.training.federated.exchange import targets
from tests.methods.hand_values import HandValue

CLIENTS = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]).double().log()


def answers(familiar=(1, 1, 1), k=3):
    """What three clients say about a text of one token."""
    known = torch.tensor(familiar, dtype=torch.bool)[:, None]
    return ClientAnswers([[TopK.of(client[None], k)] for client in CLIENTS], known, 3)


def weights(sharpness):
    return Agreeing(sharpness).weights(answers())[0, :, 0]


def fused(of_clients):
    return fuse(CLIENTS[:, None], of_clients)[0].exp()


def told(rule, given, k=3):
    """The probabilities of the tokens in the first client's target, by token."""
    (top,) = targets(given, rule.weights(given), k)[0]
    return torch.zeros(3).double().scatter(0, top.ids[0], top.log_p[0].exp())


def from_first(target):
    """KL(target‖client 1)."""
    return (target * (target.log() - CLIENTS[0])).sum()


def average():
    return told(Agreeing(0.0), answers())


VALUES = [
    HandValue("weights, sharpness 1", (0.444832, 0.433064, 0.122104), lambda: weights(1)),
    HandValue("weights, sharpness 10", (0.566632, 0.433367, 0.000001), lambda: weights(10)),
    HandValue("weights, sharpness 0", (1 / 3, 1 / 3, 1 / 3), lambda: weights(0)),
    HandValue("weights, a large sharpness", (1, 0, 0), lambda: weights(1e6)),
    HandValue("fused, sharpness 1", (0.583431, 0.231096, 0.185473), lambda: fused(weights(1))),
    HandValue("fused, sharpness 10", (0.656662, 0.243337, 0.100001), lambda: fused(weights(10))),
    HandValue(
        "told, sharpness 1", (0.583431, 0.231096, 0.185473), lambda: told(Agreeing(1.0), answers())
    ),
    HandValue("plain average", (0.466667, 0.2, 0.333333), average),
    HandValue("KL(average‖client 1)", 0.212107, lambda: from_first(average())),
    # of the likeliest token alone, the two others share the rest: (.7, .15, .15), (.6, .2, .2) and
    # (.1, .1, .8) average to (7 / 15, 3 / 20, 23 / 60), of which one token is sent
    HandValue("told one token", (0.466667, 0, 0), lambda: told(Agreeing(0.0), answers(k=1), 1)),
]
