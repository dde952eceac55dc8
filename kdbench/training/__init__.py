"""The parts of a distillation method; `kdbench.methods` combines them.

A method is a triple over named views: an objective, a data source and a schedule.
"""

from kdbench.training.chunk import Chunk, Plan, Responses
from kdbench.training.companion import Companion
from kdbench.training.companions import Classmate, Frozen, HardSync, MovingAverage, Peer
from kdbench.training.context import Context
from kdbench.training.mixture import FromMixture
from kdbench.training.objective import (
    CrossEntropy,
    Match,
    Objective,
    SequenceObjective,
    StepObjective,
    Term,
    Whole,
)
from kdbench.training.parts import Part, Sizes
from kdbench.training.prompts import FewShot, Prefixed
from kdbench.training.schedule import (
    Constant,
    RisingInterpolation,
    RisingThreshold,
    Schedule,
    StepSignals,
    ValidationSignals,
)
from kdbench.training.source import (
    Draw,
    FromDataset,
    FromReplay,
    FromStudent,
    FromTeacher,
    Source,
)
from kdbench.training.step import StepOutcome
from kdbench.training.triple import Triple
from kdbench.views.rollout import Batch, Example, Rollout

__all__ = [
    "Batch",
    "Chunk",
    "Classmate",
    "Companion",
    "Constant",
    "Context",
    "CrossEntropy",
    "Draw",
    "Example",
    "FewShot",
    "FromDataset",
    "FromMixture",
    "FromReplay",
    "FromStudent",
    "FromTeacher",
    "Frozen",
    "HardSync",
    "Match",
    "MovingAverage",
    "Objective",
    "Part",
    "Peer",
    "Plan",
    "Prefixed",
    "Responses",
    "RisingInterpolation",
    "RisingThreshold",
    "Rollout",
    "Schedule",
    "SequenceObjective",
    "Sizes",
    "Source",
    "StepObjective",
    "StepOutcome",
    "StepSignals",
    "Term",
    "Triple",
    "ValidationSignals",
    "Whole",
]
