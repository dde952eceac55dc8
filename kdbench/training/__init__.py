"""The parts of a distillation method; `kdbench.methods` combines them.

A method is a triple over named views: an objective, a data source and a schedule.
"""

from kdbench.training.companion import Classmate, Companion, CompanionContext
from kdbench.training.mixture import FromMixture
from kdbench.training.objective import (
    Chunk,
    CrossEntropy,
    Match,
    Objective,
    Plan,
    StepObjective,
    Term,
)
from kdbench.training.schedule import Constant, RisingInterpolation, RisingThreshold, Schedule
from kdbench.training.source import (
    Draw,
    FromDataset,
    FromReplay,
    FromStudent,
    FromTeacher,
    Source,
)
from kdbench.training.triple import Triple
from kdbench.views.rollout import Batch, Example, Rollout

__all__ = [
    "Batch",
    "Chunk",
    "Classmate",
    "Companion",
    "CompanionContext",
    "Constant",
    "CrossEntropy",
    "Draw",
    "Example",
    "FromDataset",
    "FromMixture",
    "FromReplay",
    "FromStudent",
    "FromTeacher",
    "Match",
    "Objective",
    "Plan",
    "RisingInterpolation",
    "RisingThreshold",
    "Rollout",
    "Schedule",
    "Source",
    "StepObjective",
    "Term",
    "Triple",
]
