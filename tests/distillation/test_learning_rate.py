"""The learning rate of a run, step by step."""

from pathlib import Path

import pytest
import torch
from transformers import get_scheduler

from kdbench.config import TrainSettings
from kdbench.distillation.arguments import training_arguments


def rates(tmp_path: Path, steps: int, **keys: object) -> list[float]:
    settings = TrainSettings(method="sft", student="student", learning_rate=1.0, **keys)
    given = training_arguments(settings, "float32", "cpu", tmp_path, steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], given.learning_rate)
    schedule = get_scheduler(
        given.lr_scheduler_type,
        optimizer,
        num_warmup_steps=given.get_warmup_steps(steps),
        num_training_steps=steps,
        scheduler_specific_kwargs=given.lr_scheduler_kwargs,
    )
    found = []
    for _ in range(steps + 1):
        found.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    return found


def test_wsd_rises_stays_and_falls_in_the_last_fifth(tmp_path: Path) -> None:
    found = rates(tmp_path, 100, lr_schedule="wsd", warmup_steps=10)
    expected = {0: 0, 5: 0.5, 10: 1, 50: 1, 80: 1, 90: 0.5, 100: 0}
    assert [found[step] for step in expected] == pytest.approx(list(expected.values()))


def test_wsd_fits_into_few_steps(tmp_path: Path) -> None:
    found = rates(tmp_path, 5, lr_schedule="wsd", warmup_steps=4)
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0])
    assert rates(tmp_path, 2, lr_schedule="wsd")[0] == 1
