"""A table of checkpoints on the Hub: what is missing, and the whole fill from the Hub's cache."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from inline import worked
from minillm_hub import lines, model_files, put, row, tokenizer_files

from kdbench.config import FillSettings
from kdbench.errors import InputError
from kdbench.filling.downloads import downloads
from kdbench.filling.graph import Graph, Places
from kdbench.filling.spec import read_spec
from kdbench.filling.table import fill

TEACHER, SFT, MINILLM = "MiniLLM/teacher-gpt2-1.5B", "MiniLLM/SFT-gpt2-120M", "MiniLLM/MiniLLM-120M"
COMMIT = "4a8d07d52ad67b7b87fec9aba25b1521173eb658"
DATA = "MiniLLM/dolly"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hub."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def table(tmp_path: Path, **changes: Any) -> Path:
    values = {
        "title": "released",
        "teacher": {
            "label": "Teacher",
            "checkpoint": f"{TEACHER}@{COMMIT}",
            "unsafe_pickle": True,
        },
        "undistilled": "SFT",
        "rows": [
            {"label": "SFT", "checkpoint": SFT, "unsafe_pickle": True},
            {"label": "MiniLLM", "checkpoint": MINILLM},
        ],
        "tasks": ["dolly"],
        "columns": ["dolly", "acceptance"],
        "evaluate": {
            "seeds": [10],
            "max_new_tokens": 4,
            "metrics": ["rougeL", "acceptance@student"],
        },
        "published": ["gpt2-xl-to-gpt2-base"],
        "spread": True,
        **changes,
    }
    file = tmp_path / "released.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def put_all(cache: Path, scratch: Path) -> None:
    tokenizer = tokenizer_files()
    teacher = model_files(scratch / "t", "shards", 1, padded=7)
    put(cache, TEACHER, COMMIT, {**teacher, **tokenizer})
    put(cache, SFT, "b" * 40, {**model_files(scratch / "s", "pickle", 2), **tokenizer})
    put(cache, MINILLM, "c" * 40, {**model_files(scratch / "m", "both", 3), **tokenizer})
    put(cache, DATA, "d" * 40, {"valid.jsonl": lines(map(row, range(4)))}, "dataset")


def graph_of(file: Path) -> Graph:
    return Graph(read_spec(file), Places(Path("models"), Path("results"), None))


def missing(file: Path) -> Mapping[str, str]:
    return {found.name: found.reason for found in downloads(graph_of(file))}


def settings(file: Path, **keys: Any) -> FillSettings:
    return FillSettings(table=str(file), models=Path("models"), results=Path("results"), **keys)


def test_a_plan_names_what_is_not_downloaded(cache: Path, tmp_path: Path) -> None:
    planned = fill(settings(table(tmp_path), plan=True))
    nodes = {node.key: node.status for node in planned.planned}
    assert {key: nodes[key] for key in ("checkpoint SFT", "evaluate SFT")} == {
        "checkpoint SFT": "download",
        "evaluate SFT": "missing",
    }
    lines = planned.notes.splitlines()
    assert lines[0] == "released: 0 of 6 done, 3 missing, 3 to download"
    place = lines.index(
        f"to download: 3 checkpoints and 1 data set of the Hub are not in its cache, {cache}"
    )
    assert [line.split() for line in lines[place + 1 : place + 5]] == [
        ["Teacher", f"{TEACHER}@{COMMIT}"],
        ["SFT", SFT],
        ["MiniLLM", MINILLM],
        ["dolly", "datasets/MiniLLM/dolly/valid.jsonl"],
    ]


def test_without_the_hub_nothing_is_begun(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        fill(settings(table(tmp_path)))
    assert str(caught.value) == (
        "HF_HUB_OFFLINE is set, and 3 checkpoints and 1 data set are not in the Hub's cache: "
        f"{TEACHER}@{COMMIT}, {SFT}, {MINILLM} and 1 more; --plan lists them"
    )
    assert not Path("results").exists()


def test_local_data_are_not_downloaded(cache: Path, tmp_path: Path) -> None:
    Path("data/dolly").mkdir(parents=True)
    Path("data/dolly/test.jsonl").write_bytes(lines([row(1)]))
    planned = fill(settings(table(tmp_path), plan=True, data=Path("data")))
    assert "dolly" not in planned.notes
    assert "3 checkpoints of the Hub are not in its cache" in planned.notes


def test_a_damaged_copy_is_named(cache: Path, tmp_path: Path) -> None:
    put_all(cache, tmp_path / "scratch")
    file = table(tmp_path)
    assert missing(file) == {}
    (shard,) = cache.glob("*teacher*/snapshots/*/pytorch_model-00002-*.bin")
    shard.unlink()
    reason = "pytorch_model-00002-of-00002.bin is missing (interrupted download?)"
    assert missing(file) == {f"{TEACHER}@{COMMIT}": reason}


def test_pickle_weights_need_the_permission_of_their_row(cache: Path, tmp_path: Path) -> None:
    put_all(cache, tmp_path / "scratch")
    rows = [{"label": "SFT", "checkpoint": SFT}]
    (reason,) = missing(table(tmp_path, rows=rows)).values()
    assert "only pickle weights (*.bin)" in reason
    graph = graph_of(table(tmp_path, teacher={"checkpoint": SFT}, rows=rows))
    assert not graph.evaluations["SFT"].settings.unsafe_pickle  # type: ignore[attr-defined]
    permitted = graph_of(table(tmp_path))
    assert all(node.settings.unsafe_pickle for node in permitted.evaluations.values())


def test_a_permission_changes_no_fingerprint(cache: Path, tmp_path: Path) -> None:
    rows = [{"label": "SFT", "checkpoint": SFT}]
    plain, permitted = (
        graph_of(table(tmp_path, teacher={"checkpoint": TEACHER, "unsafe_pickle": flag}, rows=rows))
        for flag in (False, True)
    )
    fingerprints = {node.key: node.fingerprint for node in plain.nodes.values()}
    assert fingerprints == {node.key: node.fingerprint for node in permitted.nodes.values()}


def test_released_checkpoints_fill_a_table(cache: Path, tmp_path: Path) -> None:
    """Shards of pickle, a single pickle file and safetensors; one vocabulary is padded."""
    put_all(cache, tmp_path / "scratch")
    file = table(tmp_path)
    begun, failed = worked(graph_of(file))
    assert failed == {}
    assert begun == ["evaluate Teacher", "evaluate SFT", "evaluate MiniLLM"]
    (run,) = Path("results").glob("MiniLLM/*/run.json")
    assert json.loads(run.read_text())["model"]["revision"] == "c" * 40
    filled = fill(settings(file))
    assert filled.drawn is not None
    assert filled.published is not None
    rows = {(score.row, score.column) for score in filled.published.found.scores}
    assert rows == {("Teacher", "Dolly"), ("SFT", "Dolly"), ("MiniLLM", "Dolly")}
    text = Path("results/TABLE.md").read_text()
    assert "<!-- kdbench:begin published -->\n**GPT-2 XL 1.5B → GPT-2 base 120M: own," in text
    assert os.path.getsize("results/TABLE.md") == len(text.encode())
    again = fill(settings(file))  # the block is replaced, not repeated
    assert Path("results/TABLE.md").read_text() == text
    assert again.text == filled.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"published": []}, "spread: needs published:"),
        (
            {
                "spread": False,
                "rows": [{"label": "SFT", "checkpoint": SFT, "reported_as": "SFT"}],
            },
            "needs spread:",
        ),
        ({"rows": [{"checkpoint": SFT, "reported_as": "SFT"}]}, "its row needs a label:"),
        (
            {"rows": [{"label": "SFT", "checkpoint": SFT, "reported_as": "SFTT"}]},
            "no row 'SFTT'.*did you mean",
        ),
        (
            {"rows": [{"train": {"recipe": "toy/sft"}, "unsafe_pickle": True}]},
            "put it below train: instead",
        ),
    ],
)
def test_keys_without_effect_are_refused(
    changes: dict[str, Any], message: str, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        fill(settings(table(tmp_path, **changes), plan=True))
