"""Federated rounds: clients with text of their own teach each other on public text.

A round is some steps in which each client learns the responses of its own shard, an exchange, in
which each client says what it expects on public text, and some steps in which each learns what an
aggregation rule makes of that.

The clients are models of one run: the student is the client of the first shard, and each other one
is a companion with weights and an optimiser of its own. The processes of a run share the gradients
of one student, so a process cannot be a client; with several, all clients learn on all of them.
Rounds are phases of one training and no stages, as a stage ends with a checkpoint of the student
alone, and the other clients would lose what they learned.

What a client gives away are the likeliest tokens of each position of the public text, with their
probabilities, and which of the public texts it knows. That still leaks what it has learned.
"""

from kdbench.training.federated.clients import Client, SoftLabels
from kdbench.training.federated.exchange import ClientAnswers, FusionRule, dense, fuse
from kdbench.training.federated.rounds import FromShards, ShardReport, federation

__all__ = [
    "Client",
    "ClientAnswers",
    "FromShards",
    "FusionRule",
    "ShardReport",
    "SoftLabels",
    "dense",
    "federation",
    "fuse",
]
