"""Claims on a cache, which another process can remove at any time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kdbench.scores import merging
from kdbench.scores.cache import TopKCache
from kdbench.scores.merging import claimed, forget_claims


def test_a_claim_that_is_held_is_not_given_again(tmp_path: Path) -> None:
    cache = TopKCache(tmp_path)
    with claimed(cache, "a") as ours, claimed(cache, "a") as again, claimed(cache, "b") as other:
        assert (ours, again, other) == (True, False, True)
    with claimed(cache, "a") as ours:
        assert ours
    forget_claims(cache)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_another_process_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_here, calls = merging.only_here, []

    @contextmanager
    def removed(lock: Path, busy: str, wait: bool = False) -> Iterator[list[Path]]:
        calls.append(lock)
        if len(calls) < 3:
            raise FileNotFoundError(lock)
        with only_here(lock, busy, wait) as made:
            yield made

    monkeypatch.setattr(merging, "only_here", removed)
    with claimed(TopKCache(tmp_path), "a") as ours:
        assert ours
    assert len(calls) == 3
