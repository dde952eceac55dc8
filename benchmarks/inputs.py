"""What the benchmarks run on: data sets, checkpoints, prompts."""

import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from kdbench.config import FIVE
from kdbench.task import Document, load_tasks
from kdbench.toy.models import World, make_world

WORLD = Path("runs/demo")  # where `kdbench demo` makes it
NEW_TOKENS = 64


@cache
def world() -> World:
    """The toy world, made if it is not there (a minute or two)."""
    if not (WORLD / "student").exists():
        print(f"making the toy world in {WORLD}", file=sys.stderr, flush=True)
    return make_world(WORLD)


def data() -> Path:
    """The folder of the data sets."""
    named = os.environ.get("KDBENCH_DATA")
    return Path(named) if named else world().data


def data_title() -> str:
    """What to call them."""
    return "KDBENCH_DATA" if os.environ.get("KDBENCH_DATA") else "toy data"


def model() -> Path:
    """The checkpoint that generates."""
    named = os.environ.get("KDBENCH_BENCH_MODEL")
    return Path(named) if named else world().teacher


def model_title() -> str:
    """What to call it."""
    named = os.environ.get("KDBENCH_BENCH_MODEL")
    return Path(named).name if named else "toy teacher"


def references() -> list[tuple[str, ...]]:
    """The references of every document of the five sets."""
    files = [data() / name / "test.jsonl" for name in FIVE]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [tuple(json.loads(line)["output"]) for line in lines]


def documents_wanted(default: int) -> int:
    """How many documents a checkpoint answers."""
    return int(os.environ.get("KDBENCH_BENCH_DOCUMENTS", default))


def dolly(documents: int) -> Sequence[Document]:
    """The first documents of Dolly."""
    return load_tasks(["dolly"], data(), documents)[0].documents


def answer(backend: Any, documents: Sequence[Document], batch_size: int) -> dict[str, list[str]]:
    """Run a kdbench backend: encode, batch, generate; the texts of each document, by seed.

    Args:
        backend: loaded.
        documents: to answer with each seed of its protocol.
        batch_size: rows that decode at once.
    """
    from kdbench.generate import Row

    backend.batch_size = batch_size
    seeds = backend.protocol.seeds
    ids = {one.id: backend.encode(one.prompt, one.message).ids for one in documents}
    rows = [Row(one.id, seed, ids[one.id]) for one in documents for seed in seeds]
    texts = {
        (sample.document, sample.seed): sample.output
        for batch in backend.batches(rows)
        for sample in backend.generate(batch, ())
    }
    return {one.id: [texts[one.id, seed] for seed in seeds] for one in documents}
