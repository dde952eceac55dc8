"""Recursive distillation, on training logs made by hand."""

import json

import pytest

from kdbench.analyses import analyses
from kdbench.analyses.recursive import distances
from kdbench.errors import InputError
from tests.analyses.seeded.rows import filled, row, task


def write_log(folder, values):
    """The log of a run: each generation logs its start, an end, and other lines."""
    folder.mkdir(parents=True)
    lines, step = [], 0
    for number, (start, end) in enumerate(values, start=1):
        stage = f"generation {number}"
        lines.append({"step": step, "stage": stage, "eval_kl_anchor": start})
        step += 10
        lines.append({"step": step, "stage": stage, "loss": 1.0})
        lines.append({"step": step, "stage": stage, "eval_kl_anchor": end})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "training.jsonl").write_text(text, encoding="utf-8")


def chain(*ends, start=0.5, again=False):
    """Pairs of a generation's start and end; `again` begins each from the start."""
    starts = [start] * len(ends) if again else [start, *ends[:-1]]
    return list(zip(starts, ends, strict=True))


def students(tmp_path, drift=0.1, seeds=3):
    logs = {
        "contraction g 0.3": lambda e: chain(*(0.5 * (0.49 + e) ** n for n in range(1, 5))),
        "contraction g 0.5": lambda e: chain(*(0.5 * (0.6 + e) ** n for n in range(1, 5))),
        "chain g 0": lambda e: chain(*(0.2 + e + (drift + e) * n for n in range(4)), again=True),
        "chain g 0.3": lambda e: chain(0.2, 0.2, 0.2, 0.2 + e, again=True),
    }
    rows = []
    for label, log in logs.items():
        for seed, jitter in ((1, 0.0), (2, 0.002), (3, -0.002))[:seeds]:
            folder = tmp_path / f"{label} {seed}"
            write_log(folder, log(jitter))
            rows.append(row(label, seed, [task("dolly", {"lm_loss": 1.0})], folder))
    return filled(*rows)


def answer(rows):
    return analyses.get("recursive")().answer(rows)


def test_a_generation_counts_as_it_ended(tmp_path):
    write_log(tmp_path / "run", chain(0.3, 0.2, again=True))
    assert distances(tmp_path / "run", 2) == {0: 0.5, 1: 0.3, 2: 0.2}
    with pytest.raises(InputError, match="no distance to the anchor after each of 3 generations"):
        distances(tmp_path / "run", 3)
    with pytest.raises(InputError, match=r"training\.jsonl: has no distance"):
        distances(tmp_path / "none", 1)


def test_rates_stand_beside_the_theorys(tmp_path):
    found = answer(students(tmp_path))
    (_, first, theory), (_, second, slower) = found.tables[1].rows
    assert first.value == pytest.approx(0.49, abs=1e-3)
    assert theory.value == pytest.approx(0.49)
    assert second.value == pytest.approx(0.6, abs=1e-3)
    assert slower.value == pytest.approx(0.25)
    assert found.sentences[0].startswith("The distance to the anchor contracts: with g 0.3 by 0.49")
    assert "in a generation, as the theory's 0.49; with g 0.5 by 0.60" in found.sentences[0]
    assert "slower than the theory's 0.25" in found.sentences[0]


def test_one_seed_is_told_from_no_rate(tmp_path):
    first, _ = answer(students(tmp_path, seeds=1)).sentences
    assert first.startswith(
        "The distance to the anchor is not seen to contract: with g 0.3 by 0.49"
    )
    assert "with g 0.5 by 0.60 in a generation, beside the theory's 0.25" in first


def test_a_drift_is_told_from_none(tmp_path):
    grown = answer(students(tmp_path / "grown"))
    assert "from generation 1 to 4, it grows (+0.300" in grown.sentences[1]
    assert "with g 0.3 the last student is nearer to the anchor (-0.300" in grown.sentences[1]
    still = answer(students(tmp_path / "still", drift=0.0))
    assert "no drift is seen (+0.000" in still.sentences[1]


def test_keys_are_checked():
    kind = analyses.get("recursive")
    for shares in ((), (0.0,), (1.0,), (0.3, 0.3)):
        with pytest.raises(ValueError, match="different numbers between 0 and 1"):
            kind(anchor_shares=shares)
    assert kind(anchor_shares="0.2,0.4").anchor_shares == (0.2, 0.4)
    with pytest.raises(InputError, match="generation_steps="):
        kind(steps=5).table(None)
