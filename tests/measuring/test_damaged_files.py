"""Finished runs with damaged samples, or none: the same bytes after the next call, or a line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.evaluation import evaluate
from kdbench.toy.models import World


def settings(world: World, results: Path, **keys: object) -> EvalSettings:
    return EvalSettings(
        model=str(world.student),
        data=world.data,
        tasks=["dolly"],
        limit=2,
        seeds=[1],
        max_new_tokens=8,
        metrics=["rougeL", "lm_loss", "acceptance"] if "teacher" in keys else ["rougeL", "lm_loss"],
        device="cpu",
        results=results,
        **keys,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".json", ".jsonl") and path.name != "run.json"
    }


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("whole") / "results"
    evaluate(settings(world, results, teacher=str(world.teacher)))
    return results


def doubled(data: bytes) -> bytes:
    return data + data.splitlines(keepends=True)[0]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a line twice": doubled,
    "garbage at the end": lambda data: data + b"\x13garbage\xff",
    "all zero": lambda data: bytes(len(data)),
    "end cut": lambda data: data[:-9],
    "end zero": lambda data: data[:-9] + bytes(9),
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_of_a_finished_run_are_repaired(
    damage: str, world: World, whole: Path, tmp_path: Path
) -> None:
    expected = files(whole)
    for name in expected:
        if not name.endswith(".jsonl"):
            continue
        results = tmp_path / "results"
        shutil.copytree(whole, results)
        path = results / name
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        evaluate(settings(world, results, teacher=str(world.teacher)))
        assert files(results) == expected, name
        shutil.rmtree(results)


def test_a_line_that_is_no_json_is_named(world: World, whole: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    (path,) = results.glob("student/*/samples/dolly.jsonl")
    path.write_bytes(path.read_bytes() + b"\0\0\n")
    with pytest.raises(InputError, match=r"dolly\.jsonl:3: not a line of JSON"):
        evaluate(settings(world, results, teacher=str(world.teacher)))


def test_results_without_samples_can_be_compared_with_a_teacher(
    world: World, whole: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    for key, model in (("student", world.student), ("teacher", world.teacher)):
        evaluate(settings(world, results).model_copy(update={"model": str(model)}))
        for samples in results.glob(f"{key}/*/samples"):
            shutil.rmtree(samples)
    evaluate(settings(world, results, teacher=str(world.teacher)))
    (expected,) = whole.glob("student/*/dolly.json")
    (result,) = results.glob("student/*/dolly.json")
    assert result.read_bytes() == expected.read_bytes()


def test_results_without_samples_stay_as_they_are_without_a_teacher(
    world: World, whole: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    for samples in results.glob("*/*/samples"):
        shutil.rmtree(samples)
    assert evaluate(settings(world, results)).generated == 0
    assert not list(results.glob("*/*/samples"))
