"""Results at any depth: which folders are runs, and which runs a name means."""

import json
import re
import shutil
from pathlib import Path

import pytest
from outcomes import run

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.places import run_folders_in, speed_files_in
from kdbench.store.runs import known_runs, names_folder, run_folders, stored_runs
from kdbench.store.summaries import summaries


def make_run(folder: Path, method: str | None = None, **fields: object) -> Path:
    """A run without results."""
    record = {
        "model": {"name": folder.parent.name},
        "method": method,
        "setting": None,
        "protocol": {"name": "minillm"},
        "limit": None,
        "status": "complete",
        "tasks": {},
        **fields,
    }
    RunFolder(folder).write_run(record)
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Runs at three depths, with what must not be searched."""
    for name, method in (
        ("student/minillm-aa11", None),
        ("demo/GKD/minillm-bb22", "GKD"),
        ("demo/student/minillm-cc33", "SFT"),
        ("a/b/c/KD/greedy-dd44", "KD"),
        ("a/b/c/KD/minillm-ee55", "KD"),
    ):
        make_run(tmp_path / name, method)
    make_run(tmp_path / "demo/GKD/minillm-bb22/samples/no-run")
    make_run(tmp_path / ".hidden/x/y")
    make_run(tmp_path / "demo/GKD/minillm-ff66", "GKD", auxiliary=True)
    make_run(tmp_path / "cache/results/minillm-99")
    (tmp_path / "cache/teacher.json").write_text("{}")
    return tmp_path


FOUND = [
    "a/b/c/KD/greedy-dd44",
    "a/b/c/KD/minillm-ee55",
    "demo/GKD/minillm-bb22",
    "demo/student/minillm-cc33",
    "student/minillm-aa11",
]


def test_runs_are_found_at_any_depth_but_not_inside_a_run_or_a_cache(results: Path) -> None:
    assert [one.folder for one in stored_runs(results)] == FOUND
    assert len(run_folders_in(results)) == 6  # with the teacher's extra seed
    assert run_folders_in(results / "nowhere") == []
    assert [one.folder for one in stored_runs(results / "demo")] == [
        *("GKD/minillm-bb22", "student/minillm-cc33"),
    ]
    assert [one.folder for one in stored_runs(results / "demo" / "GKD" / "minillm-bb22")] == ["."]


def test_links_are_followed_once(results: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    make_run(other / "m" / "run-1")
    (results / "linked").symlink_to(other)
    (other / "m" / "up").symlink_to(results)
    found = [path.relative_to(results).as_posix() for path in run_folders_in(results)]
    assert "linked/m/run-1" in found
    assert len(found) == len(set(found)) == 7


def test_a_link_to_itself_is_no_folder(results: Path) -> None:
    (results / "demo" / "loop").symlink_to("loop")
    assert [one.folder for one in stored_runs(results)] == FOUND


def test_samples_are_not_searched(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    searched: list[str] = []
    scandir = os.scandir

    def spying(path: Path) -> object:
        searched.append(str(path))
        return scandir(path)

    monkeypatch.setattr("kdbench.store.places.os.scandir", spying)
    run_folders_in(results)
    assert searched
    names = {Path(path).name for path in searched}
    assert not {"samples", ".hidden"} & names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("student", ["student/minillm-aa11"]),  # the path below the results goes first
        ("demo/student", ["demo/student/minillm-cc33"]),
        ("GKD", ["demo/GKD/minillm-bb22"]),
        ("demo/GKD", ["demo/GKD/minillm-bb22"]),
        ("GKD/minillm-bb22", ["demo/GKD/minillm-bb22"]),
        ("minillm-bb22", ["demo/GKD/minillm-bb22"]),
        ("bb22", ["demo/GKD/minillm-bb22"]),
        ("SFT", ["demo/student/minillm-cc33"]),  # the method
        ("c/KD", ["a/b/c/KD/greedy-dd44", "a/b/c/KD/minillm-ee55"]),
        ("demo/GKD/minillm-ff66", ["demo/GKD/minillm-ff66"]),  # auxiliary, but named whole
        ("KD/nothing", []),
        ("D", []),
        ("b22", []),
    ],
)
def test_a_name_is_any_end_of_the_path_or_a_label(
    results: Path, name: str, expected: list[str]
) -> None:
    found = [path.relative_to(results).as_posix() for path in run_folders(name, results)]
    assert found == expected


def test_a_folder_of_runs_may_be_named_from_here(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)
    place = f"{results.name}/demo/GKD"
    assert [path.name for path in run_folders(place, Path(results.name))] == ["minillm-bb22"]


def test_whole_paths_and_their_ends_name_a_folder() -> None:
    for name in ("results/demo/GKD/x-1", "demo/GKD/x-1", "GKD/x-1", "x-1", "1", "GKD", "demo/GKD/"):
        assert names_folder(name, "demo/GKD/x-1")
    for name in ("KD/x-1", "emo/GKD", "x", "demo", "KD", "-1"):
        assert not names_folder(name, "demo/GKD/x-1")


def test_known_names_are_folders_models_and_methods(results: Path) -> None:
    assert {"demo/GKD/minillm-bb22", "GKD", "SFT", "student", "KD"} <= set(known_runs(results))


def test_speeds_are_found_at_any_depth(results: Path) -> None:
    for name in (
        "student/speed-a.json",
        "a/b/c/KD/speed-b.json",
        "student/minillm-aa11/speed-c.json",
    ):
        (results / name).write_text("{}")
    (results / "speed-stray.json").write_text("{}")
    assert [path.name for path in speed_files_in(results)] == ["speed-b.json", "speed-a.json"]


def test_summaries_are_the_newest_first_and_broken_runs_are_lines(results: Path) -> None:
    day = "2026-01-0{}T00:00:00+00:00"
    make_run(results / "new/m/r-1", created=day.format(3))
    make_run(results / "new/m/r-2", created=day.format(2), status="running", tasks={"dolly": {}})
    make_run(results / "new/m/r-3", created=day.format(1), status="failed")
    (results / "new/m/r-4").mkdir()
    (results / "new/m/r-4/run.json").write_text("{")
    found = summaries(results / "new")
    assert [(one.run, one.state.partition(":")[0]) for one in found] == [
        ("m/r-1", "complete"),
        ("m/r-2", "partial"),
        ("m/r-3", "failed"),
        ("m/r-4", "broken"),
    ]
    assert (found[1].tasks, found[1].planned) == ((), 1)
    with RunFolder(results / "new/m/r-2").lock("dolly"):
        if not Path("/proc/locks").exists():
            pytest.skip("only Linux tells which locks are held")
        assert summaries(results / "new")[1].state == "running"
    assert summaries(results / "new")[1].state == "partial"
    assert [one.run for one in summaries(results, "gkd")] == ["demo/GKD/minillm-bb22"]


def test_two_places_with_one_label_are_told_apart_in_a_table() -> None:
    root = Path(__file__).parents[2] / "results"
    if not (root / "h100").is_dir():
        pytest.skip("the committed results are not here")
    done = run(["table", str(root), "settings=measured", "rows=SmolLM2-135M-Instruct"])
    rows = [line for line in done.out.splitlines() if line.startswith("  Smol")]
    labels = [re.split("  +", row.strip())[0] for row in rows]
    assert {"SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct [h100]"} <= set(labels)


def test_verbs_name_the_nearest_run(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results)
    done = run(["compare", "gdk", "GKD", "results=."])
    assert done.code == 2
    assert "did you mean 'GKD'?" in done.err
    several = run(["show", "KD", "results=."])
    assert several.err.strip().endswith("a/b/c/KD/greedy-dd44, a/b/c/KD/minillm-ee55")


def test_a_damaged_run_deep_below_is_named(results: Path) -> None:
    shutil.copytree(results / "student", results / "x/y/student")
    file = results / "x/y/student/minillm-aa11/run.json"
    file.write_text(json.dumps({"schema": 1}))
    with pytest.raises(InputError, match=r"x/y/student/minillm-aa11/run.json: not the record"):
        list(stored_runs(results))
