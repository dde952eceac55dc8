"""Experiment trackers: `report_to=` copies the numbers of a run to W&B, MLflow and others.

Modules: `tracker` (what a tracker is, and the registry), `clients` (one tracker per file),
`logging` (several trackers at once, whose faults never stop a run), `evaluated` (what is logged of
a stored run, and when).
"""

from kdbench.trackers.evaluated import track_run
from kdbench.trackers.logging import (
    OpenTrackers,
    check_trackers,
    open_trackers,
    own_trackers,
    prepare_trackers,
)
from kdbench.trackers.tracker import SampleTable, TrackedRun, Tracker, TrackerError, trackers

__all__ = [
    "OpenTrackers",
    "SampleTable",
    "TrackedRun",
    "Tracker",
    "TrackerError",
    "check_trackers",
    "open_trackers",
    "own_trackers",
    "prepare_trackers",
    "track_run",
    "trackers",
]
