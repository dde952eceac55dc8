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
from kdbench.training.preparation import Preparation
from kdbench.training.prompts import FewShot, Prefixed
from kdbench.training.schedule import (
    Constant,
    Found,
    RisingInterpolation,
    RisingThreshold,
    Schedule,
    StepSignals,
    ValidationSignals,
    WarmupStableDecay,
)
from kdbench.training.source import (
    Draw,
    FromDataset,
    FromStudent,
    FromTeacher,
    Source,
)
from kdbench.training.sources.bilevel import FromBilevel, Mixed
from kdbench.training.sources.confidence import FromConfident
from kdbench.training.sources.domains import DomainWeights, FromDomains
from kdbench.training.sources.groups import FromGroups
from kdbench.training.sources.hardest import FromHardest
from kdbench.training.sources.influence import FromInfluence
from kdbench.training.sources.mixed import MixedRows
from kdbench.training.sources.packed import FromPacked
from kdbench.training.sources.pairs import FromPairs, GeneratedPairs
from kdbench.training.sources.replay import FromReplay
from kdbench.training.sources.selection import FromSelection
from kdbench.training.sources.validation_rows import WithValidation
from kdbench.training.stage import Stage
from kdbench.training.step import StepOutcome
from kdbench.training.triple import Triple
from kdbench.training.verifiers import Verifier, verifier
from kdbench.views.rollout import Batch, Example, Mix, Rollout

__all__ = [
    "Batch",
    "Chunk",
    "Classmate",
    "Companion",
    "Constant",
    "Context",
    "CrossEntropy",
    "DomainWeights",
    "Draw",
    "Example",
    "FewShot",
    "Found",
    "FromBilevel",
    "FromConfident",
    "FromDataset",
    "FromDomains",
    "FromGroups",
    "FromHardest",
    "FromInfluence",
    "FromMixture",
    "FromPacked",
    "FromPairs",
    "FromReplay",
    "FromSelection",
    "FromStudent",
    "FromTeacher",
    "Frozen",
    "GeneratedPairs",
    "HardSync",
    "Match",
    "Mix",
    "Mixed",
    "MixedRows",
    "MovingAverage",
    "Objective",
    "Part",
    "Peer",
    "Plan",
    "Prefixed",
    "Preparation",
    "Responses",
    "RisingInterpolation",
    "RisingThreshold",
    "Rollout",
    "Schedule",
    "SequenceObjective",
    "Sizes",
    "Source",
    "Stage",
    "StepObjective",
    "StepOutcome",
    "StepSignals",
    "Term",
    "Triple",
    "ValidationSignals",
    "Verifier",
    "WarmupStableDecay",
    "Whole",
    "WithValidation",
    "verifier",
]
