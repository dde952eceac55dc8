"""Timings made by hand, without any training."""

from kdbench.store.timings import Cost, RowTiming, StageTiming, StepTiming, TrainingTiming


def step(seconds, generating=0.0, generated=0, processor=None, tokens=(100, 50, 0)):
    """A step; on the processor it takes half as long unless that is given."""
    own = seconds / 2 if processor is None else processor
    return StepTiming(
        whole=Cost(seconds=seconds, processor_seconds=own, tokens=40),
        generating=Cost(seconds=generating, processor_seconds=generating / 2, tokens=generated),
        student_tokens=tokens[0],
        teacher_tokens=tokens[1],
        other_tokens=tokens[2],
    )


def training(*stages, warm_up=None, **changes):
    """A training with stages of equal shares, each a list of steps."""
    values = {
        "stages": tuple(
            StageTiming(share=1 / len(stages), warm_up=warm_up or step(9), steps=tuple(steps))
            for steps in stages
        ),
        "once": {},
        "start_up_seconds": 3.0,
        "batch_size": 4,
        "device": "cpu",
        "machine": "CPU (1 thread)",
        "precision": "float32",
        "student_parameters": 1000,
        "teacher_parameters": 2000,
        "others": 0.0,
        "load": 0.5,
    }
    return TrainingTiming(**{**values, **changes})


def row(keys, timed):
    """The timing of a row whose training was timed."""
    return RowTiming(keys=keys, asked=8, date="2026-11-29", kdbench_version="1", training=timed)
