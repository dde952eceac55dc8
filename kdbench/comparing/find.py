"""The side of a comparison that a word names."""

import glob
from pathlib import Path

from kdbench.comparing.baseline import baseline_file, baseline_side
from kdbench.comparing.sides import Side, run_side
from kdbench.errors import InputError


def find_side(word: str, key: str, results: Path, gates: Path) -> Side:
    """The side that a word names.

    Args:
        word: folder of a run, file or name of a gate's baseline, or a model of the results.
        key: the setting that named it, for messages.
        results: folder of the results.
        gates: folder of the baselines.

    Raises:
        InputError: nothing of that name, or several things.
    """
    path = Path(word)
    if (path / "run.json").is_file():
        return run_side(path)
    if path.suffix == ".json" and path.is_file():
        return baseline_side(path)
    gate = baseline_file(word, gates)
    runs = sorted(file.parent for file in results.glob(f"{glob.escape(word)}/*/run.json"))
    if (results / word / "run.json").is_file():
        runs = [results / word]
    if gate.is_file() and runs:
        raise InputError(f"{key}={word}: is both {gate} and a model in {results}; give the path")
    if gate.is_file():
        return baseline_side(gate)
    if len(runs) > 1:
        names = ", ".join(str(run) for run in runs)
        raise InputError(f"{key}={word}: has several runs, give one: {names}")
    if not runs:
        raise InputError(
            f"{key}={word}: no folder of a run, no model in results={results}, no gate in {gates}"
        )
    return run_side(runs[0])
