"""`kdbench cache`: the same bytes however often it was killed, and by however many processes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import kdbench
from kdbench.cli.verbs import app
from kdbench.config import CacheSettings, build
from kdbench.distillation import teacher_scores
from kdbench.distillation.keeping_plan import plan_cache
from kdbench.errors import InputError
from kdbench.scores.cache import COLUMNS, TopKCache
from kdbench.scores.merging import claimed
from kdbench.scores.shards import read_texts
from kdbench.toy.models import World

RUN = {
    "method": "kd",
    "steps": 1,
    "batch_size": 8,
    "limit": 40,
    "learning_rate": 1e-2,
    "max_new_tokens": 4,
    "validation_limit": 6,
    "select": "loss",
    "device": "cpu",
}


@pytest.fixture
def keep(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a cache of three files of few batches each."""
    whole = teacher_scores.parts_of

    def parts_of(examples: Any, top_k: int, options: Any) -> Any:
        batches = [batch for part in whole(examples, top_k, options) for batch in part.batches]
        return [teacher_scores.CachePart(batches[n : n + 2]) for n in range(0, len(batches), 2)]

    def keep(out: Path, **settings: Any) -> Any:
        given = {"teacher": str(world.teacher), "data": world.data, "limit": 40, "device": "cpu"}
        return kdbench.cache(out, **{**given, "teacher_top_k": 8, **settings})

    monkeypatch.setattr(teacher_scores, "parts_of", parts_of)
    return keep


def files(folder: Path) -> dict[str, bytes]:
    """The content of each file, without the seconds that it took."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "seconds.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def losses(checkpoint: Path) -> list[float]:
    lines = map(json.loads, (checkpoint / "training.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def train(world: World, out: Path, **settings: Any) -> Path:
    both = {"student": str(world.student), "data": world.data, "log_every": 1, **RUN}
    return kdbench.train(**{**both, "out": out, **settings}).checkpoint


# The same bytes


def test_a_second_time_nothing_is_scored(keep: Callable[..., Any], tmp_path: Path) -> None:
    first = keep(tmp_path / "c")
    before = files(tmp_path / "c")
    assert {"index.safetensors", "sets.json", "teacher.json"} < set(before)
    assert first.scored.texts == first.summary.texts <= 40
    assert first.scored.tokens == first.summary.tokens
    again = keep(tmp_path / "c")
    assert again.scored.texts == 0
    assert files(tmp_path / "c") == before
    assert [found.title for found in again.sets] == ["dolly/train"]


def test_a_kill_at_any_write_and_the_same_command_give_the_same_bytes(
    keep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path / "whole")
    whole, replace, unlink = files(tmp_path / "whole"), os.replace, Path.unlink
    count, scored = 0, 0

    def killing(do: Callable[..., Any], at: int) -> Callable[..., Any]:
        def wrapped(*words: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise KeyboardInterrupt
            return do(*words, **more)

        return wrapped

    at = 1
    while True:
        out, count = tmp_path / str(at), 0
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", killing(replace, at))
            patched.setattr(Path, "unlink", killing(unlink, at))
            try:
                keep(out)
                break
            except KeyboardInterrupt:
                pass
        cache = TopKCache(out)
        kept = sum(cache.has(row) for row in rows(whole))
        scored += keep(out).scored.texts + kept
        assert files(out) == whole
        at += 1 if at < 8 or at >= 18 else 5  # the first part and the end at each step
    assert at > 20
    assert scored % len(rows(whole)) == 0  # no text was scored twice


def rows(content: dict[str, bytes]) -> list[str]:
    """The hashes of the texts in files of scores."""
    from safetensors.numpy import load

    tables = [load(data) for name, data in content.items() if name.startswith("scores")]
    return [bytes(row).hex() for table in tables for row in table["digests"]]


def test_shares_of_several_processes_are_the_whole(
    keep: Callable[..., Any], tmp_path: Path
) -> None:
    keep(tmp_path / "whole")
    missing = [keep(tmp_path / "c", shard=f"{share}/2").missing for share in (1, 0)]
    assert missing[0] > missing[1] == 0
    assert files(tmp_path / "c").keys() - {".claims"} >= files(tmp_path / "whole").keys()
    keep(tmp_path / "c")
    assert files(tmp_path / "c") == files(tmp_path / "whole")


def test_a_part_that_another_process_has_is_done_last(
    keep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path / "whole")
    names, waited = [], []
    score = teacher_scores._Scoring.score

    def watched(self: Any, part: Any, wait: bool = False) -> bool:
        if not names:
            names.append(part.name)
            with claimed(TopKCache(tmp_path / "c"), part.name):
                return score(self, part, wait)
        waited.append((part.name, wait))
        return score(self, part, wait)

    monkeypatch.setattr(teacher_scores._Scoring, "score", watched)
    keep(tmp_path / "c")
    assert waited[-1] == (names[0], True)
    assert files(tmp_path / "c") == files(tmp_path / "whole")


# What is learned from it


def test_kd_from_the_cache_is_kd_beside_the_teachers_top_k(
    keep: Callable[..., Any], world: World, tmp_path: Path
) -> None:
    keep(tmp_path / "c")
    train(world, tmp_path / "cached", teacher=f"cache:{tmp_path / 'c'}")
    beside = {"teacher": str(world.teacher), "teacher_cache": tmp_path / "own"}
    train(world, tmp_path / "beside", **beside, teacher_top_k=8)
    weights = [tmp_path / name / "model.safetensors" for name in ("cached", "beside")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_first_finds_its_temperature_in_the_cache(
    keep: Callable[..., Any], world: World, tmp_path: Path
) -> None:
    own = {"method": "first", "top_k": 5}
    live = train(world, tmp_path / "live", teacher=str(world.teacher), **own)
    keep(tmp_path / "c")
    with pytest.raises(InputError, match=r"dolly/valid.*kdbench cache .*splits=train,valid"):
        train(world, tmp_path / "none", teacher=f"cache:{tmp_path / 'c'}", **own)
    keep(tmp_path / "c", splits="train,valid", validation_limit=6)
    cached = train(world, tmp_path / "cached", teacher=f"cache:{tmp_path / 'c'}", **own)
    assert losses(cached) == pytest.approx(losses(live), rel=1e-4)


def test_a_smaller_cache_is_within_its_error_and_another_run(
    keep: Callable[..., Any], world: World, tmp_path: Path
) -> None:
    exact, near = keep(tmp_path / "c"), keep(tmp_path / "near", max_error=0.01)
    assert 0 < near.loss.error <= 0.01
    assert near.summary.bytes_per_token < exact.summary.bytes_per_token
    caches = TopKCache(tmp_path / "c"), TopKCache(tmp_path / "near")
    for digest in rows(files(tmp_path / "c")):
        ours, its = (cache.read(digest) for cache in caches)
        assert torch.equal(ours["ids"], its["ids"])
        assert (ours["log_p"] - its["log_p"]).abs().max() <= 0.01
    keep(tmp_path / "near")  # without the key, the cache's own
    with pytest.raises(InputError, match=r"made with max_error 0.01, not 0.1"):
        keep(tmp_path / "near", max_error=0.1)
    train(world, tmp_path / "run", teacher=f"cache:{tmp_path / 'near'}")
    card = json.loads((tmp_path / "run" / "kdbench.json").read_text())
    assert card["training"]["teacher"]["max_error"] == 0.01
    with pytest.raises(InputError, match="different teacher max_error"):
        train(world, tmp_path / "run", teacher=f"cache:{tmp_path / 'c'}")
    with pytest.raises(InputError, match=r"off by up to 0.01 nats, and eval needs exact ones"):
        kdbench.evaluate(
            str(world.student), teacher=f"cache:{tmp_path / 'near'}", data=world.data, tasks="dolly"
        )


def test_what_a_run_lacks_is_a_command_away(
    keep: Callable[..., Any], world: World, tmp_path: Path
) -> None:
    keep(tmp_path / "c", limit=8)
    with pytest.raises(InputError, match="no scores of") as error:
        train(world, tmp_path / "run", teacher=f"cache:{tmp_path / 'c'}")
    command = str(error.value).partition("add them: kdbench cache ")[2].split()
    assert "limit=40" in command
    words = dict(word.split("=", 1) for word in command)
    assert words.pop("teacher") == "CHECKPOINT"
    kdbench.cache(**{**words, "teacher": str(world.teacher)})
    train(world, tmp_path / "run", teacher=f"cache:{tmp_path / 'c'}")


# Old caches, and what is shown


def make_old(folder: Path) -> None:
    """Write the files of a cache as earlier versions did, a file for each."""
    cache = TopKCache(folder)
    for path in sorted((folder / "scores").iterdir()):
        columns: dict[str, list[torch.Tensor]] = {name: [] for name in COLUMNS}
        places, start = {}, 0
        for row in read_texts(path).digests:
            scores = cache.read(bytes(row).hex())
            places[bytes(row).hex()] = [start, start := start + len(scores["tail"])]
            for name in COLUMNS:
                columns[name].append(scores[name])
        tensors = {name: torch.cat(parts) for name, parts in columns.items()}
        save_file(tensors, folder / "scores" / f"old{path.name}", {"texts": json.dumps(places)})
    for path in (folder / "scores").glob("[!o]*"):
        path.unlink()
    (folder / "index.safetensors").unlink()


def test_an_old_cache_is_read_and_converted(
    keep: Callable[..., Any], world: World, tmp_path: Path
) -> None:
    keep(tmp_path / "c")
    train(world, tmp_path / "new", teacher=f"cache:{tmp_path / 'c'}")
    before = {
        digest: TopKCache(tmp_path / "c").read(digest) for digest in rows(files(tmp_path / "c"))
    }
    make_old(tmp_path / "c")
    old = kdbench.cache(tmp_path / "c")
    assert old.summary.old_files == old.summary.files == 3
    assert old.summary.texts == len(before)
    train(world, tmp_path / "old", teacher=f"cache:{tmp_path / 'c'}")
    weights = [tmp_path / name / "model.safetensors" for name in ("new", "old")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    converted = keep(tmp_path / "c")
    assert converted.scored.texts == converted.summary.old_files == 0
    assert converted.summary.texts == len(before)
    cache = TopKCache(tmp_path / "c")
    for digest, columns in before.items():
        assert all(torch.equal(cache.read(digest)[name], columns[name]) for name in COLUMNS)
    assert kdbench.cache(tmp_path / "c", check=True).checked


def test_a_damaged_file_is_named(keep: Callable[..., Any], tmp_path: Path) -> None:
    keep(tmp_path / "c")
    path = next((tmp_path / "c" / "scores").iterdir())
    content = bytearray(path.read_bytes())
    content[-len(read_texts(path).digests) * 32 - 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"the scores of 1 of its .* delete it") as error:
        kdbench.cache(tmp_path / "c", check=True)
    assert str(path) in str(error.value)
    path.unlink()
    assert keep(tmp_path / "c").scored.texts
    assert kdbench.cache(tmp_path / "c", check=True).checked


def test_the_command_prints_what_it_made(
    keep: Callable[..., Any], tmp_path: Path, world: World
) -> None:
    from typer.testing import CliRunner

    keep(tmp_path / "c")
    shown = CliRunner().invoke(app, ["cache", str(tmp_path / "c"), "check=true"])
    assert shown.exit_code == 0, shown.output
    assert "the top 8 of" in shown.output
    assert "dolly/train: 40 texts" in shown.output
    assert "bytes a token; 76 before compression" in shown.output
    assert "checked: every file" in shown.output
    answered = CliRunner().invoke(app, ["cache", str(tmp_path / "c"), "--json"])
    document = json.loads(answered.output)
    assert document["bytes_per_token"] == document["bytes"] / document["tokens"]


def test_a_dry_run_counts_and_writes_nothing(world: World, tmp_path: Path) -> None:
    given = {"teacher": str(world.teacher), "data": world.data, "limit": 40, "device": "cpu"}
    sections = plan_cache(build(CacheSettings, {"out": tmp_path / "c", **given}))
    facts = {fact.name: fact.value for section in sections for fact in section.facts}
    assert "unknown until some texts are scored" in facts["time"]
    assert not list(tmp_path.iterdir())
    made = kdbench.cache(tmp_path / "c", **given)
    assert facts["texts"].startswith(f"{made.summary.texts} different, {made.summary.texts} to be")
    sections = plan_cache(build(CacheSettings, {"out": tmp_path / "c", **given, "limit": 60}))
    facts = {fact.name: fact.value for section in sections for fact in section.facts}
    assert "tokens a second" in facts["time"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"teacher": "cache:c"}, "teacher= is a cache already"),
        ({"check": True}, "check=true reads a cache"),
        ({"splits": "test"}, "splits=test: must be train, valid or train,valid"),
        ({"max_error": 1e-9}, "must be 0 or at least 0.0001"),
        ({"shard": "2/2"}, "shard=2/2: must be I/N"),
        ({"teacher": "nowhere"}, "teacher=nowhere"),
        ({"train_set": "nothing"}, "nothing/train.jsonl: no such file"),
        ({"max_new_tokens": 10**6}, "do not fit into the"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    world: World, tmp_path: Path, settings: dict[str, Any], line: str
) -> None:
    given = {"teacher": str(world.teacher), "data": world.data, "limit": 8, "device": "cpu"}
    with pytest.raises(InputError, match=line) as error:
        kdbench.cache(tmp_path / "c", **{**given, **settings})
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_keys_without_a_teacher_and_no_cache_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="limit= needs teacher="):
        kdbench.cache(tmp_path, limit=3)
    with pytest.raises(InputError, match=r"no teacher.json, so this is not a cache"):
        kdbench.cache(tmp_path)
