"""Runs at several temperatures, written without a model."""

from pathlib import Path

import numpy as np

from kdbench.frontiers.measure import MeasuredStudent, MeasuredTraining
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

TEMPERATURES = (0.5, 1.0, 1.5)
TASK = "dolly"


def put_student(
    results: Path,
    label: str,
    curve: dict[float, float] | None = None,
    *,
    gain: float = 0.0,
    sharper: float = 1.0,
    seeds: tuple[int, ...] = (10,),
    prompts: int = 30,
    metric: str = "rougeL",
    direction: str = "higher",
) -> MeasuredStudent:
    """Write the runs of a student below `results/frontier`, on a noisy curve 50 - 10 x.

    Args:
        results: Folder of the results.
        label: Label of the student.
        curve: Mean entropy by temperature; the temperature itself by default.
        gain: What is added to the curve.
        sharper: Factor by which its entropies are smaller.
        seeds: Training seeds.
        prompts: Number of prompts.
        metric: Metric of quality.
        direction: Its better direction.
    """
    entropies = curve or {t: t / sharper for t in TEMPERATURES}
    effects = np.random.default_rng(0).normal(0, 10, prompts)  # those that all students share
    trainings = []
    for seed in seeds:
        rng = np.random.default_rng([*label.encode(), seed])
        name = label if seed == seeds[0] else f"{label} seed {seed}"
        runs = {}
        for temperature, entropy in entropies.items():
            x = entropy * np.exp(rng.normal(-0.005, 0.1, prompts))
            y = 50 - 10 * entropy + gain + effects + rng.normal(0, 1, prompts)
            folder = results / "frontier" / name / f"minillm+temperature={temperature}"
            _put_run(folder, name, temperature, x, y, metric, direction)
            runs[temperature] = folder
        trainings.append(MeasuredTraining(name, seed, runs))
    return MeasuredStudent(label, tuple(trainings))


def _put_run(
    place: Path,
    name: str,
    temperature: float,
    x: np.ndarray,
    y: np.ndarray,
    metric: str,
    direction: str,
) -> None:
    folder = RunFolder(place)
    folder.write_run(
        {
            "model": {"name": name, "sha256": f"sha of {name}", "parameters": 1000},
            "method": name.partition(" ")[0],
            "setting": None,
            "limit": len(x),
            "status": "complete",
            "protocol": {"name": place.name, "temperature": temperature, "seeds": [1]},
            "tasks": {},
        }
    )
    columns = {metric: y.tolist(), "sampling_entropy": x.tolist()}
    units = {metric: ("points", direction), "sampling_entropy": ("nats", "none")}
    results = {
        key: MetricResult(float(np.mean(v)), None, None, None, {}, len(v), *units[key], "1")
        for key, v in columns.items()
    }
    documents = {"id": [f"{TASK}-{number}" for number in range(len(x))], **columns}
    fingerprint = {"task": TASK, "prompts_sha256": "same"}
    folder.write_task(TaskResult(fingerprint, results, documents, {}, 0, metric))
