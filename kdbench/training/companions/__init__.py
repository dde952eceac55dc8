"""The kinds of companions, one per file."""

from kdbench.training.companions.classmate import Classmate, ClassmateKind
from kdbench.training.companions.frozen import Frozen
from kdbench.training.companions.hard_sync import HardSync
from kdbench.training.companions.moving_average import MovingAverage
from kdbench.training.companions.peer import Peer

__all__ = ["Classmate", "ClassmateKind", "Frozen", "HardSync", "MovingAverage", "Peer"]
