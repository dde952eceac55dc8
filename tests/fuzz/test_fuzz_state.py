"""A hostile state of a training run: it is resumed as it was written, or refused in one line.

Hashes in this file protect every other file of a state.
"""

import json
from pathlib import Path

from hostile import json_text, written
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import HEALTH, UNSHRUNK, examples, kept, unsafe

from kdbench.errors import InputError
from kdbench.system.records import hashes_of
from kdbench.training.state import last_checkpoint


def refusal(runs: Path) -> str | None:
    """The line that refuses the only state of a run; None if it is resumed."""
    try:
        assert last_checkpoint(runs) is not None
    except InputError as error:
        return str(error)
    return None


def test_a_hostile_state(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-2"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    state = {
        "step": 2,
        "processes": 1,
        "schedule": {"lambda": 0.5},
        "phases": {"train": {"seconds": 1.5, "tokens": 9}},
        "validations": [{"step": 2.0, "loss": 1.5, "rougeL": 20.0}],
        "best": {"step": 2.0, "loss": 1.5, "rougeL": 20.0},
        "files": hashes_of([folder], tmp_path),
    }
    file = folder / "kdbench_state.json"
    file.write_text(json.dumps(state))
    assert last_checkpoint(tmp_path) == folder

    @settings(max_examples=examples(1), phases=UNSHRUNK, suppress_health_check=HEALTH)
    @given(written(state, json_text) | st.binary(max_size=20))
    def check(content: bytes) -> None:
        file.write_bytes(content)
        with kept("training state", content):
            line = refusal(tmp_path)
            assert line is None or str(folder) in line
            assert not unsafe(line or ""), ascii(line)

    check()
