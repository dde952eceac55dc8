"""Inputs of the benchmarks: data sets, checkpoints and prompts."""

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

WORLD = Path("runs/demo")  # where `kdbench demo` makes the toy world
NEW_TOKENS = 64

Texts = dict[str, list[str]]  # responses by document, in the order of seeds


@cache
def world() -> World:
    """The toy world; making it takes a minute or two if it does not exist."""
    if not (WORLD / "student").exists():
        print(f"making the toy world in {WORLD}", file=sys.stderr, flush=True)
    return make_world(WORLD)


def data() -> Path:
    """The folder of the data sets."""
    named = os.environ.get("KDBENCH_DATA")
    return Path(named) if named else world().data


def data_title() -> str:
    """The name of the data in titles."""
    return "KDBENCH_DATA" if os.environ.get("KDBENCH_DATA") else "toy data"


def model() -> Path:
    """The checkpoint that generates."""
    named = os.environ.get("KDBENCH_BENCH_MODEL")
    return Path(named) if named else world().teacher


def model_title() -> str:
    """The name of the checkpoint in titles."""
    named = os.environ.get("KDBENCH_BENCH_MODEL")
    return Path(named).name if named else "toy teacher"


def references() -> list[tuple[str, ...]]:
    """The references of every document of the five sets."""
    files = [data() / name / "test.jsonl" for name in FIVE]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [tuple(json.loads(line)["output"]) for line in lines]


def documents_wanted(default: int) -> int:
    """The number of documents to generate from.

    Args:
        default: Number if KDBENCH_BENCH_DOCUMENTS is not set.
    """
    return int(os.environ.get("KDBENCH_BENCH_DOCUMENTS", default))


def dolly(documents: int) -> Sequence[Document]:
    """The first documents of Dolly."""
    return load_tasks(["dolly"], data(), documents)[0].documents


def answer(backend: Any, documents: Sequence[Document], batch_size: int) -> Texts:
    """Generate a response to each document with each seed of the backend's protocol.

    Args:
        backend: A loaded backend of kdbench.
        documents: Documents to respond to.
        batch_size: Number of rows that are decoded at once.
    """
    from kdbench.generate import Row

    backend.batch_size = batch_size
    seeds = backend.protocol.seeds
    ids = {
        document.id: backend.encode(document.prompt, document.message).ids for document in documents
    }
    rows = [Row(document.id, seed, ids[document.id]) for document in documents for seed in seeds]
    texts = {
        (sample.document, sample.seed): sample.output
        for batch in backend.batches(rows)
        for sample in backend.generate(batch, ())
    }
    return {document.id: [texts[document.id, seed] for seed in seeds] for document in documents}
