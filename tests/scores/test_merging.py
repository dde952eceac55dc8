"""Claims on a cache, which another process can remove at any time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from kdbench.scores import merging
from kdbench.scores.cache import COLUMNS, TopKCache, digest_of_tokens
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


def test_a_text_is_read_again_where_another_process_has_put_it(tmp_path: Path) -> None:
    """As when its file is merged between the look-up and the reading."""
    writer, reader = TopKCache(tmp_path), TopKCache(tmp_path)
    texts = [digest_of_tokens([number], [1]) for number in range(2)]
    for digest in texts:
        columns = {
            name: torch.zeros(1, 1) if name in ("log_p", "ids") else torch.zeros(1)
            for name in COLUMNS
        }
        writer.write(columns, {digest: (0, 1)})
    before = [reader.block(digest) for digest in texts]
    merging.merge_small(writer)
    assert len(list((tmp_path / "scores").iterdir())) == 1
    assert [reader.block(digest) for digest in texts] == before
