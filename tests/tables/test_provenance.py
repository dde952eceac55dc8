"""Where a row comes from, in every form of a table."""

import csv
import json

import numpy as np
import pytest
from stored_scores import stored_run

from kdbench.config import TableSettings
from kdbench.tables import build_table
from kdbench.tables.provenance import Provenance

COMMAND = ["kdbench", "eval", "model=runs/my model", "limit=40"]
TRAIN = ["kdbench", "train", "method=gkd", "out=runs/my model"]


def table(tmp_path, **record):
    known = {
        "limit": 40,
        "commands": [TRAIN, COMMAND],
        "git": {"commit": "0123456789abcdef", "dirty": True},
        "training": {"method": "gkd", "seed": 7, "recipe": "r", "samples": 1, "seconds": 1.0},
    }
    known["training"] |= {"student_tokens": 0, "teacher_tokens": 0}
    run = stored_run("GKD", {"dolly": np.arange(40.0)}, {**known, **record})
    settings = TableSettings(results=tmp_path, published="none", tasks=("dolly",))
    return build_table(settings, [run])


def test_json_names_run_protocol_seeds_date_machine_and_command(tmp_path):
    cell, _ = json.loads(table(tmp_path).render("json"))
    expected = {
        "runs": ["GKD/minillm-1"],
        "protocol": "minillm",
        "limit": 40,
        "n": 40,
        "seeds": [10],
        "training_seeds": [7],
        "created": "2026-11-20T10:00:00+00:00",
        "machine": "H100",
        "kdbench_version": "0.1.0",
        "git": "0123456789ab + changes",
        "commands": [
            "kdbench train method=gkd 'out=runs/my model'",
            "kdbench eval 'model=runs/my model' limit=40",
        ],
        "commands_recorded": True,
    }
    assert {key: cell[key] for key in expected} == expected


def test_csv_has_the_same_as_columns(tmp_path):
    (row,) = csv.DictReader(table(tmp_path).render("csv").splitlines())
    assert row["runs"] == "GKD/minillm-1"
    assert (row["seeds"], row["training_seeds"], row["limit"]) == ("10", "7", "40")
    assert (row["protocol"], row["machine"]) == ("minillm", "H100")
    assert row["commands"].endswith("; kdbench eval 'model=runs/my model' limit=40")


@pytest.mark.parametrize("form", ["md", "html", "tex"])
def test_each_row_of_a_document_leads_to_its_run_and_command(tmp_path, form):
    text = table(tmp_path).render(form)
    for part in ("GKD/minillm-1", "first 40 prompts per task", "H100", "0123456789ab"):
        assert part in text
    assert "out=runs/my model" in text


def test_the_commands_of_older_runs_are_worked_out_and_say_so(tmp_path):
    old = table(tmp_path, commands=None)
    (line,) = old.origins()[0][1].shown_commands
    assert line.startswith("kdbench eval model=path/to/GKD data=path/to/data tasks=dolly")
    assert line.endswith("# paths to fill in")
    assert " method=GKD setting=s " in line  # so that its row is the same
    assert not json.loads(old.render("json"))[0]["commands_recorded"]


@pytest.mark.parametrize("form", ["md", "html"])
def test_hostile_commands_stay_text(tmp_path, form):
    evil = "model=</code></details>\n\n<script>alert(1)</script>\x1b[31m"
    text = table(tmp_path, commands=[["kdbench", "eval", evil]]).render(form)
    assert "<script>" not in text
    assert "\x1b" not in text
    if form == "md":  # an empty line would end the HTML
        assert "\n\n" not in text[text.index("<details") : text.index("</details>")]


def test_commands_that_differ_in_their_seed_are_shown_once():
    origin = provenance_of(seeded("10"), seeded("11", " name='GKD seed 11'"), seeds=(10, 11))
    assert origin.shown_commands == (
        "kdbench train method=gkd seed=10 out=runs/10  # likewise with seed=11",
        "kdbench eval model=runs/10  # likewise with seed=11",
    )
    assert len(origin.all_commands) == 4
    other = provenance_of(seeded("10"), seeded("11", " limit=3"), seeds=(10, 11))
    assert other.shown_commands == other.all_commands


def seeded(seed: str, more: str = "") -> tuple[str, str]:
    train = f"kdbench train method=gkd seed={seed} out=runs/{seed}"
    return train, f"kdbench eval model=runs/{seed}{more}"


def provenance_of(*commands: tuple[str, ...], seeds: tuple[int, ...]) -> Provenance:
    runs, hashes = ("GKD/one", "GKD/two"), ("", "")
    return Provenance(
        runs, hashes, "minillm", 10, (10,), seeds, "", "CPU", "0.1.0", "", commands, recorded=True
    )
