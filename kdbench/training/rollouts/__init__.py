"""Rollouts by an engine: another process generates the student's responses during training.

`engine` is the contract, `vllm` and `served` fulfil it, `export` writes the weights that are given
to it, `running` decides with which weights each step's responses are made, and `gap` compares the
engine's log-probabilities with the trainer's.
"""

from kdbench.registry import Registry
from kdbench.training.rollouts.engine import EngineSample, EngineStart, RolloutEngine
from kdbench.training.rollouts.plan import RolloutPlan

__all__ = ["EngineSample", "EngineStart", "RolloutEngine", "RolloutPlan", "engines"]

engines: Registry[type[RolloutEngine]] = Registry(
    "rollout backend", "kdbench.training.rollouts", "kdbench.rollout_engines"
)
